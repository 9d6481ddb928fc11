"""A dispatcher beside a pilot's workers, which stays, so that the next step begins at once."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import suppress

from reflow.execution.completion import start_dispatch
from reflow.rundir.run_settings import RunSettings

AGAIN_AFTER = 5.0
"""Seconds after which a step is asked for again whose process has ended without an answer."""


class DispatchProcess:
    """Takes a dispatch step whenever it is asked, in a process that is started for the first."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._unanswered = 0
        self._due_at: float | None = None

    def ask(self) -> None:
        """Have a step taken, or one more after the one that is being taken. Raises `OSError`."""
        self._due_at = None
        if self._process is None:
            self._process = start_dispatch(self._settings, stays=True)
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            # One that has ended is seen to have when its answers are read.
            os.write(self._process.stdin.fileno(), b"\n")
        self._unanswered += 1

    @property
    def answers(self) -> int | None:
        """The descriptor on which an answer can be read; None while there is no process."""
        if self._process is None or self._process.stdout is None:
            return None
        return self._process.stdout.fileno()

    def has_answered(self) -> bool:
        """Tell whether steps were taken since the last call."""
        if self._process is None:
            return False
        assert self._process.stdout is not None
        try:
            data = os.read(self._process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._reap()
            return True
        answers = data.decode(errors="replace").splitlines()
        self._unanswered = max(0, self._unanswered - len(answers))
        with suppress(ValueError):
            self._due_at = time.monotonic() + float(answers[-1])
        return True

    @property
    def is_lost(self) -> bool:
        """Whether the process has ended before it had taken all steps that it was asked for."""
        return self._process is None and self._due_at is not None

    @property
    def is_due(self) -> bool:
        """Whether something waits for a step that was not asked for."""
        return self._due_at is not None and time.monotonic() >= self._due_at

    def wait(self, seconds: float) -> None:
        """Wait until all that was asked for is done, for so long at most."""
        end = time.monotonic() + seconds
        while self._unanswered and self._process is not None:
            assert self._process.stdout is not None
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return
            self.has_answered()

    def close(self, seconds: float) -> None:
        """Let the process end, and wait for that."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
            self._reap()

    def _reap(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdout, self._process.stdin):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._process = None
        self._due_at = time.monotonic() + AGAIN_AFTER if self._unanswered else None
        self._unanswered = 0
