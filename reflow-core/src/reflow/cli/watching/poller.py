"""A thread that looks at runs, so that a slow database or scheduler never holds the keys up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from reflow.errors import ReflowError
from reflow.report.watch.state import Look
from reflow.runs.watching.glance import Wanted

EVERY = 1.0
"""Seconds between the beginnings of two looks, at least."""
MOST_OF_THE_TIME = 4.0
"""How many times as long as a look takes passes before the next one."""


class Poller:
    """Looks again and again at what is wanted, one look at a time."""

    def __init__(
        self,
        look: Callable[[Wanted], Sequence[Look]],
        wanted: Wanted,
        wake: Callable[[], None],
    ) -> None:
        """Keep `look`, and `wake`, which is called after each look."""
        self._look, self._wanted, self._wake = look, wanted, wake
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._found: tuple[Wanted, Sequence[Look], str] | None = None
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def want(self, wanted: Wanted) -> None:
        """Look at something else from now on, at once."""
        if wanted != self._wanted:
            with self._lock:
                self._wanted, self._found = wanted, None
            self._asked.set()

    def look_again(self) -> None:
        """Look at once."""
        self._asked.set()

    def take(self) -> tuple[Sequence[Look], str] | None:
        """Return what the last look found, and why it failed, or an empty text.

        None where there was no look at what is wanted since the last call.
        """
        with self._lock:
            found, self._found = self._found, None
            return None if found is None or found[0] != self._wanted else found[1:]

    @contextmanager
    def held(self, seconds: float) -> Iterator[None]:
        """Begin no look meanwhile; first wait a moment for the end of one that is under way.

        A process that is suspended amid a look could hold a lock of the database.
        """
        is_held = self._looking.acquire(timeout=seconds)
        try:
            yield
        finally:
            if is_held:
                self._looking.release()

    def stop(self, seconds: float) -> None:
        """Look no more; wait a moment for a look that is under way."""
        self._ended.set()
        self._asked.set()
        self._thread.join(seconds)

    def _go_on(self) -> None:
        while not self._ended.is_set():
            self._asked.clear()
            wanted, began = self._wanted, time.monotonic()
            result: Sequence[Look] = ()
            why = ""
            with self._looking:
                try:
                    result = self._look(wanted)
                except ReflowError as error:
                    why = str(error)
                except Exception as error:  # A bug is shown, and must not end the view.
                    why = f"{type(error).__name__}: {error}"
            took = time.monotonic() - began
            with self._lock:
                self._found = (wanted, result, why)
            self._wake()
            if not self._ended.is_set():
                self._asked.wait(max(EVERY - took, took * MOST_OF_THE_TIME))
