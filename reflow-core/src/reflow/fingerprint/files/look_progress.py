"""Telling a user at a terminal that files are being looked at or read, and how far that is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

SILENT, EVERY = 2.0, 5.0
"""Seconds before the first report, and between two reports."""


def entries_looked_at(entries: int) -> str:
    """Say how many entries have been looked at."""
    return f"looking at files: {entries:,}"


def bytes_read(count: int) -> str:
    """Say how much has been read of files that count by their contents."""
    return f"reading files: {count / 1e6:,.0f} MB"


class LookProgress:
    """Receives how far each tree has been looked at or read, and reports when that takes long."""

    def __init__(
        self,
        told: Callable[[int], str] = entries_looked_at,
        *,
        silent: float = SILENT,
        every: float = EVERY,
    ) -> None:
        self._told = told
        self._every = every
        self._speak_at = time.monotonic() + silent
        self._before = self._here = 0

    def __call__(self, done: int) -> None:
        """Record how much of a tree is done."""
        if done < self._here:  # another tree
            self._before += self._here
        self._here = done
        if time.monotonic() >= self._speak_at:
            self._speak_at = time.monotonic() + self._every
            told = self._told(self._before + self._here)
            print(f"{told} so far (Ctrl-C is safe)", file=sys.stderr, flush=True)
