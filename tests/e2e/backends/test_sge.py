"""Jobs through reflow-sge, on a fake Grid Engine that really runs them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.errors import (
    SubmissionDeferredError,
)
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.testing.fakes import FakeScheduler
from reflow_sge.executor import SGEExecutor

from tests.e2e.backends.on_a_fake import work
from tests.fakes import fake_of
from tests.live.daemons import wait_for


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeScheduler]:
    with fake_of("sge", tmp_path) as fake:
        fake.activate()
        yield fake


def test_work_that_ends_at_once_when_it_is_warned_keeps_its_exit_code(
    fake: FakeScheduler, tmp_path: Path
) -> None:
    # The shell is so slow that the work has ended before it can be waited for once more.
    slow = 'kill() { builtin kill "$@"; sleep 0.5; }'
    executor = SGEExecutor(warning=2, setup=(slow,))
    line = "trap 'echo warned; exit 5' TERM; while :; do sleep 0.05; done"
    resources = Resources(time=timedelta(seconds=4))
    handle = executor.submit(work(tmp_path, "warned", line, resources=resources)).job

    wait_for("the end", lambda: executor.poll([handle])[0].state.over)

    (said,) = executor.poll([handle])
    assert (said.exit_code, said.cause) == (5, FailureCause.WALLTIME)


def test_an_array_and_its_follow_up_run_on_the_fake(fake: FakeScheduler, tmp_path: Path) -> None:
    executor = SGEExecutor()
    resources = Resources(cpus=2, mem=2**28, time=timedelta(minutes=1))
    array = work(tmp_path, "a b", "exit $((98 + $0))", size=3, resources=resources)
    submission = executor.submit(array, work(tmp_path, "after", "echo done"))
    assert submission.follow_up is not None
    handles = [submission.job, submission.follow_up]

    wait_for("the end", lambda: all(status.state.over for status in executor.poll(handles)))

    by_position = {s.positions: s for s in executor.poll([submission.job])}
    assert [by_position[range(i, i + 1)].exit_code for i in range(3)] == [98, 1, 1]
    assert [found.native_id for found in executor.find(array.token)] == [submission.job.native_id]
    assert (tmp_path / "after" / "scheduler.log").read_text() == "done\n"


def test_elements_are_cancelled_on_the_fake(fake: FakeScheduler, tmp_path: Path) -> None:
    executor = SGEExecutor()
    request = work(tmp_path, "long", "sleep 60", size=4, throttle=1)
    handle = executor.submit(request).job

    def states() -> list[JobState]:
        found = {p: s.state for s in executor.poll([handle]) for p in s.positions or ()}
        return [found[position] for position in range(4)]

    wait_for("the start", lambda: states()[0] is JobState.RUNNING)
    executor.cancel_positions(handle, [0, 2, 3])
    wait_for("the end of the first", lambda: states()[0].over)

    assert states()[2:] == [JobState.UNKNOWN] * 2
    executor.cancel([handle, JobHandle(native_id="99999")])


def test_a_limit_on_jobs_defers_on_the_fake(tmp_path: Path) -> None:
    with fake_of("sge", tmp_path, max_u_jobs=1) as fake:
        fake.activate()
        executor = SGEExecutor()
        executor.submit(work(tmp_path, "one", "sleep 60"))
        with pytest.raises(SubmissionDeferredError):
            executor.submit(work(tmp_path, "two", "true"))


def test_what_can_never_start_is_impossible_on_the_fake(
    fake: FakeScheduler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reflow_sge.verification.PATIENCE", timedelta(0))
    executor = SGEExecutor()
    executor.submit(work(tmp_path, "all", "sleep 60", resources=Resources(cpus=8)))
    greedy = work(tmp_path, "greedy", "true", resources=Resources(mem=2**50))
    behind = work(tmp_path, "behind", "true", resources=Resources(cpus=8))
    handles = [executor.submit(request).job for request in (greedy, behind)]

    impossible = {s.native_id for s in executor.poll(handles) if s.impossible}

    assert impossible == {handles[0].native_id}


def command_in(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "qstat").write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / "qstat").chmod(0o755)
    return folder


@pytest.mark.parametrize("neighbour", [None, "usage: qstat [-f] of PBS"])
def test_a_job_finds_the_commands_where_execd_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, neighbour: str | None
) -> None:
    ours = command_in(tmp_path / "root" / "bin" / "lx-amd64", "SGE 8.1.9")
    path = tmp_path / "empty"
    if neighbour is not None:
        command_in(path, neighbour)
    monkeypatch.setenv("PATH", str(path))
    monkeypatch.setenv("SGE_BINARY_PATH", str(tmp_path / "nowhere"))
    monkeypatch.setenv("SGE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("ARC", "lx-amd64")

    assert SGEExecutor()._commands.delete(["24"]).argv[0] == f"{ours}/qdel"


def test_commands_on_the_path_need_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(command_in(tmp_path / "bin", "SGE 8.1.9")))

    assert SGEExecutor()._commands.delete(["24"]).argv[0] == "qdel"
