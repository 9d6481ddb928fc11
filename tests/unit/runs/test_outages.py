"""Waiting for a database that is away: the pauses, their end, and what is not waited for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.errors import LeaseLostError, StoreError, StoreVersionError
from reflow.rundir.run_settings import RunSettings
from reflow.runs import outages
from reflow.runs.outages import LONGEST_PAUSE, Outages


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outages, "time", clock)
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
    assert Outages(settings, "it").outlive(failing(9, StoreError("away"))) == "done"
    assert clock.pauses == [0.5, 1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE]


def test_an_outage_that_is_longer_than_configured_is_an_error(
    clock: Clock, settings: RunSettings
) -> None:
    with pytest.raises(StoreError, match="away"):
        Outages(settings, "it").outlive(failing(1000, StoreError("away")))
    assert clock.now == 3600


def test_the_next_outage_is_waited_for_anew(clock: Clock, settings: RunSettings) -> None:
    steps = []
    waiting = Outages(settings, "it")
    after_step = waiting.then(lambda: steps.append(clock.now))
    waiting.outlive(failing(3, StoreError("away")))
    assert waiting.under_way
    assert "it waits for the database: away" in word(settings)
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
        Outages(settings, "it").outlive(failing(1, error))
    assert clock.pauses == []
