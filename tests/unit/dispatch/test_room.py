"""How many elements may be submitted where places in the queue are few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.dispatch.submit import Submitter, _Ready, jobs_that_fit
from reflow.dispatch.tracked_run import TrackedTask, TrackedWave
from reflow.errors import SchedulerUnavailableError
from reflow.model.jobs import Capabilities, Limits
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.model.resources import Resources
from reflow.model.states import FailureCause
from reflow.rundir.run_settings import RunSettings

from tests.unit.dispatch.tasks import task

FAR_MORE = "P" * 1000


class Site:
    """A scheduler that only tells its limits."""

    name = "site"
    capabilities = Capabilities()

    def __init__(self, limits: Limits | None) -> None:
        self._limits = limits
        self.asked = 0

    def limits(self) -> Limits:
        self.asked += 1
        if self._limits is None:
            raise SchedulerUnavailableError("it is away")
        return self._limits


class Narrow(Site):
    """One whose queues, except for one, allow a minute."""

    def longest_time(self, resources: Resources) -> timedelta | None:
        if self._limits is None:
            raise SchedulerUnavailableError("it is away")
        return None if resources.queue == "wide" else timedelta(minutes=1)


def submitter_at(
    site: Site,
    tasks: list[TrackedTask],
    waves: int = 0,
    most: int | None = None,
    dispatches: Sequence[SubmissionRecord] = (),
) -> Submitter:
    def active() -> int:
        return sum(one.active for one in tasks)

    tracked: Any = SimpleNamespace(
        outstanding=active,
        jobs=active,
        waves=dict.fromkeys(range(waves)),
        store=None,
        number=waves + len(dispatches),
        dispatches={item.number: item for item in dispatches},
    )
    settings = RunSettings(
        run_id="tide-20261122-a1b2",
        workflow="tide",
        run_dir=Path("/scratch/tide"),
        store="sqlite:///m.db",
        executor="site",
        python="python3",
        working_directory=Path("/scratch"),
        flow=None,
        parameters={},
        config_data={} if most is None else {"max_submit_jobs": most},
    )
    nothing: Any = None
    return Submitter(tracked, settings, site, nothing, lambda: None)  # type: ignore[arg-type]


def room(limits: Limits | None, one: TrackedTask, waves: int = 0, most: int | None = None) -> int:
    return submitter_at(Site(limits), [one], waves, most)._room(one)


@given(places=st.integers(0, 300), largest=st.none() | st.integers(1, 50))
def test_elements_and_the_follow_ups_of_their_arrays_fill_the_places_and_no_more(
    places: int, largest: int | None
) -> None:
    def taken(elements: int) -> int:
        return elements + -(-elements // (largest or max(elements, 1)))

    fit = jobs_that_fit(places, largest)
    assert fit == 0 or taken(fit) <= places
    assert taken(fit + 1) > places


def test_where_nobody_limits_the_queue_all_go_at_once() -> None:
    assert room(Limits(), task("t", FAR_MORE)) == 1000


@pytest.mark.parametrize(
    ("limits", "most", "expected"),
    [
        # Three places for watchdogs, one for the follow-up.
        (Limits(max_submit_jobs=100), None, 96),
        (Limits(), 100, 96),
        # The smaller of two limits holds.
        (Limits(max_submit_jobs=100), 50, 46),
        (Limits(max_submit_jobs=50), 100, 46),
        # What others have in the queue is not free.
        (Limits(max_submit_jobs=100, queued_jobs=60), None, 36),
        # Each array has a follow-up.
        (Limits(max_submit_jobs=100, max_array_size=10), None, 88),
        # Fewer watchdogs where places are few.
        (Limits(max_submit_jobs=6), None, 3),
        (Limits(max_submit_jobs=4), None, 2),
    ],
)
def test_places_are_kept_free_for_the_jobs_that_dispatch(
    limits: Limits, most: int | None, expected: int
) -> None:
    assert room(limits, task("t", FAR_MORE), most=most) == expected


def test_the_runs_own_jobs_are_counted_where_the_scheduler_does_not_count_them_yet() -> None:
    one = task("t", "Q" * 60 + FAR_MORE)
    assert room(Limits(max_submit_jobs=100), one, waves=1) == 100 - 60 - 1 - 3 - 1


def test_a_few_free_places_are_left_until_more_are_free() -> None:
    assert room(Limits(max_submit_jobs=100), task("t", "Q" * 80 + FAR_MORE), waves=1) == 0
    # All the rest fits: nothing is gained by waiting.
    assert room(Limits(max_submit_jobs=100), task("t", "Q" * 80 + "P" * 10), waves=1) == 15


@pytest.mark.parametrize(("limit", "queued", "expected"), [(3, 1, 1), (2, 0, 1), (5, 4, 1)])
def test_one_element_goes_where_nothing_else_would_go_on(
    limit: int, queued: int, expected: int
) -> None:
    limits = Limits(max_submit_jobs=limit, queued_jobs=queued)
    assert room(limits, task("t", FAR_MORE)) == expected


def test_places_are_for_jobs_however_many_elements_share_them() -> None:
    limits = Limits(max_submit_jobs=10)
    assert room(limits, task("t", FAR_MORE, per_job=50)) == 10 - 2 - 1
    waiting = task("t", "Q" * 5 + FAR_MORE, per_job=1000)
    assert room(limits, waiting, waves=1) == 10 - 5 - 1 - 2 - 1


def test_a_full_queue_is_said_and_tried_again() -> None:
    one = task("t", FAR_MORE)
    site = Site(Limits(max_submit_jobs=50, queued_jobs=50))
    submitter = submitter_at(site, [one])
    assert submitter._room(one) == 0
    assert submitter.deferred == "50 of 50 places in the queue are taken"


def test_a_scheduler_that_does_not_tell_its_limits_is_given_nothing_and_asked_once() -> None:
    one = task("t", FAR_MORE)
    submitter = submitter_at(site := Site(None), [one])
    assert [submitter._room(one), submitter._room(one)] == [0, 0]
    assert submitter.deferred == "it is away"
    assert site.asked == 1


def test_a_throttled_task_has_one_wave_at_a_time() -> None:
    assert room(Limits(), task("t", "QPPP", array_parallelism=2)) == 0
    assert room(Limits(), task("t", "SPPP", array_parallelism=2)) == 4


def watchdogs(ahead: int, begun: int = 0) -> list[SubmissionRecord]:
    """Return those of a run."""
    times = [timedelta(hours=1 + n) for n in range(ahead)] + [timedelta(hours=-1)] * begun
    now = datetime.now(UTC)
    return [
        SubmissionRecord(
            number=100 + n,
            kind=SubmissionKind.WATCHDOG,
            token=f"watchdog-{n}",
            submitted_at=now,
            begins_at=now + time,
        )
        for n, time in enumerate(times)
    ]


@pytest.mark.parametrize(
    ("most", "queued", "ahead", "active", "waves"),
    [
        # Nothing of the run is in the queue: the watchdogs to come are kept their places.
        (6, 0, 0, False, 2),
        (7, 0, 0, False, 2),
        (12, 0, 0, False, 4),
        (5, 0, 0, False, 2),
        # Those that lie ahead have theirs: one is enough for the next of them.
        (6, 2, 2, False, 1),
        (6, 3, 2, False, 1),
        # A watchdog has begun: its successor is to come.
        (6, 2, 1, False, 1),
        # The last place is given to what would not go on otherwise, and to nothing else.
        (6, 4, 2, False, 1),
        (6, 4, 2, True, 0),
        (6, 5, 2, False, 1),
        (6, 6, 2, False, 0),
        # Room for two more, beside those that run.
        (12, 6, 3, True, 2),
    ],
)
def test_an_array_takes_one_place_where_the_limit_counts_it_once(
    most: int, queued: int, ahead: int, active: bool, waves: int
) -> None:
    limits = Limits(max_whole_jobs=most, queued_whole_jobs=queued, max_array_size=50)
    one = task("t", "Q" * active + FAR_MORE)
    submitter = submitter_at(Site(limits), [one], int(active), dispatches=watchdogs(ahead, 2))
    assert submitter._room(one) == waves * 50
    # As many arrays, however few elements each of them has.
    assert submitter._room_for_arrays() == waves


@pytest.mark.parametrize(("places", "kept"), [(None, 3), (12, 3), (11, 2), (6, 2), (5, 1), (0, 1)])
def test_as_many_watchdogs_are_kept_as_there_are_places_for_jobs(
    places: int | None, kept: int
) -> None:
    for limits in (Limits(max_whole_jobs=places), Limits(max_submit_jobs=places)):
        assert submitter_at(Site(limits), []).most_watchdogs == kept
    both = Limits(max_whole_jobs=places, max_submit_jobs=10_000)
    assert submitter_at(Site(both), []).most_watchdogs == kept


def test_what_was_submitted_since_the_scheduler_counted_takes_places() -> None:
    limits = Limits(max_whole_jobs=12, queued_whole_jobs=2, max_array_size=50)
    submitter = submitter_at(Site(limits), [], dispatches=watchdogs(3))
    assert submitter._room_for_arrays() == 4
    submitter._tracked.number += 4
    assert submitter._room_for_arrays() == 2
    # Two of these are waves that pilots run, which take none.
    for number in (3, 4):
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.WAVE,
            token=f"each-{number}",
            submitted_at=datetime.now(UTC),
            state=SubmissionState.ACCEPTED,
        )
        submitter._tracked.waves[number] = TrackedWave(record)
    assert submitter._room_for_arrays() == 3


def test_the_tighter_of_two_kinds_of_limits_holds() -> None:
    one = task("t", FAR_MORE)
    whole = Limits(max_whole_jobs=100, max_array_size=50, max_submit_jobs=20)
    assert room(whole, one) == 20 - 3 - 1
    assert room(Limits(max_whole_jobs=4, max_array_size=2, max_submit_jobs=20), one) == 2
    assert room(Limits(max_whole_jobs=4), one) == 1000


@pytest.mark.parametrize("given", [{}, {"per_job": "auto"}, {"per_job": 10}])
@pytest.mark.parametrize("jobs", [1, 6, 40])
def test_no_more_jobs_are_made_than_there_is_room_for(given: dict[str, Any], jobs: int) -> None:
    one = task("t", "P" * 300, **given)
    for number, instance in enumerate(one.instances):
        # Those that may have ended a shared job run alone, some after others with more memory.
        instance.node_losses = int(number % 3 == 0)
        instance.cause = FailureCause.MEMORY if number % 3 == 0 else None
        instance.mem_scale = 2.0 if number % 5 == 0 else 1.0
    submitter = submitter_at(Site(Limits(max_array_size=20)), [one])
    submitter._tracked.store = SimpleNamespace(durations=lambda workflow, name: None)
    ready = [_Ready(instance, ()) for instance in one.instances]
    chunks = list(submitter._chunks(one, ready, jobs))
    assert sum(len(chunk) if pack is None else pack.hosts for chunk, pack in chunks) <= jobs
    positions = [item.instance.index for chunk, _ in chunks for item in chunk]
    assert len(positions) == len(set(positions))


@pytest.mark.parametrize("queue", [None, "wide"])
@pytest.mark.parametrize("per_job", ["auto", 10])
def test_jobs_that_elements_share_ask_for_what_their_queue_allows(
    queue: str | None, per_job: Any
) -> None:
    resources = Resources(time=timedelta(minutes=5), queue=queue)
    one = task("t", "P" * 300, per_job=per_job, resources=resources)
    submitter = submitter_at(Narrow(Limits()), [one])
    submitter._tracked.store = SimpleNamespace(durations=lambda workflow, name: None)
    ready = [_Ready(instance, ()) for instance in one.instances]

    packs = [pack for _, pack in submitter._chunks(one, ready, 300)]

    assert packs
    for pack in packs:
        assert pack is not None and pack.time is not None  # noqa: PT018
        assert pack.time == 60 if queue is None else pack.time >= 7 * 60


def test_a_scheduler_that_does_not_tell_what_a_queue_allows_is_given_nothing() -> None:
    one = task("t", "P" * 300, per_job=10, resources=Resources(time=timedelta(minutes=5)))
    submitter = submitter_at(site := Narrow(Limits()), [one])
    assert submitter._room(one) == 300
    site._limits = None
    list(submitter._chunks(one, [_Ready(instance, ()) for instance in one.instances], 300))
    assert submitter.deferred == submitter.unavailable == "it is away"
