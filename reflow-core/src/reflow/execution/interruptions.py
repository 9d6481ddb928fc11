"""Signals that end a foreground run: Ctrl-C, SIGTERM, and SIGHUP.

The first raises an exception, wherever the run is; tasks in this process see `TaskInterrupted`. The
next ones hurry: processes that were told to end, and have not yet, are killed. Where the user has
signal handlers, or runs a workflow in a thread, no handlers are installed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from reflow.errors import TaskInterrupted
from reflow.executors.processes import descendants_in_group

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""Signals that end a process which does not say otherwise."""
PATIENCE = 2.0
"""Seconds that programs have to end which a task of this process has started."""


class RunInterrupted(TaskInterrupted, KeyboardInterrupt):
    """Raised where a signal is to end this process, as Ctrl-C would."""

    def __init__(self, number: int) -> None:
        super().__init__(f"the run was sent {signal.Signals(number).name}", number)


class Interruptions:
    """Handles the signals that would end this process, for as long as its context lasts."""

    def __init__(self) -> None:
        self.hurry: Callable[[], None] = lambda: None
        """Called at each signal once the run is being ended."""
        self._told: int | None = None
        self._ending = False
        self._holding = False
        self._held: int | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._others: set[int] = set()

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            self._others = descendants_in_group()
            for number in ENDING:
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._before[number] = signal.signal(number, self._heard)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._heard)
        return self

    def __exit__(self, *details: object) -> None:
        if self._told is not None:
            self._end_programs()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def told(self) -> bool:
        """Whether the process was told to end, even where a task has caught the exception."""
        return self._told is not None

    def check(self) -> None:
        """Raise again an interruption that a task has caught."""
        if self._told is not None and not self._ending:
            raise RunInterrupted(self._told)

    def end(self) -> None:
        """Make further signals hurry, as the run is being ended."""
        self._ending = True

    def hold_back(self) -> None:
        """Hold signals back from now on, as something must not be left half done."""
        self._holding = True

    def let_through(self) -> None:
        """Raise what was held back."""
        self._holding = False
        if self._held is not None:
            number, self._held = self._held, None
            self._heard(number, None)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._ending:
            self.hurry()
        elif self._holding:
            self._held = number
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            self._told = number
            # At Ctrl-C the terminal signals them.
            self._tell_programs(signal.SIGTERM)
            raise RunInterrupted(number)

    def _programs(self) -> set[int]:
        """Return the programs that tasks have started in this process and that still run."""
        return descendants_in_group() - self._others

    def _tell_programs(self, number: signal.Signals) -> None:
        for pid in self._programs():
            with suppress(OSError):
                os.kill(pid, number)

    def _end_programs(self) -> None:
        until = time.monotonic() + PATIENCE
        while self._programs() and time.monotonic() < until:
            time.sleep(0.02)
        self._tell_programs(signal.SIGKILL)
