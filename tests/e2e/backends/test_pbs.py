"""Jobs through reflow-pbs, on a fake PBS that really runs them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
)
from reflow.model.jobs import JobHandle
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.testing.fakes import FakeScheduler
from reflow_pbs.executor import PBSExecutor

from tests.e2e.backends.on_a_fake import work
from tests.fakes import fake_of
from tests.live.daemons import wait_for


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeScheduler]:
    with fake_of("pbs", tmp_path) as fake:
        fake.activate()
        yield fake


def over(executor: PBSExecutor, *handles: JobHandle) -> None:
    wait_for("the end", lambda: all(status.state.over for status in executor.poll(handles)))


def test_an_array_and_its_follow_up_run_on_the_fake(fake: FakeScheduler, tmp_path: Path) -> None:
    executor = PBSExecutor()
    resources = Resources(cpus=2, mem=2**28, time=timedelta(minutes=1))
    array = work(tmp_path, "a: b", "echo $0; exit $0", size=3, resources=resources)
    submission = executor.submit(array, work(tmp_path, "after", "echo done"))
    assert submission.follow_up is not None

    over(executor, submission.job, submission.follow_up)

    by_position = {status.positions: status for status in executor.poll([submission.job])}
    assert [by_position[range(i, i + 1)].exit_code for i in range(3)] == [None, 1, 2]
    assert [found.native_id for found in executor.find(array.token)] == [submission.job.native_id]
    assert sorted((tmp_path / "a: b" / "scheduler.log").read_text().split()) == ["0", "1", "2"]
    assert (tmp_path / "after" / "scheduler.log").read_text() == "done\n"


def test_a_plain_job_deleted_before_it_starts_lets_its_follow_up_go(
    fake: FakeScheduler, tmp_path: Path
) -> None:
    executor = PBSExecutor()
    later = work(tmp_path, "later", "true", begin_in=timedelta(hours=1))
    submission = executor.submit(later, work(tmp_path, "after", "echo done"))
    assert submission.follow_up is not None

    executor.cancel([submission.job])

    over(executor, submission.follow_up)
    (status,) = executor.poll([submission.job])
    assert status.state is JobState.CANCELLED


def test_elements_are_cancelled_on_the_fake(fake: FakeScheduler, tmp_path: Path) -> None:
    executor = PBSExecutor()
    handle = executor.submit(work(tmp_path, "long", "sleep 60", size=4, throttle=1)).job

    def states() -> list[JobState]:
        found = {p: s.state for s in executor.poll([handle]) for p in s.positions or ()}
        return [found[position] for position in range(4)]

    wait_for("the start", lambda: states()[0] is JobState.RUNNING)
    executor.cancel_positions(handle, [1, 2, 3])
    executor.cancel_positions(handle, [0])
    over(executor, handle)
    executor.cancel([handle, JobHandle(native_id="99999.node01")])


def test_without_history_what_is_over_is_unknown(tmp_path: Path) -> None:
    with fake_of("pbs", tmp_path, job_history=False) as fake:
        fake.activate()
        executor = PBSExecutor()
        handle = executor.submit(work(tmp_path, "short", "exit 3")).job
        wait_for("forgetting", lambda: executor.poll([handle])[0].state is JobState.UNKNOWN)


def test_what_can_never_run_and_what_is_too_much_is_told_on_the_fake(
    fake: FakeScheduler, tmp_path: Path
) -> None:
    executor = PBSExecutor()
    greedy = Resources(mem=900 * 2**30)
    handle = executor.submit(work(tmp_path, "greedy", "true", resources=greedy)).job
    wait_for("the reason", lambda: executor.poll([handle])[0].impossible)
    with pytest.raises(SubmissionRefusedError, match="Unknown queue"):
        executor.submit(work(tmp_path, "lost", "true", resources=Resources(queue="nosuch")))
    assert executor.limits().max_array_size == 10000


def test_a_job_over_its_time_is_told_on_the_fake(fake: FakeScheduler, tmp_path: Path) -> None:
    executor = PBSExecutor()
    short = Resources(time=timedelta(seconds=1))
    handle = executor.submit(work(tmp_path, "slow", "sleep 60", resources=short)).job
    over(executor, handle)
    assert executor.poll([handle])[0].cause is FailureCause.WALLTIME


@pytest.mark.parametrize(("cpus", "kind"), [(5, SubmissionRefusedError), (3, None)])
def test_a_job_that_no_end_of_others_makes_room_for_is_refused_on_the_fake(
    tmp_path: Path, cpus: int, kind: type[Exception] | None
) -> None:
    with fake_of("pbs", tmp_path, max_queued_res={"ncpus": 4}) as fake:
        fake.activate()
        executor = PBSExecutor()
        greedy = work(tmp_path, "a", "true", resources=Resources(cpus=cpus))
        after = work(tmp_path, "after", "true")
        if kind is None:
            executor.submit(greedy, after)
            return
        with pytest.raises(kind, match="resource ncpus in complex"):
            executor.submit(greedy, after)
        wait_for("the follow-up's end", lambda: executor._queued(after.token) == [])


def test_a_job_that_others_leave_no_room_for_is_put_off_on_the_fake(tmp_path: Path) -> None:
    with fake_of("pbs", tmp_path, max_queued_res={"ncpus": 4}) as fake:
        fake.activate()
        executor = PBSExecutor()
        two = Resources(cpus=2)
        executor.submit(work(tmp_path, "a", "sleep 60", resources=two))
        after = work(tmp_path, "after", "true")
        with pytest.raises(SubmissionDeferredError):
            executor.submit(work(tmp_path, "b", "true", resources=two), after)


def test_with_one_place_left_the_work_has_it_on_the_fake(tmp_path: Path) -> None:
    with fake_of("pbs", tmp_path, max_queued=2) as fake:
        fake.activate()
        executor = PBSExecutor()
        hour = timedelta(hours=1)
        executor.submit(work(tmp_path, "watchdog", "true", begin_in=hour))

        submission = executor.submit(
            work(tmp_path, "work", "sleep 60"),
            work(tmp_path, "after", "true"),
        )

        assert submission.follow_up is None
        assert executor.poll([submission.job])[0].state is not JobState.UNKNOWN


def test_limits_are_told_on_the_fake(tmp_path: Path) -> None:
    queues = {"workq": {}, "small": {"max_queued": 3, "max_array_size": 2}}
    with fake_of("pbs", tmp_path, queues=queues, max_queued=9) as fake:
        fake.activate()
        executor = PBSExecutor(queue="small")
        executor.submit(work(tmp_path, "a", "sleep 60", size=2))
        found = executor.limits()
        assert (found.max_array_size, found.max_submit_jobs, found.queued_jobs) == (2, 3, 2)
        with pytest.raises(SubmissionDeferredError, match="queue size limit"):
            executor.submit(work(tmp_path, "b", "true", size=3))


def test_a_job_is_over_where_nodes_can_copy_nothing(tmp_path: Path) -> None:
    with fake_of("pbs", tmp_path, copies=False, undelivered_seconds=600.0) as fake:
        fake.activate()
        executor = PBSExecutor()
        over(executor, executor.submit(work(tmp_path, "a", "true")).job)


def shim(folder: Path, said: str, code: int = 0) -> str:
    folder.mkdir()
    (folder / "qstat").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit {code}\n")
    (folder / "qstat").chmod(0o755)
    return str(folder)


def test_of_two_batch_systems_on_one_path_pbs_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid_engine = shim(tmp_path / "sge", 'qstat: invalid option argument "--version"', 1)
    mine = shim(tmp_path / "pbs", "pbs_version = 23.06.06")
    monkeypatch.setenv("PATH", f"{grid_engine}:{mine}:/usr/bin:/bin")
    executor = PBSExecutor()
    assert executor.cancel_command(["1"]).argv[0] == f"{mine}/qdel"


def test_only_another_batch_systems_commands_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{shim(tmp_path / 'sge', 'usage: qstat', 1)}:/usr/bin:/bin")
    with pytest.raises(SchedulerUnavailableError, match="another batch system"):
        PBSExecutor().poll([JobHandle(native_id="1.x")])


@pytest.mark.parametrize("said", ["Version: 6.1.2\nCommit: abc", "version: 4.2.10"])
def test_torque_is_named_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    folder = shim(tmp_path / "torque", said)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with pytest.raises(SchedulerUnavailableError, match=rf"{folder}/qstat is .* Torque's"):
        PBSExecutor().submit(work(tmp_path, "any", "true"))


@pytest.mark.parametrize(
    ("said", "delimited"),
    [("pbs_version = 23.06.06", True), ("pbs_version = PBSPro_13.0.2", False)],
)
def test_the_version_is_found_out_at_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, delimited: bool
) -> None:
    monkeypatch.setenv("PATH", f"{shim(tmp_path / 'bin', said)}:/usr/bin:/bin")
    shown = PBSExecutor().queue_command([JobHandle(native_id="1.x")]).argv
    assert ("dsv" in shown) == delimited


def test_commands_may_be_elsewhere(tmp_path: Path) -> None:
    folder = shim(tmp_path / "opt", "pbs_version = 22.05.11")
    executor = PBSExecutor(qsub="/opt/pbs/bin/qsub", qstat=f"{folder}/qstat")
    command = executor.submit_command(Path("/s"), work(tmp_path, "any", "true"), None)
    assert command.argv == ("/opt/pbs/bin/qsub", "/s")
    assert executor.settings == {"qsub": "/opt/pbs/bin/qsub", "qstat": f"{folder}/qstat"}
