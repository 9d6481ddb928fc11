from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from reflow.errors import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import JobState
from reflow_flux.errors import submission_error
from reflow_flux.executor import FluxExecutor
from reflow_flux.ids import element_name

from tests.unit.executors.batch.pond import ScriptedRunner
from tests.unit.executors.batch.requests import TOKEN, Answer, MakeRequest
from tests.unit.executors.batch.requests import request_for as request_for
from tests.unit.flux.recordings import Step, all_steps, step
from tests.unit.umask import umask

ENVIRONMENT = [
    "--env=-*",
    *(f"--env={name}" for name in ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ", "USER")),
]


def flux(*answers: Answer, **settings: Any) -> tuple[FluxExecutor, ScriptedRunner]:
    executor, runner = FluxExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    return executor, runner


def listed(*jobs: tuple[int, str, str]) -> Answer:
    """An answer of flux jobs: number, name, status."""
    found = [{"id": number, "name": name, "status": status} for number, name, status in jobs]
    return 0, json.dumps({"jobs": found}), ""


def part(number: int, position: int, status: str = "RUN", size: int = 4) -> tuple[int, str, str]:
    return number, element_name(TOKEN, position, size), status


ACCEPTED = (0, "f3RCm5iP\n", "")
ELEMENTS = step("many-at-once", "flux submit --cc=0-4").answer


# -- the script ----------------------------------------------------------------------------
SCRIPT = """\
#!/bin/bash
# flux submit '--job-name=convert-ab12-3-{cc}-of-10' --cores-per-task=4 --ntasks=1 \
--time-limit=59s \
'--env=-*' --env=HOME --env=LANG --env=LOGNAME --env=PATH --env=SHELL --env=TZ --env=USER

# weather / convert
# Written by reflow. To run the same job again by hand, submit this file.

# What the job writes has the permissions that it has where it was submitted.
umask 0027
# Flux keeps a job's input open for users who attach to it: a program that reads it would hang.
exec </dev/null >>/scratch/run/.reflow/r1/waves/3/scheduler.log 2>&1 || exit 1
# Of a job over several nodes each runs this script.
[ "${FLUX_TASK_RANK:-0}" = 0 ] || exit 0
case $FLUX_JOB_ID in
ƒ*) export REFLOW_NATIVE_ID="f${FLUX_JOB_ID#ƒ}" ;;
*) export REFLOW_NATIVE_ID="$FLUX_JOB_ID" ;;
esac
# Flux runs no job a second time.
export REFLOW_INCARNATION=0
export REFLOW_FLUX_URI=''
export REFLOW_WAVE='3 of 4'
module load python
cd -- /data || exit 1
# At the limit on time comes SIGALRM: the work is to see SIGTERM instead.
(trap - INT QUIT; trap '' ALRM; exec /usr/bin/python3 -m work "$FLUX_JOB_CC") &
work=$!
# A signal ends the waiting, not the work.
trap 'again=yes; kill -TERM "$work"' ALRM
trap again=yes INT QUIT TERM
again=yes
while [ "$again" ]; do again=; wait "$work"; code=$?; done
exit "$code"
"""


def test_the_script(request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLUX_URI", raising=False)
    executor = FluxExecutor(setup=("module load python",))
    request = request_for(
        directory=Path("/scratch/run/.reflow/r1/waves/3"),
        label="weather / convert",
        size=10,
        environment={"REFLOW_WAVE": "3 of 4"},
        resources=Resources(cpus=4, time=timedelta(seconds=59), mem=1024**3),
    )

    with umask(0o027):
        assert executor.script(request) == SCRIPT


# -- submitting ----------------------------------------------------------------------------
def test_everything_asked_for_is_on_the_command_line(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    executor, runner = flux(ACCEPTED, queue="slow", options={"urgency": 10, "x": True})
    request = request_for(
        begin_in=timedelta(minutes=10),
        resources=Resources(
            cpus=4,
            nodes=2,
            gpus=1,
            time=timedelta(days=8),
            queue="batch",
            account="climate",
            options={"flux": {"requires": ["fast", "-slow"], "urgency": 12}},
        ),
    )

    assert executor.submit(request).job.native_id == "f3RCm5iP"
    assert list(runner.argvs[0]) == [
        *("flux", "submit", f"--job-name={TOKEN}", "--cores-per-task=4", "--ntasks=2"),
        *("--nodes=2", "--setopt=exit-timeout=none", "--gpus-per-task=1", "--time-limit=691200s"),
        *("--queue=batch", "--bank=climate", *ENVIRONMENT),
        *("--urgency=12", "-x", "--requires=fast", "--requires=-slow", "--begin-time=+600s"),
        *("/bin/bash", str(tmp_path / "job.sh")),
    ]


def test_a_node_of_its_own_is_asked_for_by_their_number(request_for: MakeRequest) -> None:
    executor, runner = flux(ACCEPTED)

    executor.submit(request_for(resources=Resources(whole_nodes=True)))

    assert list(runner.argvs[0])[3:7] == [
        *("--cores-per-task=1", "--ntasks=1", "--nodes=1", "--exclusive")
    ]


def test_an_array_is_a_set_of_jobs_known_by_its_token(request_for: MakeRequest) -> None:
    executor, runner = flux(ELEMENTS)

    handle = executor.submit(request_for(size=5)).job

    assert (handle.native_id, handle.size) == (TOKEN, 5)
    assert f"--job-name={TOKEN}-{{cc}}-of-5" in runner.argvs[0]
    assert "--cc=0-4" in runner.argvs[0]


def test_a_follow_up_waits_for_each_element(request_for: MakeRequest, tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    executor, runner = flux(ELEMENTS, ACCEPTED)

    executor.submit(request_for(size=5), request_for(token="d-1", directory=tmp_path / "next"))

    waits = [word for word in runner.argvs[1] if word.startswith("--dependency=")]
    ids = [f"f{line[1:]}" for line in ELEMENTS[1].split()]
    assert waits == [f"--dependency=afterany:{native_id}" for native_id in ids]


def test_a_follow_up_of_what_is_forgotten_does_not_wait(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    refused = step("dependencies", "flux submit --dependency=afterok:f12345").answer
    executor, runner = flux(refused, ACCEPTED)

    executor.submit_one(request_for(), JobHandle(native_id="f12345"))

    assert not any(word.startswith("--dependency=") for word in runner.argvs[1])


def test_of_an_array_that_was_submitted_by_half_the_rest_is_submitted(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    executor, runner = flux(
        (-9, "f3RCm5iP\n", ""), listed(part(5, 0), part(7, 2, "COMPLETED")), ACCEPTED
    )
    with pytest.raises(SubmissionUncertainError):
        executor.submit(request_for(size=4))

    executor.submit(request_for(size=4))

    assert "--cc=1,3" in runner.argvs[2]


@pytest.mark.parametrize(
    "said", ["[Errno 22] job submission to short is disabled: closed", "Invalid queue"]
)
def test_of_an_array_that_was_submitted_by_half_nothing_is_given_up(
    request_for: MakeRequest, said: str
) -> None:
    executor, _ = flux((1, "f3RCm5iP\n", said), listed(part(5, 0), part(7, 2)), (1, "", said))
    for _ in range(2):
        with pytest.raises(SubmissionUncertainError):
            executor.submit(request_for(size=4))


def test_of_an_array_that_may_be_there_by_half_nothing_is_known_while_flux_is_silent(
    request_for: MakeRequest,
) -> None:
    executor, _ = flux((-9, "f3RCm5iP\n", ""), SchedulerUnavailableError("slow"))
    for _ in range(2):
        with pytest.raises(SubmissionUncertainError):
            executor.submit(request_for(size=4))


def test_an_array_that_is_there_is_not_submitted_again(request_for: MakeRequest) -> None:
    whole = listed(*(part(5 + position, position) for position in range(4)))
    executor, runner = flux(SchedulerUnavailableError("slow"), whole)
    with pytest.raises(SchedulerUnavailableError):
        executor.submit(request_for(size=4))

    assert executor.submit(request_for(size=4)).job.native_id == TOKEN
    assert len(runner.commands) == 2


def test_the_whole_environment_can_be_handed_on(request_for: MakeRequest) -> None:
    executor, runner = flux(ACCEPTED, export_environment=True)

    executor.submit(request_for())

    assert not any(word.startswith("--env") for word in runner.argvs[0])


def test_a_folder_that_is_no_text_is_kept_from_flux(request_for: MakeRequest) -> None:
    executor, runner = flux(ACCEPTED, ACCEPTED)

    executor.submit(request_for(working_directory=Path(os.fsdecode(b"/data/\xff"))))
    executor.submit(request_for(working_directory=Path("/data/é")))

    assert ["--cwd=/" in argv for argv in runner.argvs] == [True, False]


@pytest.mark.parametrize(
    "options",
    [
        *({"job-name": "mine"}, {"cc": "0-3"}, {"a b": 1}, {"S": {}}),
        # Nothing would be submitted, and nothing be said that is no success.
        *({"help": True}, {"dry": True}, {"list_plugins": True}, {"log-stderr": "x"}),
        # Not beside the options that say what a task needs.
        *({"cores": 4}, {"tasks-per-node": 2}, {"tasks_per_core": 1}, {"gpus-per-node": 1}),
    ],
)
def test_options_that_cannot_be_handed_on(
    request_for: MakeRequest, options: dict[str, object]
) -> None:
    executor, runner = flux()
    with pytest.raises(SubmissionRefusedError):
        executor.submit(request_for(resources=Resources(options={"flux": options})))
    assert runner.commands == []


REFUSED = [
    item
    for item in all_steps()
    if item.command.startswith("flux submit ")
    and item.exit_code in (1, 2)
    and ("ERROR" in item.stderr or "rrno" in item.stderr or "error:" in item.stderr)
    and "Unable to connect" not in item.stderr
]


@pytest.mark.parametrize("item", REFUSED, ids=lambda item: f"{item.scene}-{item.number}")
def test_what_flux_refuses_is_refused(item: Step) -> None:
    said = " ".join(item.stderr.split())

    error = submission_error(said, waits=False)

    assert isinstance(error, SubmissionRefusedError)
    assert said in str(error)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("[Errno 22] job submission to short is disabled: closed by lab", SubmissionDeferredError),
        ("[Errno 22] job submission is disabled: maintenance", SubmissionDeferredError),
        ("[Errno 1] user has reached the maximum number of active jobs", SubmissionDeferredError),
        (
            "flux-submit: ERROR: Unable to connect to Flux: broker socket /x was not found",
            SchedulerUnavailableError,
        ),
        ("flux-submit: ERROR: [Errno 104] Connection reset by peer", SubmissionUncertainError),
        ("[Errno 113] No route to host", SubmissionUncertainError),
        ("[Errno 22] user has max active jobs", SubmissionDeferredError),
        ("[Errno 38] Function not implemented", SchedulerUnavailableError),
        (
            "[Errno 38] No service matching job-ingest.submit is registered",
            SchedulerUnavailableError,
        ),
        ("[Errno 28] KVS commit failed", SchedulerUnavailableError),
        (
            "[Errno 71] Unrecoverable error: worker unexpectedly exited",
            SchedulerUnavailableError,
        ),
    ],
)
def test_what_is_not_for_good(said: str, kind: type[ExecutorError]) -> None:
    assert type(submission_error(said, waits=False)) is kind


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("[Errno 22] Queue not valid for user: night", "flux queue list"),
        ("[Errno 22] Direct job submission disabled for all jobs in this instance", "flux alloc"),
        ("[Errno 22] Direct job submission is disabled for this instance.", "flux alloc"),
        ("Replacement key '\"a\"' not found in '--setattr=x={\"a\":1}'", "^NAME=FILE"),
        ("--env: [Errno 2] No such file or directory: '/usr/local/x'", ""),
        ("flux-submit: ERROR: exclusive can only be set with a node count", '"nodes": 1'),
        ("jobspec: invalid JSON: invalid Unicode '\\uDCFF'", "export_environment"),
    ],
)
def test_what_to_do_about_a_refusal_is_said(said: str, advice: str) -> None:
    error = submission_error(said, waits=False)

    assert isinstance(error, SubmissionRefusedError)
    assert advice in str(error)


def test_of_a_limit_on_jobs_the_setting_is_named(request_for: MakeRequest) -> None:
    said = "[Errno 22] user has max active jobs"
    executor, _ = flux((1, "f3RCm5iP\n", f"cc=1: {said}\n"))

    assert "max_submit_jobs" in str(submission_error(said, waits=False))
    with pytest.raises(SubmissionUncertainError, match="max_submit_jobs"):
        executor.submit(request_for(size=2))


def test_what_is_said_of_each_element_is_told_once(request_for: MakeRequest) -> None:
    said = "".join(f"cc={position}: [Errno 22] no bank found\n" for position in range(4))
    executor, _ = flux((1, "", said))

    with pytest.raises(SubmissionRefusedError, match=r"job: \[Errno 22\] no bank found\. Set"):
        executor.submit(request_for(size=4))


# -- asking --------------------------------------------------------------------------------
def test_plain_jobs_are_asked_for_by_their_ids() -> None:
    answer = step("query-unknown-ids", "flux jobs --json ƒQMvGdmH f12345").answer
    executor, runner = flux(answer)

    found = executor.poll([JobHandle(native_id="fQMvGdmH"), JobHandle(native_id="f12345")])

    assert [item.state for item in found] == [JobState.RUNNING, JobState.UNKNOWN]
    assert runner.argvs == [("flux", "jobs", "--json", "fQMvGdmH", "f12345")]


def test_unknown_jobs_alone_are_unknown() -> None:
    executor, _ = flux(step("query-unknown-ids", "flux jobs --json f12345").answer)

    (status,) = executor.poll([JobHandle(native_id="f12345")])

    assert status.state is JobState.UNKNOWN


def test_jobs_that_flux_could_not_ask_for_are_not_unknown() -> None:
    text = json.dumps({"jobs": [{"id": 5, "name": "x", "status": "RUN"}]})
    executor, _ = flux((0, text, "JobID f12345 unknown\nrpc: Connection timed out\n"))

    with pytest.raises(SchedulerUnavailableError, match="timed out"):
        executor.poll([JobHandle(native_id="fA"), JobHandle(native_id="fB")])


@pytest.mark.parametrize("text", ["{", '{"jobs": [{}]}', "Traceback"])
def test_an_answer_that_cannot_be_read_is_none(text: str) -> None:
    ways: list[Callable[[FluxExecutor], object]] = [
        lambda executor: executor.poll([JobHandle(native_id="fA")]),
        lambda executor: executor.find(TOKEN),
        lambda executor: executor.cancel([JobHandle(native_id=TOKEN, size=2)]),
        lambda executor: executor.cancel_positions(JobHandle(native_id=TOKEN, size=2), [1]),
    ]
    for ask in ways:
        executor, _ = flux((0, text, ""))
        with pytest.raises(SchedulerUnavailableError):
            ask(executor)
    executor, _ = flux((0, "0\n", ""), (0, text, ""), max_submit_jobs=5)
    with pytest.raises(SchedulerUnavailableError):
        executor.limits()


def test_arrays_are_asked_for_with_all_jobs_since_their_submission() -> None:
    executor, runner = flux(listed(part(5, 0, "RUN"), part(6, 1, "COMPLETED"), (9, "sh", "RUN")))
    since = datetime.now(UTC) - timedelta(seconds=400)
    handles = [
        JobHandle(native_id=TOKEN, size=4, submitted_at=since),
        JobHandle(native_id="fA", submitted_at=since + timedelta(hours=1)),
    ]

    found = {(item.native_id, item.positions): item.state for item in executor.poll(handles)}

    assert found == {
        (TOKEN, range(1)): JobState.RUNNING,
        (TOKEN, range(1, 2)): JobState.COMPLETED,
        (TOKEN, range(2, 4)): JobState.UNKNOWN,
        ("fA", None): JobState.RUNNING,
    }
    (argv,) = runner.argvs
    assert argv[:3] == ("flux", "jobs", "-a")
    assert argv[3].startswith("--since=-40")
    assert argv[4:] == ("--count=0", "--json")


def test_an_instance_that_is_down_says_nothing() -> None:
    down = step("instance-down", "flux jobs").answer
    executor, _ = flux(down, down)

    with pytest.raises(SchedulerUnavailableError):
        executor.poll([JobHandle(native_id="fA")])
    with pytest.raises(SchedulerUnavailableError):
        executor.cancel([JobHandle(native_id="fA")])


def test_words_that_are_no_ids_are_not_asked_about() -> None:
    executor, runner = flux()

    (status,) = executor.poll([JobHandle(native_id="node01:77:123456")])

    assert status.state is JobState.UNKNOWN
    assert runner.commands == []


# -- finding and cancelling ----------------------------------------------------------------
def test_a_whole_array_is_found_by_its_token() -> None:
    parts = [part(5 + position, position) for position in range(4)]
    executor, _ = flux(listed(*parts))

    assert [handle.native_id for handle in executor.find(TOKEN)] == [TOKEN]


def test_half_an_array_is_not_found() -> None:
    executor, _ = flux(listed(part(5, 0), part(6, 1), part(7, 1), part(8, 3)))

    assert executor.find(TOKEN) == []


def test_a_plain_job_is_found_by_its_name() -> None:
    executor, _ = flux(listed((45701136384, TOKEN, "RUN"), (6, f"{TOKEN}0", "RUN")))

    assert [handle.native_id for handle in executor.find(TOKEN)] == ["f2CdTGeK"]


def test_several_arrays_are_looked_up_at_once() -> None:
    other = (7, element_name("other-ab12-4", 0, 1), "SCHED")
    executor, runner = flux(listed(part(5, 0), other), (0, "", ""))

    executor.cancel([JobHandle(native_id=TOKEN, size=4), JobHandle(native_id="other-ab12-4")])

    assert runner.argvs[0] == ("flux", "jobs", "--count=0", "--json")
    assert sorted(runner.argvs[1][2:]) == ["f6", "f8"]
    assert len(runner.argvs) == 2


def test_an_array_is_cancelled_by_the_ids_of_what_is_not_over() -> None:
    executor, runner = flux(listed(part(5, 0), part(45701136384, 2), (9, "sh", "RUN")), (0, "", ""))

    executor.cancel([JobHandle(native_id=TOKEN, size=4), JobHandle(native_id="fQ")])

    assert runner.argvs == [
        ("flux", "jobs", "--count=0", "--json"),
        ("flux", "cancel", "fQ", "f6", "f2CdTGeK"),
    ]


def test_some_elements_are_cancelled() -> None:
    executor, runner = flux(listed(part(5, 0), part(6, 1), part(7, 2)), (0, "", ""))

    executor.cancel_positions(JobHandle(native_id=TOKEN, size=4), [0, 2])

    assert runner.argvs[1] == ("flux", "cancel", "f6", "f8")


def test_where_nothing_is_left_nothing_is_cancelled() -> None:
    executor, runner = flux(listed())

    executor.cancel([JobHandle(native_id=TOKEN, size=4)])

    assert len(runner.commands) == 1


CANCELS = [
    item
    for item in all_steps()
    if item.command.startswith("flux cancel ")
    and item.exit_code == 1
    and "No target" not in item.stderr
    and "connect" not in item.stderr
]


@pytest.mark.parametrize("item", CANCELS, ids=lambda item: f"{item.scene}-{item.number}")
def test_cancelling_what_is_over_is_no_failure(item: Step) -> None:
    executor, _ = flux(item.answer)
    executor.cancel([JobHandle(native_id="fA")])


def test_places_in_the_queue_are_counted() -> None:
    executor, _ = flux((0, "0\n", ""), listed(part(5, 0), part(6, 1)), max_submit_jobs=10)

    limits = executor.limits()

    assert (limits.queued_jobs, limits.max_submit_jobs, limits.max_array_size) == (2, 10, 1000)


QUEUES = {
    "queues": {"main": {}, "short": {"policy": {"limits": {"duration": "1m"}}}},
    "policy": {
        "jobspec": {"defaults": {"system": {"queue": "main", "duration": "1h"}}},
        "limits": {"duration": "2d"},
    },
}


@pytest.mark.parametrize(
    ("config", "queue", "expected"),
    [
        (QUEUES, None, timedelta(days=2)),
        (QUEUES, "main", timedelta(days=2)),
        (QUEUES, "short", timedelta(minutes=1)),
        ({"policy": {"limits": {"duration": 90.5}}}, None, timedelta(seconds=90.5)),
        ({"policy": {"limits": {"duration": "0"}}}, None, None),
        ({}, "short", None),
    ],
)
def test_a_job_may_be_as_long_as_its_queue_allows(
    config: dict[str, Any], queue: str | None, expected: timedelta | None
) -> None:
    executor, runner = flux((0, json.dumps(config), ""))
    found = [executor.longest_time(Resources(queue=queue)) for _ in range(2)]
    assert found == [expected] * 2
    assert runner.argvs == [("flux", "config", "get")]


def test_an_instance_without_limits_on_time_limits_nothing() -> None:
    executor, _ = flux(step("versions", "flux config get").answer)
    assert executor.longest_time(Resources()) is None


def test_the_instance_can_be_a_setting() -> None:
    executor = FluxExecutor(uri="local:///run/flux/other")

    assert executor.passed_variables().environment({})["FLUX_URI"] == "local:///run/flux/other"
    assert executor.settings == {"uri": "local:///run/flux/other"}


def test_a_run_of_the_machines_own_instance_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLUX_URI", raising=False)
    executor = FluxExecutor()

    # Somebody looks after the run from within an allocation.
    later = FluxExecutor(**cast(Any, executor.settings))
    inner = {"FLUX_URI": "local:///tmp/flux-x/local-0", "PATH": "/bin"}
    assert later.passed_variables().environment(inner).keys() & {"FLUX_URI", "PATH"} == {"PATH"}
    # Its own jobs know better.
    monkeypatch.setenv("REFLOW_FLUX_URI", "")
    monkeypatch.setenv("FLUX_URI", "local:///var/flux/local")
    job = FluxExecutor(**cast(Any, executor.settings))
    there = {"FLUX_URI": "local:///var/flux/local"}
    assert job.passed_variables().environment(there)["FLUX_URI"] == there["FLUX_URI"]


def test_an_instance_that_the_environment_names_may_be_another_one_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLUX_URI", "local:///tmp/flux-x/local-0")

    assert FluxExecutor().settings == {}


def test_a_job_asks_the_instance_that_runs_it(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = FluxExecutor(uri="ssh://head/tmp/flux-x/local-0")
    (line,) = [line for line in executor.script(request_for()).splitlines() if "FLUX_URI" in line]
    assert line == "export REFLOW_FLUX_URI=ssh://head/tmp/flux-x/local-0"

    monkeypatch.setenv("REFLOW_FLUX_URI", "ssh://head/tmp/flux-x/local-0")

    there = {"FLUX_URI": "local:///tmp/flux-x/local-3"}
    assert executor.passed_variables().environment(there)["FLUX_URI"] == there["FLUX_URI"]
    other = FluxExecutor(uri="local:///run/flux/other").passed_variables().environment(there)
    assert other["FLUX_URI"] == "local:///run/flux/other"


def test_commands_print_what_they_print_by_default() -> None:
    variables = ("FLUX_JOBS_FORMAT_DEFAULT", "FLUX_HANDLE_TRACE", "FLUX_PYCLI_LOGLEVEL")

    passed = FluxExecutor().passed_variables().environment(dict.fromkeys(variables, "1"))

    assert not passed.keys() & set(variables)


def test_what_flux_cannot_do_is_said() -> None:
    said = " ".join(FluxExecutor.capabilities.notes)

    assert "no arrays" in said
    assert "no limits on memory" in said
    assert not FluxExecutor.capabilities.memory_limit
    assert not FluxExecutor.capabilities.throttle
