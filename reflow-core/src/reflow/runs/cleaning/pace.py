"""Writing to the store so that dispatchers beside it hardly wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST_HOLD = 0.04
"""Seconds that a transaction should take."""
SHORTEST_REST = 0.02
"""Seconds between two transactions, at least."""


class Pace:
    """Carries transactions out one after the other, and leaves as much time to others.

    A process that waits for an SQLite file looks at it every few hundredths of a second, and would
    find it locked again and again where transactions follow each other at once.
    """

    def __init__(self, portion: int) -> None:
        """Begin with portions of a size."""
        self.portion = portion
        """How much the next transaction should do, by how long the last ones took."""

    def write(self, transaction: Callable[[], T]) -> T:
        """Carry out a transaction of any size, and rest."""
        return self._timed(transaction)[0]

    def write_portion(
        self, transaction: Callable[[int], T], smallest: int = 20, largest: int = 20_000
    ) -> T:
        """Carry out a transaction that is given its size, and rest; choose the next size."""
        found, took = self._timed(lambda: transaction(self.portion))
        wanted = self.portion * min(2.0, max(0.25, LONGEST_HOLD / max(took, 1e-6)))
        self.portion = min(largest, max(smallest, int(wanted)))
        return found

    def _timed(self, transaction: Callable[[], T]) -> tuple[T, float]:
        began = time.perf_counter()
        found = transaction()
        took = time.perf_counter() - began
        time.sleep(max(took, SHORTEST_REST))
        return found, took
