"""What became of each try of an instance."""

from __future__ import annotations

from dataclasses import dataclass

from reflow.model.outcomes import Outcome


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
