"""What the local executor tells of an array whose elements are settled one by one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reflow.executors.local import LocalExecutor
from reflow.model.jobs import JobHandle, JobRequest
from reflow.model.resources import Resources
from reflow.model.states import JobState

from tests.e2e.support import until


def request(folder: Path, size: int) -> JobRequest:
    return JobRequest(
        token="each-1",
        command=(sys.executable, "-c", "pass"),
        directory=folder,
        working_directory=folder,
        resources=Resources(),
        size=size,
    )


@pytest.fixture
def ended(tmp_path: Path) -> tuple[LocalExecutor, JobHandle]:
    """An array of three that has ended."""
    executor = LocalExecutor(slots=1)
    handle = executor.submit(request(tmp_path, 3)).job

    def over() -> bool:
        executor.wait(0.05)
        states = [status.state for status in executor.poll([handle])]
        return states.count(JobState.COMPLETED) == 3

    until(over)
    return executor, handle


def test_a_settled_position_is_not_told_again(ended: tuple[LocalExecutor, JobHandle]) -> None:
    executor, handle = ended
    wanted = {0, 1, 2}
    assert len(executor.poll_positions(handle, wanted)) == 3
    wanted.discard(1)

    told = executor.poll_positions(handle, wanted)

    assert sorted(status.positions[0] for status in told if status.positions) == [0, 2]
    assert executor.poll_positions(handle, set()) == []
    assert len(executor.poll([handle])) == 3


def test_positions_that_only_wait_are_not_told(tmp_path: Path) -> None:
    executor = LocalExecutor(slots=1)
    handle = executor.submit(request(tmp_path, 1000)).job
    assert len(executor.poll_positions(handle, range(1000))) == 1
    executor.cancel([handle])
    executor.close()
