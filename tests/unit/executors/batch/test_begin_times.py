"""Begin times of schedulers that read the clock on the wall."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
import reflow_lsf.script
import reflow_pbs.script
import reflow_sge.commands

SECONDS = "%Y%m%d%H%M.%S"
"""The pattern of PBS's and Grid Engine's `-a`, which are given a second more."""


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Clocks that are put forward, or back, at one o'clock UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("now", "clock"),
    [
        ("2026-03-29T00:59:00+00:00", "2026-03-29 03:09"),
        ("2026-10-25T00:30:00+00:00", "2026-10-25 02:40"),
        ("2026-10-25T00:59:00+00:00", "2026-10-25 02:09"),
        ("2026-12-31T22:55:00+00:00", "2027-01-01 00:05"),
    ],
)
@pytest.mark.parametrize(
    ("begin_time", "pattern", "more"),
    [
        (reflow_lsf.script.begin_time, "%m:%d:%H:%M", 0),
        (reflow_pbs.script.begin_time, SECONDS, 1),
        (reflow_sge.commands.begin_time, SECONDS, 1),
    ],
    ids=["lsf", "pbs", "sge"],
)
def test_a_job_begins_by_the_clock_of_that_hour(
    begin_time: Callable[[datetime, timedelta], str],
    pattern: str,
    more: int,
    now: str,
    clock: str,
) -> None:
    wanted = datetime.fromisoformat(clock) + timedelta(seconds=more)
    written = begin_time(datetime.fromisoformat(now), timedelta(minutes=10))
    assert written == wanted.strftime(pattern)
