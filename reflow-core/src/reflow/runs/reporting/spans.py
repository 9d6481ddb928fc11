"""Spans of time: how long any of them lasts, and how many there are at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

Span: TypeAlias = tuple[float, float]
"""A start and an end, in seconds."""


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the times covered by any of the spans, ascending and apart."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            if end > found[-1][1]:
                found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def length(spans: Iterable[Span]) -> float:
    """Return how long spans last that do not overlap."""
    return sum(end - start for start, end in spans)


def without(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return the parts of merged spans that no other merged span covers."""
    found: list[Span] = []
    place = 0
    for start, end in spans:
        while place < len(others) and others[place][1] <= start:
            place += 1
        look = place
        while look < len(others) and others[look][0] < end:
            if others[look][0] > start:
                found.append((start, others[look][0]))
            start = max(start, others[look][1])
            look += 1
        if start < end:
            found.append((start, end))
    return found


class Occupancy:
    """The mean number of spans that cover each of the equal bins from 0 to an end.

    A span costs the same however many bins it covers: what it adds to those between its first and
    its last is kept as a difference.
    """

    def __init__(self, bins: int, width: float) -> None:
        self._width = width
        self._partial = [0.0] * bins
        self._steps = [0] * (bins + 1)

    def add(self, start: float, end: float) -> None:
        """Count a span, as far as it lies on the axis."""
        bins = len(self._partial)
        low, high = max(start / self._width, 0.0), min(end / self._width, float(bins))
        if high <= low:
            return
        first, last = int(low), min(int(high), bins - 1)
        if first == last:
            self._partial[first] += high - low
            return
        self._partial[first] += first + 1 - low
        self._partial[last] += high - last
        self._steps[first + 1] += 1
        self._steps[last] -= 1

    def means(self) -> tuple[float, ...]:
        """Return the mean number of spans in each bin."""
        found, covering = [], 0
        for part, step in zip(self._partial, self._steps, strict=False):
            covering += step
            found.append(round(part + covering, 3))
        return tuple(found)
