"""Programs started as a person starts them, at a terminal or not."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path
from typing import Self

import pyte

COLUMNS, LINES = 80, 24
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` with its output in pipes."""
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fail when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


class Terminal:
    """A terminal of 80 columns and 24 lines in which `python WORDS` runs."""

    def __init__(self, *words: str, program: str = sys.executable, **environment: str) -> None:
        self._screen, inside = pty.openpty()
        ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [program, *words],
            env={**os.environ, "TERM": "xterm-256color", **environment},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inside)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._screen)

    def press_ctrl_c(self) -> None:
        """Do what the terminal does at Ctrl-C: every process in the foreground is interrupted."""
        os.write(self._screen, b"\x03")

    def type_line(self, text: str) -> None:
        """Type a line."""
        os.write(self._screen, f"{text}\n".encode())

    def wait_for(self, text: str, seconds: float = 60) -> None:
        """Read on until `text` has been shown."""
        end = time.monotonic() + seconds
        while text not in ESCAPE.sub("", self.shown):
            assert self._read(end - time.monotonic()), f"{text!r} is not in\n{self.shown}"

    def end(self, seconds: float = 60) -> int:
        """Read all the rest; the exit code."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(timeout=max(end - time.monotonic(), 0.1))

    def take(self, read: bytes) -> None:
        """Keep what the program has written."""
        self.shown += read.decode(errors="replace").replace("\r\n", "\n")

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._screen], [], [], max(seconds, 0))
        if not ready:
            return False
        try:
            read = os.read(self._screen, 65536)
        except OSError:
            # Linux says so when nobody is left inside.
            return False
        self.take(read)
        return bool(read)


class FullScreen(Terminal):
    """A terminal whose screen is seen as a person sees it: what was overwritten is gone."""

    def __init__(self, *words: str, program: str = sys.executable, **environment: str) -> None:
        self._display = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._display)
        super().__init__(*words, program=program, **environment)

    def take(self, read: bytes) -> None:
        """Show what the program has written."""
        super().take(read)
        self._stream.feed(read)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        return [line.rstrip() for line in self._display.display]

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._screen, keys.encode())

    def wait_until(self, condition: Callable[[str], object], seconds: float = 60) -> None:
        """Read on until the screen, as one text, fulfils a condition."""
        end = time.monotonic() + seconds
        while not condition("\n".join(self.lines)):
            shown = "\n".join(self.lines)
            assert self._read(end - time.monotonic()), f"it has not come about on\n{shown}"

    def wait_until_shown(self, *texts: str, seconds: float = 60) -> None:
        """Read on until all of the texts are on the screen."""
        self.wait_until(lambda screen: all(text in screen for text in texts), seconds)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size of the terminal, as dragging its window does."""
        self._display.resize(lines, columns)
        ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def shows_keys(self) -> bool:
        """Whether keys are shown as they are typed, and taken line by line, as shells have it."""
        mode = termios.tcgetattr(self._screen)[3]
        return bool(mode & termios.ECHO and mode & termios.ICANON)


def with_a_reader_that_left(*words: str) -> tuple[int, str]:
    """Run `python WORDS` with standard output closed at the other end; exit code and errors."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    return ended.returncode, ended.stderr


def complete(words: str, *program: str, name: str) -> set[str]:
    """What bash is offered after `words` when `program` is asked by its protocol."""
    asked = run(
        *program,
        COMP_WORDS=words,
        COMP_CWORD=str(len(words.split(" ")) - 1),
        **{f"_{name.upper()}_COMPLETE": "complete_bash"},
    )
    assert asked.stderr == ""
    return set(asked.stdout.split())


def write(path: Path, text: str) -> Path:
    """Write a file and return its path."""
    path.write_text(text, encoding="utf-8")
    return path
