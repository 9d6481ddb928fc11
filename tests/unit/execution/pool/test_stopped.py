"""For how long elements were stopped."""

from __future__ import annotations

import pytest
from reflow.execution.pool import stopped
from reflow.execution.pool.stopped import StoppedTime

from tests.unit.execution.pool.scripted import Clock

FIRST, SECOND = (1, 0), (1, 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stopped, "time", clock)
    return clock


@pytest.fixture
def halted(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The processes that are stopped."""
    halted: set[int] = set()
    monkeypatch.setattr(stopped, "_is_stopped", halted.__contains__)
    return halted


def test_what_passes_is_used_and_what_a_stopped_host_did_not_see_is_not(
    clock: Clock, halted: set[int]
) -> None:
    times = StoppedTime()
    running = [(7, FIRST, clock.now)]
    clock.now += 30
    assert times.look(running) == {FIRST: 0}

    clock.now += 600
    times.note_going_on()
    assert times.look(running) == {FIRST: 600}

    clock.now += 30
    assert times.look(running) == {FIRST: 600}


def test_an_element_was_not_stopped_before_it_was_begun(clock: Clock, halted: set[int]) -> None:
    times = StoppedTime()
    clock.now += 100
    times.note_going_on()
    assert times.look([(7, FIRST, clock.now - 40)]) == {FIRST: 40}


def test_a_worker_that_is_stopped_alone_takes_nothing_from_others(
    clock: Clock, halted: set[int]
) -> None:
    times = StoppedTime()
    running = [(7, FIRST, clock.now), (8, SECOND, clock.now)]
    halted.add(7)
    for _ in range(4):
        clock.now += 0.5
        times.look(running)
    halted.clear()
    clock.now += 0.5
    assert times.look(running) == {FIRST: 2.0, SECOND: 0}


def test_an_element_that_is_begun_once_more_begins_from_nothing(
    clock: Clock, halted: set[int]
) -> None:
    times = StoppedTime()
    clock.now += 5
    times.note_going_on()
    assert times.look([(7, FIRST, 1000.0)]) == {FIRST: 5}
    assert times.look([(7, FIRST, clock.now)]) == {FIRST: 0}
