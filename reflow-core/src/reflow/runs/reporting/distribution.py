"""Distributions of measurements."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

from reflow.runs.reporting.contents import Distribution, Histogram

BINS = 30
"""Bars of a histogram, at most."""
_WIDE = 50.0
"""From which ratio of the 95th percentile to the 5th a histogram has a logarithmic scale."""


_WIDEST = 1e12
"""Beyond, the steps between edges are no numbers of use."""


def distribution(values: Iterable[float], *, bins: int = BINS) -> Distribution | None:
    """Return the distribution of measurements; None where there are none.

    `bins` of 0 leaves the histogram out.
    """
    ordered = sorted(values)
    if not ordered:
        return None
    total = math.fsum(ordered)
    return Distribution(
        count=len(ordered),
        min=ordered[0],
        q1=quantile(ordered, 0.25),
        median=quantile(ordered, 0.5),
        q3=quantile(ordered, 0.75),
        p95=quantile(ordered, 0.95),
        max=ordered[-1],
        mean=total / len(ordered),
        sum=total,
        histogram=histogram(ordered, bins) if bins else None,
    )


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the quantile of ascending values, between the two nearest of them."""
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def histogram(ordered: Sequence[float], bins: int) -> Histogram | None:
    """Count ascending values by size; None where all are equal."""
    low, high = ordered[0], ordered[-1]
    if low == high:
        return None
    number = min(bins, max(5, math.ceil(math.log2(len(ordered)) * 2)))
    spread = quantile(ordered, 0.95) / quantile(ordered, 0.05) if low > 0 else 0.0
    is_wide = spread > _WIDE and high / low < _WIDEST
    if is_wide:
        factor = (high / low) ** (1 / number)
        inner = [low * factor**step for step in range(1, number)]
    else:
        inner = [low + (high - low) * step / number for step in range(1, number)]
    places = [0, *(bisect_left(ordered, edge) for edge in inner), len(ordered)]
    return Histogram(
        edges=(low, *inner, high),
        counts=tuple(end - start for start, end in pairwise(places)),
        scale="log" if is_wide else "linear",
    )
