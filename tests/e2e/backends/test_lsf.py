"""Jobs and whole workflows through reflow-lsf, on a fake LSF that really runs them."""

from __future__ import annotations

import dataclasses
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState, RunState
from reflow.testing.fakes import FakeScheduler
from reflow_lsf.executor import LSFExecutor

from tests.e2e.backends.on_a_fake import STAGES, MakeFlow, Shell, end_of, states
from tests.e2e.backends.on_a_fake import shell as shell
from tests.e2e.fixtures import flow_file as flow_file
from tests.e2e.support import counts, fake_scheduler, until
from tests.fakes import fake_of

SLOW = """
wf = Workflow("slow")


@wf.job()
def slow() -> str:
    did("begun")
    wait_for("never")
    return "done"
"""


@pytest.fixture
def lsf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeScheduler]:
    with fake_scheduler("lsf", tmp_path, monkeypatch) as fake:
        yield fake


def test_a_run_goes_from_stage_to_stage_by_itself(lsf: FakeScheduler, flow_file: MakeFlow) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="lsf")

    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert run.result("gather") == "abc"
    lsf.wait_until_idle()


def test_a_run_in_a_folder_with_a_difficult_name(
    lsf: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    name = "a 'b' \"c\" %J $HOME {x} \\n é"
    run = flow_file(STAGES).load().submit(run_dir=tmp_path / name, executor="lsf")

    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS


@pytest.mark.parametrize("name", ["/".join(["long" * 20] * 4), "two\nlines", "plain"])
def test_jobs_are_told_where_they_were_submitted_where_lsf_can_hold_that(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    request = dataclasses.replace(
        shell('echo "$LS_SUBCWD" > told; pwd > worked'), working_directory=folder
    )
    executor = LSFExecutor()

    status = end_of(executor, executor.submit(request).job)

    assert status.state is JobState.COMPLETED
    assert (folder / "worked").read_text() == f"{folder}\n"
    assert (folder / "told").read_text() == (f"{folder}\n" if name == "plain" else "/\n")


def test_elements_are_told_their_positions_and_ids(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    request = shell('echo "$REFLOW_NATIVE_ID" > got-$1', size=3, throttle=2)
    executor = LSFExecutor()

    handle = executor.submit(request).job
    until(lambda: all(state.over for state in states(executor, handle)))

    got = [(tmp_path / f"got-{position}").read_text().strip() for position in range(3)]
    assert got == [f"{handle.native_id}[{index}]" for index in (1, 2, 3)]


@pytest.mark.parametrize(
    ("text", "cause", "code", "number"),
    [
        ("exit 3", FailureCause.EXIT_CODE, 3, None),
        ("kill -9 $$", FailureCause.SIGNAL, None, 9),
        ("kill -SEGV $$", FailureCause.SIGNAL, None, signal.SIGSEGV),
    ],
)
def test_why_a_job_failed(
    lsf: FakeScheduler,
    shell: Shell,
    text: str,
    cause: FailureCause,
    code: int | None,
    number: int | None,
) -> None:
    executor = LSFExecutor()

    status = end_of(executor, executor.submit(shell(text)).job)

    assert (status.state, status.cause) == (JobState.FAILED, cause)
    assert (status.exit_code, status.signal) == (code, number)


def test_the_log_has_what_the_setup_says(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor(setup=("echo no such module", "exit 7"))
    request = shell("true")

    status = end_of(executor, executor.submit(request).job)

    assert status.exit_code == 7
    assert (request.directory / "scheduler.log").read_text() == "no such module\n"


def test_work_over_its_time_is_told_by_sigterm(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = LSFExecutor()
    told = "trap 'echo told > told; exit 9' TERM; : > began; while :; do sleep 0.05; done"
    request = shell(told, resources=Resources(time=timedelta(minutes=1)))

    handle = executor.submit(request).job
    until(lambda: (tmp_path / "began").exists())
    lsf.advance(70)

    assert end_of(executor, handle).cause is FailureCause.WALLTIME
    assert (tmp_path / "told").read_text() == "told\n"


def test_a_job_that_somebody_killed_was_cancelled(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = LSFExecutor()
    handle = executor.submit(shell(": > began; exec sleep 60")).job
    until(lambda: (tmp_path / "began").exists())

    executor.cancel([handle])

    assert end_of(executor, handle).state is JobState.CANCELLED


def test_work_that_was_killed_and_ends_as_it_likes_was_cancelled(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = LSFExecutor()
    text = "trap 'exit 1' INT TERM; : > began; while :; do sleep 0.05; done"
    handle = executor.submit(shell(text)).job
    until(lambda: (tmp_path / "began").exists())

    executor.cancel([handle])

    assert end_of(executor, handle).state is JobState.CANCELLED


def test_a_function_that_somebody_interrupts_was_cancelled(
    lsf: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(SLOW)
    run = flow.load().submit(run_dir="run", executor="lsf")
    until(lambda: flow.calls["begun"])
    listed = subprocess.run(["bjobs", "-w", "-r"], capture_output=True, text=True, check=True)
    (native_id,) = re.findall(r"^(\d+) .* slow-", listed.stdout, re.MULTILINE)

    subprocess.run(["bkill", native_id], check=True)
    until(lambda: run.state.final)

    assert counts(run, "slow") == {"CANCELLED": 1}


def test_an_array_that_was_killed_as_a_whole_was_cancelled(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    """No element waits: one that does is passed over by LSF, and goes on."""
    executor = LSFExecutor()
    handle = executor.submit(shell(": > began-$1; exec sleep 60", size=2)).job
    until(lambda: (tmp_path / "began-0").exists() and (tmp_path / "began-1").exists())

    executor.cancel([JobHandle(native_id=handle.native_id)])

    until(lambda: all(state.over for state in states(executor, handle)))
    assert set(states(executor, handle)) == {JobState.CANCELLED}


def test_of_an_array_what_waits_is_cancelled_too(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path
) -> None:
    executor = LSFExecutor()
    handle = executor.submit(shell(": > began-$1; exec sleep 60", size=4, throttle=2)).job
    until(lambda: (tmp_path / "began-0").exists() and (tmp_path / "began-1").exists())

    executor.cancel([handle])

    until(lambda: all(state.over for state in states(executor, handle)))
    assert not (tmp_path / "began-2").exists()


def test_gpus_are_refused_where_bsub_would_pass_them_over(lsf: FakeScheduler, shell: Shell) -> None:
    with pytest.raises(SubmissionRefusedError, match="gpu_option"):
        LSFExecutor().submit(shell("true", resources=Resources(gpus=1)))


@pytest.mark.parametrize("fields", [{"mem": 9000 * 1024**2}, {"cpus": 12}])
def test_what_no_host_has_is_told(tmp_path: Path, shell: Shell, fields: dict[str, Any]) -> None:
    with fake_of("lsf", tmp_path, node_names=["vm", "vm2"]) as fake:
        fake.activate()
        executor = LSFExecutor()
        handle = executor.submit(shell("true", resources=Resources(**fields))).job

        until(lambda: executor.poll([handle])[0].impossible)

        (status,) = executor.poll([handle])
        assert status.state is JobState.QUEUED
        assert "no host has" in status.reason


GREEDY = """exec python3 -c 'x = bytearray(200 * 2**20); import time; time.sleep(60)'"""


@pytest.mark.parametrize("size", [None, 1])
def test_what_a_site_ends_over_its_memory(tmp_path: Path, shell: Shell, size: int | None) -> None:
    """OpenLava says nothing of it, neither in bjobs nor in bhist."""
    with fake_of("lsf", tmp_path, enforce_memory=True) as fake:
        fake.activate()
        (Path(fake.environment["LSF_ENVDIR"]) / "lsf.conf").write_text("LSB_MEMLIMIT_ENFORCE=y\n")
        executor = LSFExecutor()
        request = shell(GREEDY, size=size, resources=Resources(mem=100 * 1024**2))

        status = end_of(executor, executor.submit(request).job)

    assert (status.state, status.cause) == (JobState.FAILED, FailureCause.MEMORY)


def test_a_history_that_cannot_be_read_here_holds_up_nothing(tmp_path: Path, shell: Shell) -> None:
    with fake_of("lsf", tmp_path, readable_events=False) as fake:
        fake.activate()
        executor = LSFExecutor()
        handle = executor.submit(shell("exit 3")).job
        assert end_of(executor, handle).exit_code == 3

        fake.age_out()

        assert states(executor, handle) == [JobState.UNKNOWN]
        assert executor.find("convert-ab12-3") == []


def test_a_job_is_of_the_project_that_was_asked_for(
    lsf: FakeScheduler, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LSB_DEFAULTPROJECT", "everybody")
    executor = LSFExecutor()

    request = shell("true", resources=Resources(account="my 'own'"))
    handle = executor.submit(request).job
    other = executor.submit(shell("true", token="other-ab12-3")).job

    def project(job: JobHandle) -> str:
        said = subprocess.run(
            ["bjobs", "-UF", job.native_id], capture_output=True, text=True, check=True
        )
        (found,) = re.findall(r"Project <(.*?)>,", said.stdout)
        return str(found)

    assert [project(handle), project(other)] == ["my 'own'", "everybody"]


def test_every_second_element_of_a_large_array_is_cancelled(tmp_path: Path, shell: Shell) -> None:
    with fake_of("lsf", tmp_path) as fake:
        fake.activate()
        executor = LSFExecutor()
        later = timedelta(hours=1)
        handle = executor.submit(shell("true", size=600, begin_in=later)).job

        executor.cancel_positions(handle, list(range(0, 600, 2)))

        until(lambda: states(executor, handle).count(JobState.CANCELLED) == 300)
        assert states(executor, handle).count(JobState.QUEUED) == 300
        executor.cancel([handle])


def test_some_elements_are_cancelled(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor()
    later = timedelta(hours=1)
    handle = executor.submit(shell("true", size=5, begin_in=later)).job

    executor.cancel_positions(handle, [0, 2, 3])

    def found() -> dict[int, JobState]:
        return {
            position: status.state
            for status in executor.poll([handle])
            for position in status.positions or ()
        }

    until(lambda: list(found().values()).count(JobState.CANCELLED) == 3)
    assert [found()[position] for position in (1, 4)] == [JobState.QUEUED] * 2
    executor.cancel([handle])
    executor.cancel([handle, JobHandle(native_id="999999"), JobHandle(native_id="host:1:2")])


def test_a_follow_up_waits_for_a_failure(lsf: FakeScheduler, shell: Shell, tmp_path: Path) -> None:
    executor = LSFExecutor()
    work = shell("while [ ! -e go ]; do sleep 0.05; done; exit $1", size=2)
    follow_up = shell(": > followed", token="dispatch-ab12-4")

    submission = executor.submit(work, follow_up)

    assert submission.follow_up is not None
    assert states(executor, submission.follow_up) == [JobState.QUEUED]
    (tmp_path / "go").touch()
    assert end_of(executor, submission.follow_up).state is JobState.COMPLETED
    assert (tmp_path / "followed").exists()


def test_a_follow_up_of_a_forgotten_job_does_not_wait(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor()
    gone = JobHandle(native_id="999999")

    handle = executor.submit_one(shell("true"), gone)

    assert end_of(executor, handle).state is JobState.COMPLETED


def test_a_job_that_lsf_has_forgotten_is_in_its_history(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor()
    handle = executor.submit(shell("exit 3")).job
    end_of(executor, handle)

    lsf.age_out()

    assert end_of(executor, handle).exit_code == 3
    assert [found.native_id for found in executor.find("convert-ab12-3")] == [handle.native_id]
    lsf.age_out(accounting=True)
    assert states(executor, handle) == [JobState.UNKNOWN]
    assert executor.find("convert-ab12-3") == []


def test_a_submission_whose_answer_was_lost_is_found(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor()
    lsf.lose_next_answer("bsub")

    with pytest.raises((SubmissionUncertainError, SchedulerUnavailableError)):
        executor.submit(shell("true", size=3))

    (found,) = executor.find("convert-ab12-3")
    assert found.native_id.isdigit()


def test_commands_that_never_return_are_given_up(lsf: FakeScheduler, shell: Shell) -> None:
    handle = LSFExecutor().submit(shell("true")).job
    lsf.go_down()
    executor = LSFExecutor(timeout=0.5, max_array_size=10)

    with pytest.raises(SchedulerUnavailableError, match=r"did not answer within 0\.5 s"):
        executor.poll([handle])
    executor.wait(0)  # until the next step
    with pytest.raises(SubmissionUncertainError):
        executor.submit(shell("true", token="other-ab12-3"))
    lsf.come_up()


def test_limits_come_from_bparams(lsf: FakeScheduler) -> None:
    assert LSFExecutor().limits().max_array_size == 1000


def test_places_in_the_queue_are_counted_by_elements(lsf: FakeScheduler, shell: Shell) -> None:
    executor = LSFExecutor(max_submit_jobs=100)
    assert executor.limits().queued_jobs == 0
    handle = executor.submit(shell("true", size=5, begin_in=timedelta(hours=1))).job

    assert executor.limits().queued_jobs == 5
    executor.cancel([handle])


def test_jobs_inherit_little(
    lsf: FakeScheduler, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "told")
    monkeypatch.setenv("BSUB_QUIET", "1")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    executor = LSFExecutor()

    handle = executor.submit(shell("env > got", environment={"GIVEN": "yes"})).job
    end_of(executor, handle)

    got = (tmp_path / "got").read_text()
    assert "SECRET" not in got
    assert "GIVEN=yes" in got
    assert "LANG=de_DE.UTF-8" in got
    assert "LC_ALL" not in got
    assert sys.platform != "linux" or "PATH=" in got
