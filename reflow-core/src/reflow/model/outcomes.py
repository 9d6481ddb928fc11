"""What instances end with.

It is apart from the other records because workers load it, who start once for every element.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from reflow.model.states import FailureCause, TaskState


class Reuse(IntEnum):
    """Whether other runs may use a result."""

    NEVER = 0
    NOW = 1
    LATER = 2
    """Once `FencedWriter.allow_reuse` is called for its wave."""


class HeldFile(NamedTuple):
    """A file that bytes of a value lie in, and what tells without reading it that they still do."""

    path: str
    size: int
    """How long it must be at least, in bytes."""
    written: int = 0
    """When it was last written to, in nanoseconds; 0 for one that others are appended to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is recorded when an instance ends, from its result or from the scheduler."""

    task: str
    index: int
    attempt: int
    state: TaskState
    output: str | None = None
    """Canonical JSON of the encoded value; None unless SUCCESS."""
    paths: str | None = None
    """JSON of what was recorded about the files in it; None where there are none."""
    bound_dir: str | None = None
    """The run directory it may be reused in; None for anywhere."""
    reusable: Reuse = Reuse.NOW
    cause: FailureCause | None = None
    error: str = ""
    traceback: str = ""
    native_id: str = ""
    host: str = ""
    log: str = ""
    """Path of the log, relative to the run directory."""
    started_at: float | None = None
    """Seconds since the epoch, by the worker's clock."""
    ended_at: float | None = None
    peak_memory: int | None = None
    """Bytes."""
    cpu_time: float | None = None
    """Seconds."""
