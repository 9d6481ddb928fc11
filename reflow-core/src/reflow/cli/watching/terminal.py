"""A terminal that a view fills, and that is always left as it was found.

While the view is shown, signals only leave a byte in a pipe, by which the wait for keys ends; so
nothing is interrupted halfway through a change of the terminal. The view's loop then does what the
signal is for. The terminal is in cbreak mode (keys come one by one and are not shown, Ctrl-C and
Ctrl-Z are signals) and on its alternate screen, and is put back when the view ends, for whatever
reason, and while it is suspended.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from contextlib import AbstractContextManager, suppress
from types import FrameType, TracebackType
from typing import Any

from rich.text import Text

from reflow.cli.watching.keys import decode
from reflow.report.screen import Screen

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J", "\x1b[?25h\x1b[?1049l"
"""Show the alternate screen without a cursor; show the normal screen with one."""
ESCAPE_TIME = 0.05
"""Seconds after which an escape character that nothing has followed is the key Esc."""
SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGWINCH,
    signal.SIGTSTP,
    signal.SIGCONT,
)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing: the signal's number is in the pipe."""


class Terminal(AbstractContextManager["Terminal"]):
    """The terminal of standard input and output, for one view."""

    def __init__(self, console: Screen) -> None:
        self._console = console
        self._input = sys.stdin.fileno()
        self._waker, self._pipe = -1, -1
        self._mode: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._before: list[str] = []
        self._rest = b""

    def __enter__(self) -> Terminal:
        self._waker, self._pipe = os.pipe()
        os.set_blocking(self._waker, False)
        os.set_blocking(self._pipe, False)
        self._wakeup_before = signal.set_wakeup_fd(self._pipe, warn_on_full_buffer=False)
        for number in SIGNALS:
            self._handlers[number] = signal.signal(number, _ignore)
        try:
            self._show()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hide()
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._pipe)
        os.close(self._waker)

    def _show(self) -> None:
        self._mode = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        self._write(ENTER)
        self._before = []

    def _hide(self) -> None:
        if self._mode is None:
            return
        mode, self._mode = self._mode, None
        with suppress(OSError):  # the terminal may be gone
            self._write(LEAVE)
        with suppress(termios.error, OSError):
            termios.tcsetattr(self._input, termios.TCSADRAIN, mode)

    def suspend(self) -> None:
        """Stop this process as Ctrl-Z does, with the terminal as it was; return when it goes on."""
        self._hide()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, before)
        self._show()

    def wake(self) -> None:
        """End the wait for keys, from any thread."""
        with suppress(BlockingIOError, OSError):  # it is full, or the view has ended
            os.write(self._pipe, b"\0")

    @property
    def size(self) -> tuple[int, int]:
        """The terminal's columns and lines, as they are now."""
        try:
            found = os.get_terminal_size(self._input)
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def wait(self, seconds: float) -> tuple[list[str], list[int], bool]:
        """Wait for keys, signals, or a wake from a thread.

        Return the keys, the numbers of the signals, and whether the terminal is still there.
        """
        ready = self._ready(seconds)
        signals: list[int] = []
        if self._waker in ready:
            with suppress(BlockingIOError):
                signals = [number for number in os.read(self._waker, 4096) if number]
        if self._input not in ready:
            return [], signals, True
        try:
            data = os.read(self._input, 4096)
        except OSError:
            data = b""
        if not data:
            return [], signals, False
        keys, self._rest = decode(self._rest + data)
        end = time.monotonic() + ESCAPE_TIME
        while self._rest and (more := self._more(end - time.monotonic())):
            further, self._rest = decode(self._rest + more)
            keys += further
        if self._rest:
            further, self._rest = decode(self._rest, is_all=True)
            keys += further
        return keys, signals, True

    def _ready(self, seconds: float) -> list[int]:
        ready, _, _ = select.select([self._input, self._waker], [], [], max(seconds, 0))
        return ready

    def _more(self, seconds: float) -> bytes:
        if not select.select([self._input], [], [], max(seconds, 0))[0]:
            return b""
        with suppress(OSError):
            return os.read(self._input, 4096)
        return b""

    def draw(self, lines: list[Text], *, anew: bool = False) -> None:
        """Show lines from the top of the screen; only those are written that have changed."""
        rendered = [self._rendered(line) for line in lines]
        before = [] if anew else self._before
        parts = ["\x1b[H\x1b[2J"] if anew else []
        for place, line in enumerate(rendered):
            if place >= len(before) or before[place] != line:
                parts.append(
                    f"\x1b[{place + 1};1H{line}\x1b[K" if line else f"\x1b[{place + 1};1H\x1b[K"
                )
        self._before = rendered
        if parts:
            self._write("".join(parts))

    def _rendered(self, line: Text) -> str:
        with self._console.capture() as captured:
            self._console.print(line, end="", soft_wrap=True)
        return captured.get()

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()
