"""Waiting for something that another process does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(done: Callable[[], bool], timeout: float | None, longest: float = 2.0) -> bool:
    """Look, with growing pauses, until something is so; return False after `timeout` seconds."""
    until = None if timeout is None else time.monotonic() + timeout
    pause = 0.05
    while not done():
        if until is not None and time.monotonic() >= until:
            return False
        left = pause if until is None else min(pause, max(0.0, until - time.monotonic()))
        time.sleep(left)
        pause = min(longest, pause * 1.5)
    return True
