"""What one look at a run, at an element's log, or at all runs finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from reflow.model.records import FailedInstance, RunRecord
from reflow.model.states import TaskState

MOST_LISTED = 1_000
"""Failed elements, and running ones, that a look reads at most."""


@dataclass(frozen=True, slots=True)
class ElementName:
    """One element of a task, or a plain task."""

    task: str
    index: int | None
    """None for a plain task."""

    def __str__(self) -> str:
        return self.task if self.index is None else f"{self.task}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a task goes on."""

    per_minute: float | None = None
    """Elements that ended per minute, lately; None where none has."""
    left: timedelta | None = None
    """How long it will probably take from now; None where that cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An element that runs."""

    element: ElementName
    attempt: int
    job_id: str
    host: str
    """Empty where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One look at a run."""

    at: datetime
    """Aware."""
    status: Mapping[str, Any]
    """As `Run.status()` returns it, without the failed instances."""
    failures: Sequence[FailedInstance] = ()
    """The newest first."""
    running: Sequence[Running] = ()
    hosts: Mapping[str, int] = field(default_factory=dict)
    """How many elements run on each host, as far as that is known."""
    paces: Mapping[str, Pace] = field(default_factory=dict)
    """By task."""
    left: timedelta | None = None
    """How long the run will probably take from now; None where that cannot be known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGlance:
    """One look at the log of an element."""

    element: ElementName
    path: str = ""
    """Empty where there is none."""
    lines: Sequence[str] = ()
    """The last lines."""
    is_whole: bool = True
    """Whether the lines are all that the log has."""
    state: TaskState | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One of many runs, and how far it is."""

    record: RunRecord
    done: int = 0
    failed: int = 0
    size: int | None = None
    """Instances known so far, without those of tasks of unknown size; None: not counted yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsGlance:
    """One look at many runs, the newest first."""

    at: datetime
    rows: Sequence[RunRow]
    more: bool = False
    """Whether there are more than are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a view shows, so what a look has to read."""

    run_id: str | None
    """The run, or None for all of them."""
    failures: int = 0
    running: int = 0
    """How many failed and running elements, at most."""
    task: str | None = None
    """The only task whose elements are wanted."""
    log: ElementName | None = None
    """The element whose log is wanted."""
