from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import (
    ParameterError,
    SchedulerUnavailableError,
    SubmissionRefusedError,
)
from reflow.model.jobs import JobHandle, JobRequest, Limits
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow_sge.executor import SGEExecutor
from reflow_sge.verification import verdict

from tests.docs.pages import REPOSITORY
from tests.unit.executors.batch.pond import ScriptedRunner
from tests.unit.executors.batch.requests import Answer, MakeRequest
from tests.unit.executors.batch.requests import request_for as request_for
from tests.unit.umask import umask

DOWN = (1, "", "error: commlib error: got select error (Connection refused)\n")
EMPTY = "<?xml version='1.0'?><job_info><queue_info></queue_info><job_info></job_info></job_info>"


def sge(*answers: Answer, **settings: Any) -> tuple[SGEExecutor, ScriptedRunner]:
    executor, runner = SGEExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    executor._commands.folder = ""
    return executor, runner


def waiting(job_id: str, state: str = "qw", tasks: str = "") -> str:
    return EMPTY.replace(
        "</queue_info><job_info>",
        f"</queue_info><job_info><job_list><JB_job_number>{job_id}</JB_job_number>"
        f"<JB_name>convert-ab12-3</JB_name><state>{state}</state><tasks>{tasks}</tasks>"
        "</job_list>",
    )


def asked(executor: SGEExecutor, request: JobRequest) -> list[str]:
    script = executor.script(request)
    return [line for line in script.splitlines() if line.startswith("#$")]


# -- the script ----------------------------------------------------------------------------
SCRIPT = """\
#!/bin/bash
#$ -N convert-ab12-3
#$ -S /bin/bash
#$ -j y
#$ -o /scratch/run/.reflow/r1/waves/3/scheduler.log
#$ -wd /
#$ -r y
#$ -t 1-10
#$ -tc 4
#$ -pe smp 4
#$ -l h_rt=93600
#$ -l h_vmem=2048M
#$ -l gpu=1
#$ -l 'hostname=!(node07|node09)'
#$ -q all.q
#$ -A ab1234
#$ -p -5
#$ -l fast=1
#$ -l big=2
#$ -notify

# weather / weather-20261122-ab12 / convert
# Written by reflow. To run the same job again by hand, submit this file.

# What the job writes has the permissions that it has where it was submitted.
umask 0027
# Whatever -o says; and where this file cannot be there, the job ends.
exec >>/scratch/run/.reflow/r1/waves/3/scheduler.log 2>&1 || exit 1
export REFLOW_NATIVE_ID="$JOB_ID.$SGE_TASK_ID"
# RESTARTED says only that there was an earlier run; each has a shepherd of its own.
export REFLOW_INCARNATION="${RESTARTED:-0}-$HOSTNAME-$PPID"
# Grid Engine would run a job again that ends with 99, and keep one for ever that ends with 100.
trap 'case $? in 99|100) exit 1;; esac' EXIT
# The signals before the end (s_rt, -notify) are for the work: nothing else is to die of them.
trap '' USR1 USR2
export OMP_NUM_THREADS=4
module load python
cd -- /data || exit 1
/usr/bin/python3 -m work "$((SGE_TASK_ID - 1))" &
work=$!
# To the work they are SIGTERM. What was waited for is not over then.
trap 'told=yes; kill -TERM "$work"' USR1 USR2 TERM
told=yes
while [ "$told" ]; do told=; wait "$work"; code=$?; done
case $code in
129|13[024-79]|141|143|15[23])
    # Killed by a signal, and so is this shell, as else it would be an exit code.
    trap - EXIT TERM
    ulimit -c 0
    kill -$((code - 128)) $$
esac
exit "$code"
"""


def test_an_arrays_script_is_what_people_would_write(request_for: MakeRequest) -> None:
    executor, _ = sge(setup=("module load python",), account="ab1234")
    options = {"p": -5, "l": ["fast=1", "big=2"], "notify": True, "R": False}
    request = request_for(
        directory=Path("/scratch/run/.reflow/r1/waves/3"),
        size=10,
        throttle=4,
        label="weather / weather-20261122-ab12 / convert",
        environment={"OMP_NUM_THREADS": "4"},
        excluded_hosts=("node07", "node09"),
        resources=Resources(
            cpus=4,
            mem=8 * 1024**3,
            time=timedelta(hours=26),
            gpus=1,
            queue="all.q",
            options={"sge": options, "pbs": {"W": "x"}},
        ),
    )

    with umask(0o027):
        assert executor.script(request) == SCRIPT


def test_a_plain_job_asks_for_no_more_than_it_must(request_for: MakeRequest) -> None:
    executor, _ = sge()
    request = request_for(directory=Path("/run"))

    assert asked(executor, request) == [
        "#$ -N convert-ab12-3",
        "#$ -S /bin/bash",
        "#$ -j y",
        "#$ -o /run/scheduler.log",
        "#$ -wd /",
        "#$ -r y",
    ]
    assert 'REFLOW_NATIVE_ID="$JOB_ID"\n' in executor.script(request)
    assert "\n/usr/bin/python3 -m work &\n" in executor.script(request)


@pytest.mark.parametrize("name", ["it's", 'say "so"', "a:b", "a,b", "$HOME", "é", "a\\b", "x;y"])
def test_a_log_that_no_directive_can_name_is_opened_by_the_script(
    request_for: MakeRequest, name: str
) -> None:
    executor, _ = sge()
    request = request_for(directory=Path("/runs") / name)
    assert "#$ -o /dev/null" in asked(executor, request)
    assert "exec >>" in executor.script(request)


@pytest.mark.parametrize(
    ("settings", "resources", "directive"),
    [
        ({}, Resources(mem=1024**2 + 1), "#$ -l h_vmem=2M"),
        ({}, Resources(mem=10 * 1024**2, cpus=3), "#$ -l h_vmem=4M"),
        ({"memory_per_slot": False}, Resources(mem=2**30, cpus=4), "#$ -l h_vmem=1024M"),
        (
            {"memory_resource": "mem_free={mem},m_mem_free={mem}"},
            Resources(mem=2**30),
            "#$ -l mem_free=1024M,m_mem_free=1024M",
        ),
        ({"gpu_resource": "ngpus={gpus}"}, Resources(gpus=2), "#$ -l ngpus=2"),
        ({"account_option": "-P"}, Resources(account="ab1"), "#$ -P ab1"),
        ({"parallel_environment": "threads"}, Resources(cpus=2), "#$ -pe threads 2"),
        ({"node_environment": "mpi"}, Resources(cpus=2, nodes=3), "#$ -pe mpi 6"),
        ({"exclusive_resource": "excl"}, Resources(whole_nodes=True), "#$ -l excl=true"),
        ({"exclusive_resource": "node=1"}, Resources(whole_nodes=True), "#$ -l node=1"),
        ({"warning": 30}, Resources(time=timedelta(seconds=59)), "#$ -l s_rt=29"),
        ({}, Resources(time=timedelta(days=8)), "#$ -l h_rt=691200"),
    ],
)
def test_a_site_is_asked_in_its_own_words(
    request_for: MakeRequest, settings: dict[str, Any], resources: Resources, directive: str
) -> None:
    executor, _ = sge(**settings)
    assert directive in asked(executor, request_for(resources=resources))


def test_a_warning_longer_than_the_task_is_none(request_for: MakeRequest) -> None:
    executor, _ = sge(warning=300)
    request = request_for(resources=Resources(time=timedelta(minutes=5)))
    assert not [line for line in asked(executor, request) if "s_rt" in line]


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (Resources(nodes=2), "node_environment"),
        (Resources(whole_nodes=True), "exclusive_resource"),
        *((Resources(options={"sge": {name: "x"}}), "reflow's own") for name in ("t", "-N", "o")),
        (Resources(options={"sge": {"bad name": 1}}), "not the name of an option"),
        (Resources(options={"sge": {"ac": "it's"}}), "no directive can hold"),
        (Resources(options={"sge": {"ac": {}}}), "must be text"),
        (Resources(options={"sge": {"r": "n"}}), "reflow's own"),
        (Resources(options={"sge": {"w": "v"}}), "submits nothing"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    request_for: MakeRequest, resources: Resources, said: str
) -> None:
    executor, runner = sge()
    with pytest.raises(SubmissionRefusedError, match=said):
        executor.submit(request_for(resources=resources))
    assert runner.commands == []


@pytest.mark.parametrize(
    "fields",
    [
        {"environment": {"A": "x\n#$ -q other.q"}},
        {"working_directory": Path("/data/x\n#$ -q other.q")},
    ],
)
def test_what_qsub_would_take_for_an_option_is_refused(
    request_for: MakeRequest, fields: dict[str, Any]
) -> None:
    executor, runner = sge()
    with pytest.raises(
        SubmissionRefusedError, match="read this line of the script as its own option"
    ):
        executor.submit(request_for(**fields))
    assert runner.commands == []


def test_a_set_up_line_is_no_option(request_for: MakeRequest) -> None:
    executor, _ = sge(setup=("#$HOME/bin is on PATH already",))
    with pytest.raises(ParameterError, match="read this line of the script as its own option"):
        executor.script(request_for())


# -- submitting ----------------------------------------------------------------------------
def test_an_option_takes_the_place_of_what_it_would_clash_with(request_for: MakeRequest) -> None:
    own = {"pe": "mpi 8", "l": "h_rt=3600", "q": "fast.q"}
    asked = Resources(
        cpus=2, time=timedelta(minutes=10), queue="all.q", gpus=1, options={"sge": own}
    )
    lines = sge()[0].script(request_for(resources=asked)).splitlines()
    written = [line for line in lines if line.startswith(("#$ -pe", "#$ -l", "#$ -q"))]
    assert written == ["#$ -l gpu=1", "#$ -pe mpi 8", "#$ -l h_rt=3600", "#$ -q fast.q"]


def test_what_is_true_of_one_submission_only_is_on_the_command_line(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    executor, runner = sge((0, "24.1-3:1\n", ""), (0, "a wrapper's word\n25\n", ""))

    submission = executor.submit(request_for(size=3), request_for(begin_in=timedelta(seconds=90)))

    first, second = runner.argvs
    assert first == ("qsub", "-terse", "-b", "n", str(tmp_path / "job.sh"))
    assert second[:5] == ("qsub", "-terse", "-b", "n", "-a")
    assert second[6:] == ("-hold_jid", "24", "-o", "/dev/null", str(tmp_path / "job.sh"))
    begin = datetime.strptime(second[5], "%Y%m%d%H%M.%S")
    assert 85 < (begin - datetime.now()).total_seconds() < 95
    assert (submission.job.native_id, submission.job.size) == ("24", 3)
    assert submission.follow_up is not None
    assert submission.follow_up.native_id == "25"


def test_an_environment_on_one_host_is_found_out_once(request_for: MakeRequest) -> None:
    executor, runner = sge(
        (0, "make\nmpi\nonehost\n", ""),
        (0, "allocation_rule    $round_robin\n", ""),
        (0, "allocation_rule    $fill_up\n", ""),
        (0, "allocation_rule    $pe_slots\n", ""),
        (0, "24", ""),
        (0, "25", ""),
    )
    request = request_for(resources=Resources(cpus=2))

    executor.submit(request)
    executor.submit(request)

    assert "#$ -pe onehost 2" in asked(executor, request)
    assert [argv[0] for argv in runner.argvs] == ["qconf"] * 4 + ["qsub"] * 2


def test_without_such_an_environment_several_cpus_are_refused(request_for: MakeRequest) -> None:
    executor, _ = sge((0, "mpi\n", ""), (0, "allocation_rule    $round_robin\n", ""))
    with pytest.raises(SubmissionRefusedError, match="there are: mpi"):
        executor.submit(request_for(resources=Resources(cpus=2)))


# -- asking --------------------------------------------------------------------------------
def test_accounting_is_asked_for_several_jobs_by_what_their_names_share() -> None:
    executor, runner = sge((0, EMPTY, ""), (1, "", "error: job name x not found\n"))
    tokens = ("prepare-0a1b2c3d4e-1", "convert-0a1b2c3d4e-12")

    said = executor.poll(
        [JobHandle(native_id=str(number), token=token) for number, token in enumerate(tokens)]
    )

    assert runner.argvs[1][-2:] == ("-j", "*e-0a1b2c3d4e-1*") or runner.argvs[1][-1].count("*") == 2
    assert "-0a1b2c3d4e-1" in runner.argvs[1][-1]
    assert {status.state for status in said} == {JobState.UNKNOWN}


def test_jobs_in_error_state_have_failed_and_are_deleted() -> None:
    reason = "error reason          2:      11/22/2026 06:21:03 [0:1]: can't open output file\n"
    executor, runner = sge(
        (0, waiting("24", "Eqw", "1-3:1"), ""),
        (0, f"job_number:    24\n{reason}", ""),
        (0, "root has deleted job 24\n", ""),
    )

    said = executor.poll([JobHandle(native_id="24", size=3)])

    assert [argv[0] for argv in runner.argvs] == ["qstat", "qstat", "qdel"]
    assert runner.argvs[2] == ("qdel", "24.1-3")
    assert {(status.state, status.cause) for status in said} == {
        (JobState.FAILED, FailureCause.SUBMIT)
    }


def test_a_job_that_waits_for_long_is_put_to_verification_once() -> None:
    refused = "Job 24 (-l h_vmem=9G) cannot run at host\nverification: no suitable queues\n"
    executor, runner = sge((0, waiting("24"), ""), (1, "", refused), (0, waiting("24"), ""))
    handle = JobHandle(native_id="24", submitted_at=datetime(2026, 1, 1, tzinfo=UTC))

    (first,) = executor.poll([handle])
    (second,) = executor.poll([handle])

    assert runner.argvs[1] == ("qalter", "-w", "v", "24")
    assert len(runner.commands) == 3
    assert first.impossible
    assert second.reason == "(-l h_vmem=9G) cannot run at host"


def test_queues_that_were_not_asked_for_are_no_reason_to_wait() -> None:
    elsewhere = (
        'Job 24 cannot run in queue "b.q" because it is not contained in its hard queue list'
    )
    refused = "verification: no suitable queues\n"

    said = verdict(f"{elsewhere} (-q)\nJob 24 (-l h_vmem=9G) cannot run at host\n{refused}")

    assert said == "(-l h_vmem=9G) cannot run at host"
    assert "hard queue list" in verdict(f"{elsewhere} (-q)\n{refused}")


@pytest.mark.parametrize("text", [waiting("24", "hqw"), waiting("24")])
def test_held_and_new_jobs_are_let_wait(text: str) -> None:
    executor, runner = sge((0, text, ""))
    executor.poll([JobHandle(native_id="24", submitted_at=datetime.now(UTC))])
    assert len(runner.commands) == 1


def test_a_qmaster_that_is_away_says_nothing() -> None:
    for call in ("poll", "find", "cancel"):
        executor, _ = sge(DOWN)
        argument: Any = "token" if call == "find" else [JobHandle(native_id="24")]
        with pytest.raises(SchedulerUnavailableError, match="Connection refused"):
            getattr(executor, call)(argument)


DENIED = (1, 'denied: host "node07" is not a submit host\n', "")


def test_a_node_that_may_not_submit_refuses_no_work(request_for: MakeRequest) -> None:
    executor, _ = sge((1, "", f"Unable to run job: {DENIED[1]}Exiting.\n"), DENIED)

    with pytest.raises(SchedulerUnavailableError, match="not a submit host"):
        executor.submit(request_for())
    with pytest.raises(SchedulerUnavailableError, match="not a submit host"):
        executor.cancel([JobHandle(native_id="24")])


def test_one_harmless_complaint_does_not_hide_another() -> None:
    said = 'denied: job "9" does not exist\ndenied: "me" is not the owner of job 24\n'
    executor, _ = sge((1, said, ""))

    with pytest.raises(SchedulerUnavailableError, match="not the owner"):
        executor.cancel([JobHandle(native_id="9"), JobHandle(native_id="24")])


def test_where_a_broken_job_cannot_be_deleted_it_has_failed_all_the_same() -> None:
    executor, _ = sge((0, waiting("24", "Eqw"), ""), (0, "", ""), DENIED)

    (status,) = executor.poll([JobHandle(native_id="24")])

    assert (status.state, status.cause) == (JobState.FAILED, FailureCause.SUBMIT)


# -- where the commands are ----------------------------------------------------------------


# -- limits --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (0, Limits(max_array_size=100)),
        (6, Limits(max_array_size=100, max_whole_jobs=6, queued_whole_jobs=1)),
    ],
)
def test_an_array_is_one_of_the_jobs_that_a_user_may_have(most: int, expected: Limits) -> None:
    text = f"#global:\nmax_aj_tasks                 100\nmax_u_jobs                   {most}\n"
    executor, _ = sge((0, text, ""), (0, waiting("24", "qw", "1-7:1"), ""))
    assert executor.limits() == expected


def test_a_limit_of_the_settings_holds_beside_the_cells() -> None:
    text = "#global:\nmax_aj_tasks                 100\nmax_u_jobs                   6\n"
    rows = (0, waiting("24", "qw", "1-7:1"), "")
    executor, _ = sge((0, text, ""), rows, rows, max_submit_jobs=20)

    found = executor.limits()

    assert (found.max_whole_jobs, found.queued_whole_jobs) == (6, 1)
    assert (found.max_submit_jobs, found.queued_jobs) == (20, 7)


def queue(name: str, time: str) -> str:
    """A part of what `qconf -sq` prints."""
    settings = {"qname": name, "s_rt": "INFINITY", "h_rt": time}
    return "".join(f"{setting:<21} {value}\n" for setting, value in settings.items())


@pytest.mark.parametrize(
    ("asked", "queues", "printed", "expected"),
    [
        (Resources(), ["*"], queue("a.q", "INFINITY"), None),
        (Resources(), ["*"], queue("a.q", "1:0:0") + queue("b.q", "INFINITY"), None),
        (Resources(), ["*"], queue("a.q", "1:0:0") + queue("b.q", "48:00:00"), 48),
        (Resources(queue="a.q,b.q"), ["a.q", "b.q"], queue("a.q", "01:00:00"), 1),
        (Resources(options={"sge": {"q": "a.q"}}), ["a.q"], queue("a.q", "01:00:00"), 1),
        # Some hosts of a queue have a limit of their own.
        (Resources(queue="a.q"), ["a.q"], queue("a.q", "01:00:00,[node1=02:00:00]"), 2),
    ],
)
def test_a_job_may_be_as_long_as_the_queues_allow(
    asked: Resources, queues: list[str], printed: str, expected: float | None
) -> None:
    executor, runner = sge((0, printed, ""))
    found = executor.longest_time(asked)
    assert found == (None if expected is None else timedelta(hours=expected))
    assert runner.argvs == [("qconf", "-sq", *queues)]


def test_every_setting_is_documented() -> None:
    page = (REPOSITORY / "docs" / "schedulers" / "sge.md").read_text()
    for item in dataclasses.fields(SGEExecutor):
        assert not item.init or f"`{item.name}`" in page, item.name
