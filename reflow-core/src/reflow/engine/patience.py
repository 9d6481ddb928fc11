"""Tells whoever waits at a terminal that files are being looked at, and how many so far."""

from __future__ import annotations

import sys
import time

SILENT, EVERY = 2.0, 5.0
"""Seconds before the first word, and between two."""


class LookProgress:
    """Is given the entries of each tree as they are counted, and speaks when that takes long."""

    def __init__(self, silent: float = SILENT, every: float = EVERY) -> None:
        self._every = every
        self._speak_at = time.monotonic() + silent
        self._before = self._here = 0

    def __call__(self, entries: int) -> None:
        """Take note of how many entries of a tree have been looked at."""
        if entries < self._here:  # another tree
            self._before += self._here
        self._here = entries
        if time.monotonic() >= self._speak_at:
            self._speak_at = time.monotonic() + self._every
            print(
                f"looking at files: {self._before + self._here:,} so far (Ctrl-C is safe)",
                file=sys.stderr,
                flush=True,
            )
