"""Notes to users about a task. A module of its own, as workers load it by the thousand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note about a task of a run for its user, shown once."""

    task: str
    key: str
    """What it is about: of a task, a run keeps one note per key."""
    text: str
    """One sentence, with what to do about it."""
