"""What users are told of a task. Apart from other records, as workers load it by the thousand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about a task of a run that its user should know, said once."""

    task: str
    key: str
    """What it is about: of a task, a run keeps one note per key."""
    text: str
    """One sentence, with what to do about it."""
