"""What became of each try of an instance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from reflow.model.outcomes import Outcome
from reflow.model.records import RunRecord

_CLOCKS_APART, _LONGER = 3600.0, 60.0
"""Seconds by which clocks of hosts may differ, and a try may seem to outlast its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try of an instance that has ended."""

    outcome: Outcome
    """Without the value, and without what is recorded of the files in it."""
    wave: int | None
    """Number of the wave it was submitted with."""
    mem_scale: float = 1.0
    """By how much more memory it was given than the task asks for."""
    time_scale: float = 1.0


def with_possible_times(attempt: Attempt, run: RunRecord, now: datetime | None = None) -> Attempt:
    """Return a try without its times where it cannot have been so: a clock has jumped.

    It may neither end before it begins, nor last longer than its run, nor lie outside of that.
    """
    started, ended = attempt.outcome.started_at, attempt.outcome.ended_at
    if started is None or ended is None:
        return attempt
    created = run.created_at.timestamp()
    end = (run.finished_at or now or datetime.now(UTC)).timestamp()
    is_possible = (
        -_LONGER <= ended - started <= end - created + _LONGER
        and started >= created - _CLOCKS_APART
        and ended <= end + _CLOCKS_APART
    )
    if is_possible:
        return attempt
    return replace(attempt, outcome=replace(attempt.outcome, started_at=None, ended_at=None))


def impossible_times(number: int) -> str:
    """Say that tries have impossible times; empty for none of them."""
    if not number:
        return ""
    they = "1 attempt has" if number == 1 else f"{number:,} attempts have"
    return f"{they} impossible times, as a clock was wrong; these are left out"
