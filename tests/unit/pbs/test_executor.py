from __future__ import annotations

import dataclasses
import os
import pwd
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.batch.command import CommandTimeoutError
from reflow.model.jobs import JobHandle, JobRequest
from reflow.model.resources import Resources
from reflow.model.states import JobState
from reflow_pbs.executor import PBSExecutor
from reflow_pbs.site import Installation

from tests.docs.pages import REPOSITORY
from tests.unit.executors.batch.pond import ScriptedRunner
from tests.unit.executors.batch.requests import Answer, MakeRequest
from tests.unit.executors.batch.requests import request_for as request_for
from tests.unit.pbs.recordings import recorded
from tests.unit.umask import umask

DOWN = (255, "{}", "Connection refused\nqstat: cannot connect to server node01 (errno=15010)\n")
UNKNOWN = (153, "", "qstat: Unknown Job Id 24.x\n")
FINISHED = (35, "", "qstat: 24.x Job has finished, use -x or -H to obtain historical job ...\n")
NO_HISTORY = (0, "", "qstat: PBS is not configured to maintain job history 24.x\n")


def pbs(*answers: Answer, **settings: Any) -> tuple[PBSExecutor, ScriptedRunner]:
    executor, runner = PBSExecutor(**settings), ScriptedRunner(list(answers))
    executor.runner = runner  # type: ignore[assignment]
    executor._installation = Installation(23)
    return executor, runner


def asked(executor: PBSExecutor, request: JobRequest) -> list[str]:
    script = executor.script(request)
    return [line for line in script.splitlines() if line.startswith("#PBS")]


# -- the script ----------------------------------------------------------------------------
SCRIPT = """\
#!/bin/bash
#PBS -N convert-ab12-3
#PBS -S /bin/bash
#PBS -j oe
#PBS -o localhost:/dev/null
#PBS -r y
#PBS -J 0-9%4
#PBS -l select=2:ncpus=4:mem=8192mb:ngpus=1
#PBS -l place=scatter
#PBS -l walltime=26:00:00
#PBS -q workq
#PBS -A ab1234
#PBS -W group_list=big
#PBS -p 5

# weather / weather-20261122-ab12 / convert
# Written by reflow. To run the same job again by hand, submit this file.

# What the job writes has the permissions that it has where it was submitted.
umask 0027
# PBS would keep the log on the node until the end, and one for all elements.
exec >>'/scratch/it'"'"'s/scheduler.log' 2>&1 || exit 1
export REFLOW_NATIVE_ID="$PBS_JOBID"
# Another at each start, and never a number.
export REFLOW_INCARNATION="start-$PBS_JOBCOOKIE-$$"
export OMP_NUM_THREADS=4
module load python
cd -- /data || exit 1
exec /usr/bin/python3 -m work "$PBS_ARRAY_INDEX"
"""


def test_an_arrays_script_is_what_people_would_write(request_for: MakeRequest) -> None:
    executor, _ = pbs(setup=("module load python",), account="ab1234")
    request = request_for(
        directory=Path("/scratch/it's"),
        size=10,
        throttle=4,
        label="weather / weather-20261122-ab12 / convert",
        environment={"OMP_NUM_THREADS": "4"},
        resources=Resources(
            cpus=4,
            mem=8 * 1024**3,
            time=timedelta(hours=26),
            gpus=1,
            nodes=2,
            queue="workq",
            options={"pbs": {"W": "group_list=big", "p": 5}, "sge": {"p": 1}},
        ),
    )
    with umask(0o027):
        assert executor.script(request) == SCRIPT


def test_a_plain_job_asks_for_no_more_than_it_must(request_for: MakeRequest) -> None:
    executor, _ = pbs()
    request = request_for(directory=Path("/run"))

    assert asked(executor, request)[5:] == ["#PBS -l select=1:ncpus=1"]
    assert executor.script(request).endswith("exec /usr/bin/python3 -m work\n")


@pytest.mark.parametrize(
    ("settings", "resources", "directive"),
    [
        ({}, Resources(mem=1024**2 + 1), "#PBS -l select=1:ncpus=1:mem=2mb"),
        ({"gpu_resource": "gpus={gpus}"}, Resources(gpus=2), "#PBS -l select=1:ncpus=1:gpus=2"),
        ({"account_option": "-P"}, Resources(account="ab1"), "#PBS -P ab1"),
        ({"place": "excl"}, Resources(), "#PBS -l place=excl"),
        ({}, Resources(whole_nodes=True), "#PBS -l place=excl"),
        ({}, Resources(nodes=2, whole_nodes=True), "#PBS -l place=scatter:excl"),
        ({"place": "pack:shared"}, Resources(whole_nodes=True), "#PBS -l place=pack:excl"),
        ({"place": "exclhost"}, Resources(whole_nodes=True), "#PBS -l place=exclhost"),
        (
            {"place": "scatter:group=rack"},
            Resources(whole_nodes=True),
            "#PBS -l place=scatter:excl:group=rack",
        ),
        ({}, Resources(time=timedelta(seconds=59)), "#PBS -l walltime=00:00:59"),
        ({}, Resources(time=timedelta(days=8)), "#PBS -l walltime=192:00:00"),
    ],
)
def test_a_site_is_asked_in_its_own_words(
    request_for: MakeRequest, settings: dict[str, Any], resources: Resources, directive: str
) -> None:
    executor, _ = pbs(**settings)
    assert directive in asked(executor, request_for(resources=resources))


@pytest.mark.parametrize("option", ["J", "N", "o", "V"])
def test_what_is_reflows_own_is_refused(request_for: MakeRequest, option: str) -> None:
    executor, runner = pbs()
    with pytest.raises(SubmissionRefusedError, match="reflow's own"):
        executor.submit(request_for(resources=Resources(options={"pbs": {option: "x"}})))
    assert runner.commands == []


def test_a_resource_that_is_written_as_an_option_is_refused_and_said_how(
    request_for: MakeRequest,
) -> None:
    executor, runner = pbs()
    with pytest.raises(SubmissionRefusedError, match=r"{'l': 'select=...'}"):
        executor.submit(request_for(resources=Resources(options={"pbs": {"select": "2"}})))
    assert runner.commands == []


@pytest.mark.parametrize("value", ["block=true", "group_list=a,depend=afterok:7", "interactive=t"])
def test_attributes_that_are_reflows_own_are_refused(request_for: MakeRequest, value: str) -> None:
    executor, runner = pbs()
    with pytest.raises(SubmissionRefusedError, match="reflow's own"):
        executor.submit(request_for(resources=Resources(options={"pbs": {"W": value}})))
    assert runner.commands == []


def test_a_node_throws_away_itself_what_a_job_prints(request_for: MakeRequest) -> None:
    assert "#PBS -o localhost:/dev/null" in asked(pbs()[0], request_for())


# -- submitting ----------------------------------------------------------------------------
def test_the_follow_up_is_there_before_the_work_that_lets_it_go(
    request_for: MakeRequest, tmp_path: Path
) -> None:
    executor, runner = pbs((0, "24.node01\n", ""), (0, "25[].node01\n", ""))

    submission = executor.submit(request_for(size=3), request_for())

    script = str(tmp_path / "job.sh")
    assert runner.argvs == [
        ("qsub", "-W", "depend=on:1", script),
        ("qsub", "-W", "depend=beforeany:24.node01", script),
    ]
    assert submission.job.native_id == "25[].node01"
    assert submission.follow_up is not None
    assert submission.follow_up.native_id == "24.node01"


def test_a_plain_job_with_a_follow_up_is_an_array_of_one(request_for: MakeRequest) -> None:
    executor, runner = pbs((0, "24.x", ""), (0, "25[].x", ""))

    submission = executor.submit(request_for(), request_for())

    assert runner.argvs[1][:5] == ("qsub", "-J", "0-1:2", "-W", "depend=beforeany:24.x")
    assert (submission.job.native_id, submission.job.size) == ("25[].x", None)


def test_an_array_of_one_is_polled_and_cancelled_as_a_plain_job() -> None:
    text = "Job Id: 25[].x|job_state=B\nJob Id: 25[0].x|job_state=X|Exit_status=4|substate=93\n"
    executor, runner = pbs((0, text, ""), (0, "", ""))
    handle = JobHandle(native_id="25[].x")

    (status,) = executor.poll([handle])
    executor.cancel_positions(handle, [0])

    assert (status.positions, status.exit_code) == (None, 4)
    assert runner.argvs[-1] == ("qdel", "25[].x")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((170, "", "qsub: Unknown queue\n"), SubmissionRefusedError),
        ((38, "", "qsub: would exceed queue generic's per-user limit\n"), SubmissionDeferredError),
        (SchedulerUnavailableError("no qsub"), SchedulerUnavailableError),
    ],
)
def test_a_follow_up_does_not_outlive_work_that_was_not_accepted(
    request_for: MakeRequest, answer: Answer, kind: type[Exception]
) -> None:
    executor, runner = pbs((0, "24.x", ""), answer, (0, "", ""))
    with pytest.raises(kind):
        executor.submit(request_for(size=3), request_for())
    assert runner.argvs[-1] == ("qdel", "24.x")


LATE = CommandTimeoutError("qsub did not answer within 60 s")


def test_work_that_may_have_been_accepted_keeps_what_waits_for_it(
    request_for: MakeRequest,
) -> None:
    executor, runner = pbs((0, "24.x", ""), LATE)
    with pytest.raises(SubmissionUncertainError):
        executor.submit(request_for(size=3), request_for())
    assert [argv[0] for argv in runner.argvs] == ["qsub", "qsub"]


def test_a_follow_up_whose_answer_was_lost_is_found_and_used(request_for: MakeRequest) -> None:
    executor, runner = pbs(LATE, (0, "24.x\n", ""), (0, "25[].x", ""))

    submission = executor.submit(request_for(size=3), request_for(token="after"))

    assert submission.follow_up is not None
    assert submission.follow_up.native_id == "24.x"
    assert runner.argvs[1:2] == [("qselect", "-N", "after")]
    assert "depend=beforeany:24.x" in runner.argvs[2]


@pytest.mark.parametrize("answers", [[(0, "", ""), (0, "", "")], [DOWN]])
def test_no_work_is_submitted_while_a_follow_up_may_wait_for_ever(
    request_for: MakeRequest, answers: list[Answer]
) -> None:
    executor, runner = pbs(LATE, *answers)
    with pytest.raises(SubmissionUncertainError):
        executor.submit(request_for(size=3), request_for())
    assert sum(argv[0] == "qsub" for argv in runner.argvs) == 1


def test_a_follow_up_that_was_deleted_before_is_not_taken_for_the_new_one(
    request_for: MakeRequest,
) -> None:
    # Work that is to let go a job that is over is given up by PBS itself.
    executor, runner = pbs(LATE, (0, "", ""))
    with pytest.raises(SubmissionUncertainError):
        executor.submit(request_for(size=3), request_for(token="after"))
    assert runner.argvs[1:] == [("qselect", "-N", "after")]


def test_a_follow_up_that_cannot_be_deleted_leaves_the_matter_open(
    request_for: MakeRequest,
) -> None:
    full = (38, "", "qsub: would exceed complex's per-group limit\n")
    executor, _ = pbs((0, "24.x", ""), full, DOWN)
    words = r"per-group limit.*24\.x.*could not be deleted"
    with pytest.raises(SubmissionUncertainError, match=words):
        executor.submit(request_for(size=3), request_for())


def test_what_an_earlier_attempt_left_waiting_is_deleted(
    request_for: MakeRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_NATIVE_ID", "23.x")  # this dispatcher, which must not end itself
    (tmp_path / "job.sh").touch()
    executor, runner = pbs((0, "22.x\n23.x\n", ""), (0, "", ""), (0, "24.x", ""), (0, "25[].x", ""))
    executor.submit(request_for(size=3), request_for(token="after"))
    assert runner.argvs[:2] == [("qselect", "-N", "after"), ("qdel", "22.x")]


def test_work_is_submitted_even_if_its_follow_up_is_not(request_for: MakeRequest) -> None:
    executor, _ = pbs(
        (38, "", "qsub: would exceed queue generic's per-group limit\n"), (0, "25[].x", "")
    )
    submission = executor.submit(request_for(size=2), request_for())
    assert (submission.job.native_id, submission.follow_up) == ("25[].x", None)


@pytest.mark.parametrize(
    ("own", "left"),
    [
        ({"l": "select=2:ncpus=4:mpiprocs=4"}, ["walltime=00:10:00"]),
        ({"l": ["nodes=2:ppn=4", "fast=1"]}, ["walltime=00:10:00"]),
        ({"l": "walltime=01:00:00"}, ["select=1:ncpus=2"]),
        ({"l": "fast=1"}, ["select=1:ncpus=2", "walltime=00:10:00"]),
    ],
)
def test_an_option_takes_the_place_of_what_it_would_clash_with(
    request_for: MakeRequest, own: dict[str, object], left: list[str]
) -> None:
    executor, _ = pbs()
    asked = Resources(cpus=2, time=timedelta(minutes=10), options={"pbs": own})
    script = executor.script(request_for(resources=asked))
    theirs = own["l"] if isinstance(own["l"], list) else [own["l"]]
    written = re.findall(r"^#PBS -l (.*)$", script, re.MULTILINE)
    assert written == [*left, *theirs]


def test_a_job_may_begin_later(request_for: MakeRequest) -> None:
    executor, runner = pbs((0, "24.x", ""))
    executor.submit(request_for(begin_in=timedelta(minutes=10)))
    assert runner.argvs[0][1] == "-a"
    begin = datetime.strptime(runner.argvs[0][2], "%Y%m%d%H%M.%S")
    assert 590 < (begin - datetime.now()).total_seconds() < 605


@pytest.mark.parametrize("text", ["24.node01\n", "checking 7 quotas\n24.node01\n", "24[].a-b.c\n"])
def test_the_id_is_found_in_what_qsub_prints(request_for: MakeRequest, text: str) -> None:
    executor, _ = pbs((0, text, ""))
    assert executor.submit(request_for()).job.native_id.startswith("24")


# -- asking --------------------------------------------------------------------------------
def test_one_call_asks_about_all_jobs_and_another_about_those_that_are_over() -> None:
    queue = "Job Id: 24[].x|job_state=Q\n"
    history = "Job Id: 25.x|job_state=F|Exit_status=0|substate=92\n"
    executor, runner = pbs((35, queue, FINISHED[2]), (0, history, ""))

    said = executor.poll([JobHandle(native_id="24[].x", size=3), JobHandle(native_id="25.x")])

    assert runner.argvs == [
        ("qstat", "-t", "-f", "-F", "dsv", "24[].x", "25.x"),
        ("qstat", "-x", "-t", "-f", "-F", "dsv", "25.x"),
    ]
    assert [status.state for status in said] == [JobState.QUEUED, JobState.COMPLETED]


def test_a_server_without_history_is_not_asked_for_it_twice() -> None:
    executor, runner = pbs(UNKNOWN, NO_HISTORY, UNKNOWN, (0, "", ""))
    handle = JobHandle(native_id="24.x")

    assert executor.poll([handle])[0].state is JobState.UNKNOWN
    assert executor.poll([handle])[0].state is JobState.UNKNOWN
    assert executor.find("token") == []

    assert sum("-x" in argv for argv in runner.argvs) == 1


def test_a_recorded_mixed_answer_is_no_failure() -> None:
    step = recorded("qstat-dsv-batch-one-unknown")
    executor, _ = pbs((step.exit_code, step.stdout, step.stderr), UNKNOWN)
    handles = [JobHandle(native_id=f"{number}.node01") for number in (11, 99999, 13)]

    said = {status.native_id: status.state for status in executor.poll(handles)}

    assert said == {
        "11.node01": JobState.COMPLETED,
        "13.node01": JobState.FAILED,
        "99999.node01": JobState.UNKNOWN,
    }


def test_a_server_that_is_away_says_nothing() -> None:
    for call in ("poll", "find", "cancel"):
        executor, _ = pbs(DOWN)
        argument: Any = "token" if call == "find" else [JobHandle(native_id="24.x")]
        with pytest.raises(SchedulerUnavailableError, match="cannot connect"):
            getattr(executor, call)(argument)


def test_words_that_are_no_ids_are_not_asked_about() -> None:
    executor, runner = pbs()
    (status,) = executor.poll([JobHandle(native_id="workq")])
    assert status.state is JobState.UNKNOWN
    assert runner.commands == []


@pytest.mark.parametrize(
    "said",
    [
        "qdel: Job has finished 24.x\n",
        "qdel: Unknown Job Id 24.x\n",
        "qdel: Request invalid for finished array subjob 24[1].x\n",
    ],
)
def test_cancelling_what_is_gone_is_silent(said: str) -> None:
    executor, _ = pbs((35, "", said))
    executor.cancel([JobHandle(native_id="24.x")])


def test_a_job_that_could_not_be_deleted_is_told_beside_one_that_is_gone() -> None:
    said = "qdel: Unknown Job Id 24.x\nqdel: Unauthorized Request  25.x\n"
    executor, _ = pbs((159, "", said))
    with pytest.raises(SchedulerUnavailableError, match="Unauthorized"):
        executor.cancel([JobHandle(native_id="24.x"), JobHandle(native_id="25.x")])


def test_elements_are_cancelled_by_ranges() -> None:
    executor, runner = pbs((0, "", ""))
    executor.cancel_positions(JobHandle(native_id="24[].x", size=9), [1, 2, 3, 7])
    assert runner.argvs == [("qdel", "24[1-3].x", "24[7].x")]


ME = pwd.getpwuid(os.getuid()).pw_name


def test_limits_of_server_and_queue_are_found_out() -> None:
    server = "Server: x\n    default_queue = workq\n    max_array_size = 10000\n"
    queue = "Queue: workq\n    max_queued = [u:PBS_GENERIC=50]\n    max_array_size = 300\n"
    executor, runner = pbs((0, server, ""), (0, queue, ""), (0, "24.x\n25[].x\n25[0].x\n", ""))

    found = executor.limits()

    assert (found.max_array_size, found.max_submit_jobs, found.queued_jobs) == (300, 50, 2)
    assert runner.argvs[1:] == [
        ("qstat", "-Q", "-f", "workq"),
        ("qselect", "-T", "-u", ME, "-s", "BEHQRSTUW", "-q", "workq"),
    ]


@pytest.mark.parametrize(
    ("server", "queue", "hours"),
    [("", "", None), ("24:00:00", "", 24), ("", "00:30:00", 0.5), ("24:00:00", "48:00:00", 24)],
)
def test_a_job_may_be_as_long_as_server_and_queue_allow(
    server: str, queue: str, hours: float | None
) -> None:
    texts = [
        f"{head}{f'    resources_max.walltime = {limit}' if limit else ''}\n"
        for head, limit in (
            ("Server: x\n    default_queue = workq\n", server),
            ("Queue: workq\n    resources_max.mem = 1gb\n", queue),
        )
    ]
    executor, runner = pbs(*((0, text, "") for text in texts))

    found = [executor.longest_time(Resources()) for _ in range(2)]

    assert found == [None if hours is None else timedelta(hours=hours)] * 2
    assert runner.argvs == [("qstat", "-B", "-f"), ("qstat", "-Q", "-f", "workq")]


def test_of_two_limits_the_one_with_less_room_counts() -> None:
    server = "Server: x\n    default_queue = workq\n    max_queued = [u:PBS_GENERIC=9]\n"
    queue = "Queue: workq\n    max_queued = [u:PBS_GENERIC=4]\n"
    everywhere, here = "".join(f"{n}.x\n" for n in range(7)), "1.x\n"
    executor, _ = pbs((0, server, ""), (0, queue, ""), (0, everywhere, ""), (0, here, ""))

    found = executor.limits()

    assert (found.max_submit_jobs, found.queued_jobs) == (9, 7)
    assert found.max_array_size == 10000


OVER = (38, "", "qsub: would exceed per-user limit on resource ncpus in complex\n")


NONE: Answer = (0, "", "")
WATCHDOG: Answer = (0, "21.x\n", "")


@pytest.mark.parametrize("others", ["", "23.x\n"])
def test_a_job_over_the_users_own_limit_is_refused_where_nothing_makes_room(
    request_for: MakeRequest, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    monkeypatch.setenv("REFLOW_NATIVE_ID", "23.x")  # this dispatcher
    executor, runner = pbs(OVER, (0, others, ""), WATCHDOG, OVER)
    with pytest.raises(SubmissionRefusedError, match=r"resource ncpus.*Nothing else of yours"):
        executor.submit(request_for())
    assert runner.argvs[1:3] == [
        ("qselect", "-u", ME, "-s", "BEHQRSTU"),
        ("qselect", "-u", ME, "-s", "W"),
    ]


def test_a_job_has_the_last_place_rather_than_its_follow_up(request_for: MakeRequest) -> None:
    executor, runner = pbs((0, "24.x", ""), OVER, (0, "24.x\n", ""), OVER, NONE, (0, "25.x", ""))

    submission = executor.submit(request_for(), request_for())

    assert runner.argvs[4] == ("qdel", "24.x")
    assert (submission.job.native_id, submission.follow_up) == ("25.x", None)


def test_a_job_is_taken_once_what_was_in_its_way_has_ended_meanwhile(
    request_for: MakeRequest,
) -> None:
    executor, _ = pbs(OVER, NONE, NONE, (0, "25.x", ""))

    assert executor.submit(request_for()).job.native_id == "25.x"


@pytest.mark.parametrize(
    "answers",
    [
        [(0, "25[].x\n", "")],
        [NONE, (0, "21.x\n22.x\n", "")],
        [DOWN],
        [NONE, NONE, (1, "", "qsub: Queue is not enabled\n")],
    ],
)
def test_a_job_over_the_users_own_limit_waits_for_the_users_other_jobs(
    request_for: MakeRequest, answers: list[Answer]
) -> None:
    executor, _ = pbs(OVER, *answers)
    with pytest.raises(SubmissionDeferredError):
        executor.submit(request_for())


def test_a_follow_up_does_not_give_way_to_what_others_will_make_room_for(
    request_for: MakeRequest,
) -> None:
    executor, runner = pbs((0, "24.x", ""), OVER, (0, "24.x\n25[].x\n", ""), NONE)
    with pytest.raises(SubmissionDeferredError):
        executor.submit(request_for(), request_for())
    assert runner.argvs[-1] == ("qdel", "24.x")


@pytest.mark.parametrize(
    ("said", "size"), [("would exceed complex's per-group limit", None), (OVER[2], 3)]
)
def test_a_limit_of_others_or_of_fewer_elements_is_waited_for(
    request_for: MakeRequest, said: str, size: int | None
) -> None:
    executor, runner = pbs((38, "", f"qsub: {said}"))
    with pytest.raises(SubmissionDeferredError):
        executor.submit(request_for(size=size))
    assert len(runner.argvs) == 1


# -- which PBS it is -----------------------------------------------------------------------


def test_every_setting_is_documented() -> None:
    page = (REPOSITORY / "docs" / "schedulers" / "pbs.md").read_text()
    for item in dataclasses.fields(PBSExecutor):
        assert not item.init or f"`{item.name}`" in page, item.name
