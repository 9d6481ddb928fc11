"""Taking a run over, by a clock that the test moves."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.dispatch.lease import (
    LONGEST_LOOK,
    acquire,
    acquire_for,
    release,
    take,
    try_release,
    working_under,
)
from reflow.errors import LeaseLostError
from reflow.model.json import Json
from reflow.model.records import Lease, LeaseRecord
from reflow.rundir.process import owner_of
from reflow.stores.sql import SqlStore
from reflow.testing.stores import RUN, new_run, plain_and_array

TIME_TO_LIVE = 60.0
ELSEWHERE: dict[str, Json] = {"host": "elsewhere", "boot": "another", "pid": 1, "start": 1}


class Clock:
    """Time passes only while somebody sleeps, and things happen at their time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], object]]] = []

    def at(self, moment: float, action: Callable[[], object]) -> None:
        self._due.append((moment, action))

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in sorted(self._due, key=lambda item: item[0]):
            if due[0] <= self.now:
                self._due.remove(due)
                due[1]()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"{tmp_path}/m.db")
    store.create_run(new_run(), plain_and_array())
    yield store
    store.close()


@pytest.fixture
def holder(store: SqlStore) -> Lease:
    """A dispatcher on another machine, which nobody here can tell to be dead or alive."""
    lease = store.acquire(RUN, ELSEWHERE)
    assert lease is not None
    return lease


def wait(store: SqlStore, clock: Clock, at_most: float = 1000.0) -> Lease | None:
    return acquire(
        store, RUN, TIME_TO_LIVE, lambda: clock.now > at_most, lambda: clock.now, clock.sleep
    )


def test_a_free_lease_is_taken_at_once(store: SqlStore, clock: Clock) -> None:
    assert wait(store, clock) is not None
    assert clock.now == 0


def test_a_holder_that_is_silent_is_replaced_after_its_time_and_not_before(
    store: SqlStore, clock: Clock, holder: Lease
) -> None:
    lease = wait(store, clock)
    assert lease is not None
    assert lease.epoch > holder.epoch
    assert TIME_TO_LIVE <= clock.now < TIME_TO_LIVE + LONGEST_LOOK
    with pytest.raises(LeaseLostError):
        store.heartbeat(holder)


def test_a_holder_that_shows_life_just_in_time_keeps_its_lease(
    store: SqlStore, clock: Clock, holder: Lease
) -> None:
    for number in range(1, 4):
        clock.at(number * (TIME_TO_LIVE - 1), lambda: store.heartbeat(holder))
    assert wait(store, clock, at_most=3 * (TIME_TO_LIVE - 1)) is None
    assert store.lease(RUN).epoch == holder.epoch


def test_each_sign_of_life_begins_the_time_anew(
    store: SqlStore, clock: Clock, holder: Lease
) -> None:
    clock.at(50, lambda: store.heartbeat(holder))
    assert wait(store, clock) is not None
    assert 50 + TIME_TO_LIVE <= clock.now < 50 + TIME_TO_LIVE + LONGEST_LOOK


def test_what_is_let_go_is_taken_at_the_next_look(
    store: SqlStore, clock: Clock, holder: Lease
) -> None:
    clock.at(10, lambda: release(store, holder))
    assert wait(store, clock) is not None
    assert 10 <= clock.now < 10 + LONGEST_LOOK


@pytest.mark.parametrize(
    ("seconds", "looks"), [(1.0, range(3, 6)), (60.0, range(30, 45)), (600.0, range(300, 315))]
)
def test_a_lease_that_is_held_for_long_is_looked_at_ever_more_seldom(
    store: SqlStore, holder: Lease, clock: Clock, seconds: float, looks: range
) -> None:
    for moment in range(0, 600, 50):
        clock.at(moment, lambda: store.heartbeat(holder))
    pauses: list[float] = []

    def sleep(pause: float) -> None:
        pauses.append(pause)
        clock.sleep(pause)

    assert (
        acquire(store, RUN, TIME_TO_LIVE, lambda: clock.now > seconds, lambda: clock.now, sleep)
        is None
    )
    assert len(pauses) in looks
    assert pauses == sorted(pauses)


def test_who_takes_over_before_us_gets_a_whole_time_too(
    store: SqlStore, clock: Clock, holder: Lease
) -> None:
    clock.at(50, lambda: store.acquire(RUN, {**ELSEWHERE, "pid": 2}, store.lease(RUN)))
    assert wait(store, clock) is not None
    assert 50 + TIME_TO_LIVE <= clock.now < 50 + TIME_TO_LIVE + LONGEST_LOOK


def test_who_waits_has_the_holder_go_round_once_more(
    store: SqlStore, clock: Clock, holder: Lease
) -> None:
    released = []
    clock.at(5, lambda: released.append(try_release(store, holder)))
    clock.at(6, lambda: store.clear_wakeup(holder))
    clock.at(7, lambda: released.append(try_release(store, holder)))
    assert wait(store, clock) is not None
    assert released == [False, True]
    assert 7 <= clock.now < 7 + LONGEST_LOOK


def test_who_gives_up_waiting_leaves_the_mark(store: SqlStore, clock: Clock, holder: Lease) -> None:
    assert wait(store, clock, at_most=5) is None
    assert store.lease(RUN) == LeaseRecord(
        epoch=holder.epoch, heartbeat=store.lease(RUN).heartbeat, wakeup=True, owner=ELSEWHERE
    )


def test_a_process_of_this_machine_that_lives_is_waited_for(store: SqlStore, clock: Clock) -> None:
    store.acquire(RUN, owner_of(os.getppid()))
    assert take(store, RUN) is None
    assert wait(store, clock) is not None
    assert clock.now > 0


@pytest.mark.parametrize(
    "other", [{"pid": 2**22 + 1}, {"start": 1}], ids=["no process", "another of the same number"]
)
def test_a_process_of_this_machine_that_is_dead_is_not_waited_for(
    store: SqlStore, clock: Clock, other: dict[str, Json]
) -> None:
    store.acquire(RUN, owner_of(os.getppid()) | other)
    assert wait(store, clock) is not None
    assert clock.now == 0


def test_a_lease_that_was_taken_for_this_process_is_its_own_and_taken_once(
    store: SqlStore,
) -> None:
    acquire_for(store, RUN, os.getpid())
    assert take(store, RUN) is not None
    assert take(store, RUN) is None


def test_a_failure_lets_the_lease_go(store: SqlStore) -> None:
    lease = take(store, RUN)
    assert lease is not None
    store.request_wakeup(RUN)
    with pytest.raises(RuntimeError), working_under(store, lease):
        raise RuntimeError
    assert store.lease(RUN).owner is None
