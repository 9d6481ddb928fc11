"""What is asked alike of reflow-lsf and reflow-flux, on fakes that really run jobs."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.executors.batch.base import BatchExecutor
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState, RunState
from reflow.testing.fakes import FakeScheduler
from reflow_flux.executor import FluxExecutor
from reflow_lsf.executor import LSFExecutor

from tests.e2e.backends.on_a_fake import STAGES, MakeFlow, Shell, end_of, states
from tests.e2e.backends.on_a_fake import shell as shell
from tests.e2e.fixtures import flow_file as flow_file
from tests.e2e.fixtures import on_fakes
from tests.e2e.support import until

Make = Callable[..., BatchExecutor]

EXECUTORS: dict[str, Make] = {"lsf": LSFExecutor, "flux": FluxExecutor}
UNKNOWN = {"lsf": "999999", "flux": "f12345"}
"""The id of a job that there never was."""

cluster = on_fakes(*EXECUTORS)


@pytest.fixture
def make(cluster: FakeScheduler) -> Make:
    """The cluster's executor."""
    return EXECUTORS[cluster.name]


def test_a_run_goes_from_stage_to_stage_by_itself(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor=cluster.name)

    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert run.result("gather") == "abc"
    cluster.wait_until_idle()


def test_a_run_in_a_folder_with_a_difficult_name(
    cluster: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    name = "a 'b' \"c\" %J $HOME {x} \\n é"
    run = flow_file(STAGES).load().submit(run_dir=tmp_path / name, executor=cluster.name)

    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS


@pytest.mark.parametrize(
    ("text", "cause", "code", "number"),
    [
        ("exit 3", FailureCause.EXIT_CODE, 3, None),
        ("kill -9 $$", FailureCause.SIGNAL, None, 9),
        ("kill -SEGV $$", FailureCause.SIGNAL, None, signal.SIGSEGV),
    ],
)
def test_why_a_job_failed(
    make: Make,
    shell: Shell,
    text: str,
    cause: FailureCause,
    code: int | None,
    number: int | None,
) -> None:
    executor = make()

    status = end_of(executor, executor.submit(shell(text)).job)

    assert (status.state, status.cause) == (JobState.FAILED, cause)
    assert (status.exit_code, status.signal) == (code, number)


def test_the_log_has_what_the_setup_says(make: Make, shell: Shell) -> None:
    executor = make(setup=("echo no such module", "exit 7"))
    request = shell("true")

    status = end_of(executor, executor.submit(request).job)

    assert status.exit_code == 7
    assert (request.directory / "scheduler.log").read_text() == "no such module\n"


def test_work_over_its_time_is_told_by_sigterm(
    cluster: FakeScheduler, make: Make, shell: Shell, tmp_path: Path
) -> None:
    executor = make()
    told = "trap 'echo told > told; exit 9' TERM; : > began; while :; do sleep 0.05; done"
    request = shell(told, resources=Resources(time=timedelta(minutes=1)))

    handle = executor.submit(request).job
    until(lambda: (tmp_path / "began").exists())
    cluster.advance(70)

    assert end_of(executor, handle).cause is FailureCause.WALLTIME
    assert (tmp_path / "told").read_text() == "told\n"


def test_a_job_that_somebody_killed_was_cancelled(make: Make, shell: Shell, tmp_path: Path) -> None:
    executor = make()
    handle = executor.submit(shell(": > began; exec sleep 60")).job
    until(lambda: (tmp_path / "began").exists())

    executor.cancel([handle])

    assert end_of(executor, handle).state is JobState.CANCELLED


def test_some_elements_are_cancelled(cluster: FakeScheduler, make: Make, shell: Shell) -> None:
    executor = make()
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
    executor.cancel(
        [handle, JobHandle(native_id=UNKNOWN[cluster.name]), JobHandle(native_id="host:1:2")]
    )


def test_a_follow_up_waits_for_a_failure(make: Make, shell: Shell, tmp_path: Path) -> None:
    executor = make()
    work = shell("while [ ! -e go ]; do sleep 0.05; done; exit $1", size=2)
    follow_up = shell(": > followed", token="dispatch-ab12-4")

    submission = executor.submit(work, follow_up)

    assert submission.follow_up is not None
    assert states(executor, submission.follow_up) == [JobState.QUEUED]
    (tmp_path / "go").touch()
    assert end_of(executor, submission.follow_up).state is JobState.COMPLETED
    assert (tmp_path / "followed").exists()


def test_a_follow_up_of_a_forgotten_job_does_not_wait(
    cluster: FakeScheduler, make: Make, shell: Shell
) -> None:
    executor = make()
    gone = JobHandle(native_id=UNKNOWN[cluster.name])

    handle = executor.submit_one(shell("true"), gone)

    assert end_of(executor, handle).state is JobState.COMPLETED


def test_places_in_the_queue_are_counted_by_elements(make: Make, shell: Shell) -> None:
    executor = make(max_submit_jobs=100)
    assert executor.limits().queued_jobs == 0
    handle = executor.submit(shell("true", size=5, begin_in=timedelta(hours=1))).job

    assert executor.limits().queued_jobs == 5
    executor.cancel([handle])
