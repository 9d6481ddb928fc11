"""What becomes of elements without a result, by what a scheduler that follows a script says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.dispatch import reconcile
from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.reconcile import Reconcile
from reflow.dispatch.tracked_run import TrackedWave
from reflow.errors import SchedulerUnavailableError
from reflow.model.jobs import Capabilities, JobHandle, JobStatus
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, SubmissionKind, SubmissionRecord
from reflow.model.states import FailureCause, JobState, TaskState
from reflow.rundir.claims import Claim, claim
from reflow.rundir.run_settings import RunSettings

from tests.unit.dispatch.tasks import task, tracked_run_of

GRACE = 60.0
AWAY = SchedulerUnavailableError("it is away")


def says(state: JobState, native_id: str = "7", **more: Any) -> JobStatus:
    return JobStatus(native_id=native_id, state=state, **more)


class Scheduler:
    """Says what it is told to, and keeps what it was asked to cancel."""

    name = "scheduler"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.answer: list[JobStatus] = []
        self.away = False
        self.cancels = True
        self.asked = 0
        self.cancelled: list[tuple[str, list[int]]] = []

    def poll(self, handles: Sequence[JobHandle]) -> list[JobStatus]:
        self.asked += 1
        if self.away:
            raise AWAY
        wanted = {handle.native_id for handle in handles}
        return [status for status in self.answer if status.native_id in wanted]

    def cancel_positions(self, handle: JobHandle, positions: Iterable[int]) -> None:
        if not self.cancels:
            raise AWAY
        self.cancelled.append((handle.native_id, list(positions)))


class Results:
    """Takes outcomes in; a result that was written since the answer is found once."""

    def __init__(self, wave: TrackedWave) -> None:
        self._wave = wave
        self.late: list[int] = []
        self.failed: list[Outcome] = []

    def collect(self) -> None:
        for position in self.late:
            del self._wave.members[position]

    def finish_interrupted(self, *_: object) -> bool:
        return False

    def fail(self, instance: Instance, outcome: Outcome) -> None:
        self.failed.append(outcome)
        del self._wave.members[instance.index]

    def close_if_over(self, wave: TrackedWave) -> None: ...


class Scene:
    """Two elements in one wave, whose job has the id 7, and a clock that the test moves."""

    def __init__(self, folder: Path, impossible_after: float | None = None, ids: str = "7") -> None:
        self.now = 1000.0
        self.scheduler = Scheduler()
        settings = RunSettings(
            run_id="r",
            workflow="w",
            run_dir=folder,
            store=f"sqlite://{folder}/m.db",
            executor="script",
            python="python",
            working_directory=folder,
            flow=None,
            parameters={},
        )
        self.tracked = tracked_run_of(task("each", "QQ"))
        record = SubmissionRecord(
            number=1,
            kind=SubmissionKind.WAVE,
            token="each-1",
            size=2,
            native_ids=tuple(ids),
            submitted_at=datetime.now(UTC),
        )
        members = dict(enumerate(self.tracked.tasks["each"].instances))
        self.wave = self.tracked.waves[1] = TrackedWave(record, members)
        self.folder = settings.layout.wave(1)
        self.results = Results(self.wave)
        executor: Any = self.scheduler
        results: Any = self.results
        self.reconcile = Reconcile(
            self.tracked,
            settings,
            executor,
            results,
            Hosts(self.tracked, settings.layout),
            GRACE,
            impossible_after,
        )

    def look(self, *answer: JobStatus, after: float = 100.0) -> list[tuple[int, TaskState]]:
        """Let time pass and the scheduler answer; what was settled in all."""
        self.now += after
        self.scheduler.answer = list(answer)
        self.reconcile.look()
        return [(outcome.index, outcome.state) for outcome in self.results.failed]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    def make(**given: Any) -> Scene:
        made = Scene(tmp_path, **given)
        monkeypatch.setattr(reconcile, "server_time", lambda _: made.now)
        monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: made.now))
        made.folder.claim_block(0).parent.mkdir(parents=True, exist_ok=True)
        return made

    return make


Make = Callable[..., Scene]
BOTH_FAILED = [(0, TaskState.FAILED), (1, TaskState.FAILED)]
GONE = (JobState.COMPLETED, JobState.UNKNOWN)


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (JobState.FAILED, TaskState.FAILED),
        (JobState.CANCELLED, TaskState.CANCELLED),
        (JobState.COMPLETED, None),
        (JobState.UNKNOWN, None),
        (JobState.RUNNING, None),
        (JobState.SUSPENDED, None),
        (JobState.QUEUED, None),
    ],
)
def test_only_a_definite_end_is_settled_at_once(
    scene: Make, state: JobState, settled: TaskState | None
) -> None:
    outcomes = scene().look(says(state, cause=None))
    assert outcomes == ([] if settled is None else [(0, settled), (1, settled)])


@pytest.mark.parametrize("state", GONE)
def test_what_is_gone_is_settled_when_its_grace_is_over_and_not_before(
    scene: Make, state: JobState
) -> None:
    this = scene()
    assert this.look(says(state)) == []
    assert this.look(says(state), after=GRACE - 1) == []
    assert this.look(says(state), after=1) == BOTH_FAILED


def test_what_is_left_of_a_lost_job_is_cancelled_before_its_elements_fail(scene: Make) -> None:
    this = scene()
    this.look(says(JobState.UNKNOWN))
    this.scheduler.cancels = False
    assert this.look(says(JobState.UNKNOWN)) == []
    assert this.reconcile.silence == "it is away"
    this.scheduler.cancels = True
    assert this.look(says(JobState.UNKNOWN)) == BOTH_FAILED
    assert this.scheduler.cancelled == [("7", [0, 1])]
    assert {outcome.cause for outcome in this.results.failed} == {FailureCause.LOST}


def test_who_is_seen_again_has_a_whole_grace_when_it_is_gone_once_more(scene: Make) -> None:
    this = scene()
    this.look(says(JobState.UNKNOWN))
    this.look(says(JobState.RUNNING), after=GRACE - 1)
    assert this.look(says(JobState.UNKNOWN), after=GRACE) == []
    assert this.look(says(JobState.UNKNOWN), after=GRACE) == BOTH_FAILED


def test_a_scheduler_that_is_away_settles_nothing(scene: Make) -> None:
    this = scene()
    this.scheduler.away = True
    assert this.look(after=10 * GRACE) == []
    assert this.reconcile.silence == "it is away"
    this.scheduler.away = False
    this.look(says(JobState.RUNNING))
    assert this.reconcile.silence == ""


def test_a_result_that_was_written_since_the_answer_counts(scene: Make) -> None:
    this = scene()
    this.results.late = [1]
    assert this.look(says(JobState.FAILED)) == [(0, TaskState.FAILED)]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_jobs_for_an_element_the_livelier_speaks(scene: Make, order: int) -> None:
    this = scene(ids="78")
    told = [says(JobState.FAILED, "7"), says(JobState.RUNNING, "8")][::order]
    assert this.look(*told) == []
    assert this.tracked.tally[TaskState.RUNNING] == 2


def test_an_answer_about_some_positions_leaves_the_others_alone(scene: Make) -> None:
    this = scene()
    told = says(JobState.FAILED, positions=range(1, 2))
    assert this.look(told) == [(1, TaskState.FAILED)]
    assert list(this.wave.members) == [0]


@pytest.mark.parametrize(
    ("state", "settled"),
    [(JobState.RUNNING, [(1, TaskState.FAILED)]), (JobState.COMPLETED, BOTH_FAILED)],
)
def test_an_element_that_runs_in_a_job_known_by_its_claim_alone_is_left_to_it(
    scene: Make, state: JobState, settled: list[tuple[int, TaskState]]
) -> None:
    this = scene()
    claim(this.folder, 0, Claim(native_id="9", incarnation="0", host="node", pid=1))
    for _ in range(2):
        outcomes = this.look(says(JobState.COMPLETED), says(state, "9"))
    assert sorted(outcomes) == settled


@pytest.mark.parametrize(("after", "settled"), [(None, []), (300.0, BOTH_FAILED)])
def test_what_can_never_start_fails_after_the_time_that_is_configured(
    scene: Make, after: float | None, settled: list[tuple[int, TaskState]]
) -> None:
    this = scene(impossible_after=after)
    waits = says(JobState.QUEUED, impossible=True, reason="no such node")
    this.look(waits)
    assert this.look(waits, after=296) == []
    assert this.look(waits, after=4) == settled
    for outcome in this.results.failed:
        assert outcome.cause is FailureCause.SUBMIT
        assert "no such node" in outcome.error


def test_why_a_job_waits_is_kept_until_it_runs(scene: Make) -> None:
    this = scene()
    element = this.wave.members[0]
    this.look(says(JobState.QUEUED, reason="Priority"))
    assert (element.state, element.error) == (TaskState.SUBMITTED, "Priority")
    this.look(says(JobState.RUNNING, reason="Priority"))
    assert (element.state, element.error) == (TaskState.RUNNING, "")


def test_a_scheduler_is_asked_ever_more_seldom(scene: Make) -> None:
    this = scene()
    moments = []
    for second in range(200):
        before = this.scheduler.asked
        this.look(says(JobState.RUNNING), after=1)
        if this.scheduler.asked > before:
            moments.append(second)
    assert moments == [0, 2, 6, 14, 30, 62, 122, 182]
