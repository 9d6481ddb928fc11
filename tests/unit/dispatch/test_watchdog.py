"""The watchdogs of a run, day after day, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from reflow.dispatch import continuation
from reflow.dispatch.continuation import Watchdog
from reflow.dispatch.tracked_run import TrackedRun
from reflow.errors import SubmissionRefusedError
from reflow.model.graph import Graph
from reflow.model.jobs import Capabilities, JobHandle, JobRequest, Submission
from reflow.rundir.run_settings import RunSettings
from reflow.stores.sql import SqlStore
from reflow.testing.stores import RUN, new_run

OUTAGE = timedelta(hours=6)
"""What the configuration says that a run survives."""


class World:
    """A scheduler that starts jobs at their time, and dispatchers that only arm watchdogs."""

    capabilities = Capabilities()

    def __init__(self, store: SqlStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        self.error = timedelta(0)
        """How far ahead the clock of the machine is on which dispatchers run."""
        self.queue: dict[str, datetime] = {}
        self.submitted = 0
        self.refuses = False
        self._store = store
        self._monkeypatch = monkeypatch
        self._settings = RunSettings(
            run_id=RUN,
            workflow="tide",
            run_dir=folder,
            store="",
            executor="world",
            python="python3",
            working_directory=folder,
            flow=None,
            parameters={},
        )
        self._settings.layout.root.mkdir(parents=True)
        clock = SimpleNamespace(now=lambda zone: self.now + self.error)
        monkeypatch.setattr(continuation, "datetime", clock)

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        if self.refuses:
            raise SubmissionRefusedError("no more")
        assert request.begin_in is not None
        self.submitted += 1
        native_id = str(self.submitted)
        self.queue[native_id] = self.now + request.begin_in
        return Submission(JobHandle(native_id=native_id, token=request.token))

    def dispatch(self, native_id: str = "", most: int = 3) -> None:
        """Take a step as the job of that id, or as another leg."""
        self._monkeypatch.setenv("REFLOW_NATIVE_ID", native_id or "another")
        lease = self._store.acquire(RUN, {"pid": 1})
        assert lease is not None
        tracked = TrackedRun(
            self._store, RUN, Graph(name="tide", tasks={}, edges={}, parameters={})
        )
        world: object = self
        watchdog = Watchdog(tracked, self._settings, world, lambda: tracked.commit(lease))  # type: ignore[arg-type]
        watchdog.arm()
        watchdog.arm_farther(lambda: most)
        assert self._store.release(lease)

    def start_next(self) -> str:
        """Let time pass until the next watchdog starts, which leaves the queue."""
        native_id = min(self.queue, key=lambda each: self.queue[each])
        self.now = max(self.now, self.queue.pop(native_id))
        return native_id

    @property
    def ahead(self) -> list[timedelta]:
        """How far ahead each watchdog lies, the nearest first."""
        return sorted(begin - self.now for begin in self.queue.values())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    store = SqlStore(f"{tmp_path}/m.db")
    store.create_run(new_run(), [])
    yield World(store, tmp_path, monkeypatch)
    store.close()


def test_several_lie_ahead_at_growing_distances(world: World) -> None:
    world.dispatch()
    near, middle, far = world.ahead
    assert timedelta(minutes=1) < near <= timedelta(hours=1)
    assert near < middle < far
    assert far > OUTAGE


@pytest.mark.parametrize("most", [1, 2, 3])
def test_no_more_are_there_than_places_allow(world: World, most: int) -> None:
    for _ in range(20):
        world.dispatch(world.start_next() if world.queue else "", most)
        # Those that were far ahead come nearer, and none is given up for another.
        assert 1 <= len(world.ahead) <= most + 2


def test_those_that_are_there_are_not_submitted_again(world: World) -> None:
    for _ in range(10):
        world.dispatch()
        world.now += timedelta(seconds=10)
    assert world.submitted == 3


def test_a_run_that_takes_two_days_has_two_ahead_at_any_time_and_few_in_all(world: World) -> None:
    world.dispatch()
    end = world.now + timedelta(days=2)
    while world.now < end:
        begun = world.start_next()
        assert world.ahead, "nobody would come after this one"
        assert world.ahead[-1] >= timedelta(hours=1)
        world.dispatch(begun)
        assert len(world.ahead) >= 2
        assert world.ahead[-1] > OUTAGE
    # About one an hour, and what lies further ahead.
    assert world.submitted < 80


@pytest.mark.parametrize("after_hours", [0, 1, 5, 30])
def test_a_run_survives_an_outage_whenever_it_comes(world: World, after_hours: int) -> None:
    world.dispatch()
    begins = world.now + timedelta(hours=after_hours)
    while min(world.queue.values()) < begins:
        world.dispatch(world.start_next())
    ends = world.now + OUTAGE
    while world.queue and min(world.queue.values()) < ends:
        world.start_next()  # and is lost
    assert world.queue, "the run hangs"
    world.dispatch(world.start_next())
    assert world.now < ends + 2 * OUTAGE
    assert len(world.ahead) >= 2


@pytest.mark.parametrize("error", [timedelta(days=92), -timedelta(days=92), timedelta(minutes=50)])
def test_one_machine_whose_clock_is_wrong_ends_no_run(world: World, error: timedelta) -> None:
    world.dispatch()
    for wrong in (error, timedelta(0), error, timedelta(0)):
        world.error = wrong
        world.dispatch(world.start_next())
        assert world.ahead
        assert world.ahead[0] <= timedelta(hours=2)


def test_what_was_refused_is_tried_at_the_next_step(world: World) -> None:
    world.refuses = True
    world.dispatch()
    assert not world.queue
    world.refuses = False
    world.dispatch()
    assert len(world.ahead) == 3
