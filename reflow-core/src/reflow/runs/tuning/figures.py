"""Figures that a person would write: memory and time, rounded up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

MIB, GIB = 2**20, 2**30

_GIGABYTES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128)
LEAST_MEMORY = 300 * MIB
"""Less is never proposed: Python with its libraries needs some, and the last worker of a wave takes
a dispatch step only with more than 256 MiB."""
LEAST_TIME = timedelta(minutes=2)
"""Less is never proposed: a busy node starts Python slowly."""
_TIME_STEPS = (
    (timedelta(minutes=10), timedelta(minutes=1)),
    (timedelta(hours=1), timedelta(minutes=5)),
    (timedelta(hours=4), timedelta(minutes=15)),
    (timedelta(hours=12), timedelta(hours=1)),
    (timedelta(days=2), timedelta(hours=6)),
)
_LONGEST_STEP = timedelta(days=1)


def round_memory(size: float) -> int:
    """Round bytes up: to 100M below 1G, to 1500M and 2500M, then to whole gigabytes."""
    if size > 900 * MIB:
        wide = [1.0, 1500 / 1024, 2.0, 2500 / 1024, *map(float, _GIGABYTES[2:])]
        for gigabytes in wide:
            if size <= gigabytes * GIB:
                return round(gigabytes * GIB)
        return math.ceil(size / (32 * GIB)) * 32 * GIB
    return max(LEAST_MEMORY, math.ceil(size / (100 * MIB)) * 100 * MIB)


def round_time(seconds: float) -> timedelta:
    """Round seconds up: to minutes below ten, to 5 minutes below an hour, and so on."""
    for below, step in _TIME_STEPS:
        rounded = math.ceil(seconds / step.total_seconds()) * step
        if rounded <= below:
            return max(LEAST_TIME, rounded)
    return math.ceil(seconds / _LONGEST_STEP.total_seconds()) * _LONGEST_STEP


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
