"""What the end of a job means for the elements that shared it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.dispatch.jobs.hosts import Blame, Fate, Hosts, HostsOfWave
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.execution.pool.protocol import Slots
from reflow.model.jobs import JobStatus
from reflow.model.records import SubmissionKind, SubmissionRecord
from reflow.model.resources import Resources, parse_time
from reflow.model.states import FailureCause, JobState
from reflow.rundir.claims import Claim, claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import JobCounts, Pack, new_slots_file, read_job_counts
from reflow.rundir.wave_files import WaveSpec

from tests.unit.dispatch.tasks import task, tracked_run_of

SIZE, BLOCK = 12, 3


class Scene:
    """Twelve elements in two hosts, in blocks of three."""

    def __init__(self, folder: Path, time: str | None = None, at_once: int = 2) -> None:
        self.tracked: TrackedRun = tracked_run_of(task("each", "Q" * SIZE))
        record = SubmissionRecord(
            number=1, kind=SubmissionKind.WAVE, task="each", token="each-1", size=2
        )
        members = dict(enumerate(self.tracked.tasks["each"].instances))
        self.wave = self.tracked.waves[1] = TrackedWave(record, members)
        run = RunLayout(folder, "r")
        self.layout = run.wave(1)
        for made in (self.layout.claims, self.layout.hosts):
            made.mkdir(parents=True)
        need = None if time is None else parse_time(time)
        given = None if need is None else need.total_seconds() + 120
        WaveSpec(
            run_id="r",
            task="each",
            number=1,
            token="each-1",
            size=SIZE,
            code="",
            common={},
            each=(),
            resources=Resources(time=need),
            pack=Pack(hosts=2, at_once=at_once, block=BLOCK, time=given),
        ).write(self.layout)
        self.hosts = Hosts(self.tracked, run)

    def takes(self, host: int, *blocks: int, at: tuple[int, ...] = (), late: float = 0.0) -> None:
        """Have a host claim blocks and begin positions, `late` seconds after it has begun."""
        me = Claim(native_id=f"7_{host}", incarnation="0", host="node", pid=host, element=host)
        for block in blocks:
            assert claim(self.layout, block, me)
        file = new_slots_file(self.layout.hosts, me)
        begun = int(file.name.split(".")[2]) / 1e9
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT)
        os.ftruncate(descriptor, Slots.size_for(4))
        for worker, position in enumerate(at):
            Slots(descriptor).set(worker, 1, position, begun + late)
        os.close(descriptor)

    def ended(self, *positions: int) -> None:
        """Have positions got a result."""
        for position in positions:
            del self.wave.members[position]

    def counted(self, *states: JobStatus) -> JobCounts | None:
        self.hosts.count(self.wave, dict(enumerate(states)))
        return read_job_counts(self.layout.job_counts)

    def fates(self, *states: JobStatus) -> dict[int, Fate]:
        known = HostsOfWave(dict(enumerate(states)))
        return {fate.position: fate for fate in self.hosts.fates(self.wave, known)}

    def blames(self, *states: JobStatus) -> dict[int, Blame]:
        return {position: fate.blame for position, fate in self.fates(*states).items()}


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    return lambda **given: Scene(tmp_path, **given)


def says(state: JobState, cause: FailureCause | None = None, **more: Any) -> JobStatus:
    return JobStatus(native_id="7", state=state, cause=cause, **more)


RUNS, WAITS = says(JobState.RUNNING), says(JobState.QUEUED, reason="Resources")
DONE, UNKNOWN = says(JobState.COMPLETED), says(JobState.UNKNOWN)
KILLED = says(JobState.FAILED, signal=9)


def test_what_a_living_host_has_claimed_runs_and_the_rest_waits(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0, 2)
    fates = one.fates(RUNS, WAITS)
    assert {p for p, fate in fates.items() if fate.status.state is JobState.RUNNING} == {
        *range(3),
        *range(6, 9),
    }
    assert {fate.status.reason for fate in fates.values() if fate.job is None} == {"Resources"}
    assert len(fates) == SIZE


def test_the_only_element_that_a_killed_host_was_at_has_failed(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0, 1, at=(4,))
    blames = one.blames(KILLED, RUNS)
    assert blames[4] is Blame.OWN
    assert {blames[each] for each in (0, 1, 2, 3, 5)} == {Blame.NONE}


def test_several_that_a_killed_host_was_at_are_suspects(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.takes(0, 0, 1, at=(2, 4))
    blames = one.blames(says(JobState.FAILED, FailureCause.MEMORY), RUNS)
    assert {each for each, blame in blames.items() if blame is Blame.SUSPECT} == {2, 4}
    assert Blame.OWN not in blames.values()


def test_an_element_whose_result_is_there_is_no_suspect(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.takes(0, 0, 1, at=(2, 4))
    one.ended(2)
    assert one.blames(KILLED, RUNS)[4] is Blame.OWN


@pytest.mark.parametrize(
    "status",
    [
        DONE,
        UNKNOWN,
        says(JobState.FAILED, FailureCause.NODE),
        says(JobState.FAILED, FailureCause.PREEMPTED),
        says(JobState.FAILED, FailureCause.LOST),
    ],
)
def test_nobody_is_to_blame_for_a_host_that_was_lost_or_has_left(
    scene: Callable[..., Scene], status: JobStatus
) -> None:
    one = scene()
    one.takes(0, 0, 1, 2, 3, at=(2, 4))
    assert set(one.blames(status, DONE).values()) == {Blame.NONE}


def test_elements_of_a_host_that_somebody_cancelled_are_cancelled(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0)
    fates = one.fates(says(JobState.CANCELLED), RUNS)
    assert {fates[each].blame for each in range(3)} == {Blame.OWN}
    assert {fates[each].status.state for each in range(3)} == {JobState.CANCELLED}


@pytest.mark.parametrize(("late", "blame"), [(0.0, Blame.OWN), (100.0, Blame.OWN), (400.0, None)])
def test_only_an_element_that_had_all_its_time_has_run_out_of_it(
    scene: Callable[..., Scene], late: float, blame: Blame | None
) -> None:
    one = scene(time="00:05:00")
    one.takes(0, 0, at=(1,), late=late)
    found = one.blames(says(JobState.FAILED, FailureCause.WALLTIME), RUNS)
    assert found[1] is (blame or Blame.NONE)
    assert found[0] is Blame.NONE


def test_a_wave_whose_hosts_all_end_without_work_fails_with_their_cause(
    scene: Callable[..., Scene],
) -> None:
    fates = scene().fates(says(JobState.FAILED, exit_code=127), DONE)
    assert {fate.blame for fate in fates.values()} == {Blame.OWN}
    assert {fate.status.exit_code for fate in fates.values()} == {127}


def test_what_no_host_took_runs_again_where_others_were_run(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.takes(0, 0)
    one.ended(0, 1, 2)
    fates = one.fates(says(JobState.FAILED, exit_code=127), DONE)
    assert {fate.blame for fate in fates.values()} == {Blame.NONE}


def test_a_wave_can_begin_while_one_of_its_hosts_can(scene: Callable[..., Scene]) -> None:
    never = says(JobState.QUEUED, impossible=True)
    assert not any(fate.status.impossible for fate in scene().fates(never, WAITS).values())


def test_a_wave_cannot_begin_where_none_of_its_hosts_can(scene: Callable[..., Scene]) -> None:
    never = says(JobState.QUEUED, impossible=True)
    assert all(fate.status.impossible for fate in scene().fates(never, never).values())


def test_the_jobs_that_run_and_wait_are_counted_for_users(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.counted(RUNS, WAITS) == JobCounts(running=1, queued=1, at_once=2)
    assert scene.counted(RUNS, RUNS) == JobCounts(running=2, queued=0, at_once=4)
    assert scene.counted(DONE, WAITS) == JobCounts(running=0, queued=1, at_once=0)


def test_counts_are_written_when_they_change_and_missed_where_they_cannot_be(
    tmp_path: Path,
) -> None:
    scene = Scene(tmp_path)
    scene.counted(RUNS, WAITS)
    scene.layout.job_counts.unlink()
    assert scene.counted(RUNS, WAITS) is None
    scene.layout.job_counts.mkdir()
    assert scene.counted(RUNS, RUNS) is None


def test_what_was_not_begun_costs_no_try_while_others_of_its_wave_go_on(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0, 1, at=(2, 4))
    one.ended(0)
    fates = one.fates(says(JobState.FAILED, FailureCause.WALLTIME), DONE)
    assert {position for position, fate in fates.items() if fate.counted} == {2, 4}


def test_where_nothing_of_a_wave_has_ended_each_try_counts(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.takes(0, 0, 1, at=(2, 4))
    assert all(fate.counted for fate in one.fates(DONE, DONE).values())


def test_hosts_whose_workers_never_began_fail_their_elements_with_their_cause(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0, 1)
    broken = says(JobState.FAILED, exit_code=1)
    assert set(one.blames(broken, broken).values()) == {Blame.OWN}


def test_what_no_host_took_is_cancelled_with_the_hosts(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.takes(0, 0, at=(1,))
    cancelled = says(JobState.CANCELLED)
    fates = one.fates(cancelled, cancelled)
    assert {fate.blame for fate in fates.values()} == {Blame.OWN}
    assert {fate.status.state for fate in fates.values()} == {JobState.CANCELLED}


def test_what_no_host_took_is_not_decided_on_while_a_host_is_only_unknown(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0)
    fates = one.fates(KILLED, UNKNOWN)
    free = {fate.status.state for fate in fates.values() if fate.job is None}
    assert free == {JobState.UNKNOWN}


def test_nothing_is_decided_of_hosts_whose_wave_cannot_be_read(
    scene: Callable[..., Scene],
) -> None:
    one = scene()
    one.takes(0, 0)
    one.layout.spec.write_text("{")
    with pytest.raises(OSError, match="damaged"):
        one.hosts.pack_of(one.wave)
