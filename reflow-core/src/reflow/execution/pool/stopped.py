"""For how long elements were stopped: time that a scheduler took from them, not time they used."""

from __future__ import annotations

import time
from collections.abc import Iterable

from reflow.executors.processes import process_of

At = tuple[int, int]


class StoppedTime:
    """Counts, between two looks, for how long elements were stopped.

    A scheduler that suspends a job stops all of its processes, or only some of them. While the host
    itself is stopped it sees nothing. When it goes on, all that has passed since its last look
    counts, for each of its elements. While the host goes on, it sees which workers are stopped.
    """

    def __init__(self) -> None:
        """Begin to count."""
        self._looked_at = time.time()
        self._host_was_stopped = False
        self._stopped: dict[tuple[At, float], float] = {}
        """Seconds, by element and when it was begun."""

    def note_going_on(self) -> None:
        """Note that the host was stopped, and goes on."""
        self._host_was_stopped = True

    def look(self, running: Iterable[tuple[int, At, float]]) -> dict[At, float]:
        """Return for how many seconds elements were stopped that are running.

        Each is given by its worker's process, what it is, and when it was begun.
        """
        now = time.time()
        everything, self._host_was_stopped = self._host_was_stopped, False
        found = {}
        for pid, at, begun in running:
            passed = now - max(begun, self._looked_at)
            stopped = everything or _is_stopped(pid)
            found[at, begun] = self._stopped.get((at, begun), 0.0) + (passed if stopped else 0.0)
        self._stopped, self._looked_at = found, now
        return {at: seconds for (at, _), seconds in found.items()}


def _is_stopped(pid: int) -> bool:
    process = process_of(pid)
    return process is not None and process.stopped
