"""How long elements of a task have taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Durations:
    """What is known of elements that have succeeded lately, in seconds."""

    mean: float
    longest: float
