"""What a dispatcher goes through: outages that it waits for, tries, and what is said of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.errors import LeaseLostError, StoreError, StoreVersionError
from reflow.rundir.run_settings import RunSettings
from reflow.runs import troubles
from reflow.runs.failure_policy import LONGEST_PAUSE, Role
from reflow.runs.troubles import Tries, Troubles, Word


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(troubles, "time", clock)
    return clock


@pytest.fixture
def settings(tmp_path: Path) -> RunSettings:
    settings = RunSettings(
        run_id="r",
        workflow="w",
        run_dir=tmp_path,
        store="sqlite:///m.db",
        executor="local",
        python="python",
        working_directory=tmp_path,
        flow=None,
        parameters={},
        config_data={"dispatch": {"outage_hours": 1}},
    )
    settings.layout.root.mkdir(parents=True)
    return settings


def failing(times: int, error: StoreError) -> Callable[[], str]:
    left = [error] * times

    def work() -> str:
        if left:
            raise left.pop()
        return "done"

    return work


def test_pauses_grow_up_to_a_longest_and_the_answer_is_returned(
    clock: Clock, settings: RunSettings
) -> None:
    assert Troubles(settings, Role.PROCESS).outlive(failing(9, StoreError("away"))) == "done"
    assert clock.pauses == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]


def test_an_outage_that_is_longer_than_configured_is_an_error(
    clock: Clock, settings: RunSettings
) -> None:
    with pytest.raises(StoreError, match="away"):
        Troubles(settings, Role.PROCESS).outlive(failing(1000, StoreError("away")))
    assert clock.now == 3600


def test_the_next_outage_is_waited_for_anew(clock: Clock, settings: RunSettings) -> None:
    steps = []
    waiting = Troubles(settings, Role.PROCESS)
    after_step = waiting.then(lambda: steps.append(clock.now))
    waiting.outlive(failing(3, StoreError("away")))
    assert waiting.in_outage
    assert "its process waits for the database: away" in word(settings)
    after_step()
    assert not settings.layout.dispatch_trouble.exists()
    clock.pauses.clear()
    waiting.outlive(failing(1, StoreError("away")))
    assert clock.pauses == [0.5]
    assert steps == [3.5]


def word(settings: RunSettings) -> str:
    return settings.layout.dispatch_trouble.read_text()


@pytest.mark.parametrize(
    "error",
    [LeaseLostError("taken"), StoreVersionError("newer"), StoreError("broken", lasting=True)],
)
def test_what_no_waiting_ends_is_raised_at_once(
    clock: Clock, settings: RunSettings, error: StoreError
) -> None:
    with pytest.raises(type(error)):
        Troubles(settings, Role.PROCESS).outlive(failing(1, error))
    assert clock.pauses == []


@pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.DISPATCH_JOB])
def test_a_step_that_is_taken_ends_what_was_told_of_unreadable_data(
    settings: RunSettings, role: Role
) -> None:
    left(settings)
    troubles = Troubles(settings, role)
    troubles.then()()
    assert Word(settings.layout).read() == ""
    assert not settings.layout.tries.exists()
    # The data may become unreadable once more, under the same dispatcher.
    left(settings)
    troubles.then()()
    assert Word(settings.layout).read() == ""


@pytest.mark.parametrize("role", [Role.PROCESS, Role.FOLLOWER])
def test_others_leave_what_was_told_to_those_who_told_it(settings: RunSettings, role: Role) -> None:
    left(settings)
    Troubles(settings, role).then()()
    assert Word(settings.layout).read() == "its data"
    assert settings.layout.tries.exists()


def left(settings: RunSettings) -> None:
    """Leave a word and a try, as a dispatcher does that cannot read a run's data."""
    Word(settings.layout).leave("its data")
    Tries(settings.layout).add()


def test_tries_are_counted_across_dispatchers_and_in_a_damaged_file(settings: RunSettings) -> None:
    for _ in range(9):
        Tries(settings.layout).add()
    assert not Tries(settings.layout).used_up
    Tries(settings.layout).add()
    assert Tries(settings.layout).used_up
    settings.layout.tries.write_text("no number")
    assert not Tries(settings.layout).used_up


def test_tries_are_used_up_after_a_day(settings: RunSettings, clock: Clock) -> None:
    clock.now = 0.0
    tries = Tries(settings.layout)
    tries.add()
    clock.now = 24 * 3600.0 - 1
    tries.add()
    assert not tries.used_up
    clock.now = 24 * 3600.0
    tries.add()
    assert tries.used_up
