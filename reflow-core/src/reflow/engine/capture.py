"""Logs of elements, whatever their functions do to the streams of the process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import TextIO

from reflow.permissions import FILE_MODE, make_folder

OUT_OF_REACH = 10
"""Descriptors of our own are no lower: code that closes 0, 1 and 2 is common."""


def log_descriptor(path: Path, flags: int = 0) -> int:
    """Open a log that this process appends to, making its folder. Raises `OSError`."""
    make_folder(path.parent)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | flags, FILE_MODE)
    try:
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, OUT_OF_REACH)
    finally:
        os.close(opened)


def redirect_to(descriptor: int) -> None:
    """Send what this process and its children print to a descriptor, from now on."""
    for standard in (1, 2):
        os.dup2(descriptor, standard)


def flush_streams() -> None:
    """Write out what was printed; streams that a task has closed or replaced are let be."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            assert stream is not None
            stream.flush()


def write_all(descriptor: int, text: str) -> None:
    """Write text past Python's own streams; what cannot be written is lost."""
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


class LogCapture:
    """For elements that share a process: a log file only for those that print something.

    What is printed goes to a scratch file, which becomes the log of the element that it is from.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._out, self._errors = sys.stdout, sys.stderr
        self._open()

    def _open(self) -> None:
        self._descriptor = log_descriptor(self._scratch, os.O_TRUNC)
        self._mend()

    def keep(self, log: Path) -> bool:
        """Make what was printed since the last call a log; False when nothing was."""
        flush_streams()
        if os.fstat(self._descriptor).st_size == 0:
            self._mend()
            return False
        make_folder(log.parent)
        self._scratch.replace(log)
        os.close(self._descriptor)
        self._open()
        return True

    def write(self, text: str) -> None:
        """Add to what was printed."""
        flush_streams()
        write_all(self._descriptor, text)

    def _mend(self) -> None:
        """Give the next element streams as if no other had been here before it."""
        redirect_to(self._descriptor)
        if self._out.closed:
            self._out = _text_stream(1)
        if self._errors.closed:
            self._errors = _text_stream(2)
        sys.stdout, sys.stderr = self._out, self._errors


def _text_stream(descriptor: int) -> TextIO:
    buffering = 1 if descriptor == 2 else -1
    return open(descriptor, "w", buffering, errors="backslashreplace", closefd=False)
