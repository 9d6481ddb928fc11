"""Logs of elements, whatever their functions do to the streams of the process.

A line that was printed is in the log at once, in order with the output of programs that the element
has started, and stays there when the process is killed: Python's own streams hold back no whole
line, and nothing stands between them and the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from reflow.permissions import FILE_MODE, make_folder

OUT_OF_REACH = 10
"""Descriptors of our own are no lower: code that closes 0, 1 and 2 is common."""
END_BYTES = 8_000
DEPTH = 3
"""Folders between a run directory and each file that is printed to."""
SHOWN_WITHIN = 0.2
"""Seconds after which what an element prints has a log's name."""


def log_descriptor(path: Path) -> int:
    """Open a log that this process appends to, making its folder. Raises `OSError`."""
    make_folder(path.parent, within=path.parents[DEPTH])
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE)
    return out_of_reach(opened)


def out_of_reach(descriptor: int) -> int:
    """Move a descriptor to a number that user code does not close by habit."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, OUT_OF_REACH)
    finally:
        os.close(descriptor)


def redirect_to(descriptor: int) -> None:
    """Send what this process and its children print to a descriptor, from now on."""
    for standard in (1, 2):
        os.dup2(descriptor, standard)


def print_to(descriptor: int) -> None:
    """Redirect this process for good, its `print` and its logging included."""
    redirect_to(descriptor)
    sys.stdout, sys.stderr = line_stream(1), line_stream(2)


def line_stream(descriptor: int) -> TextIO:
    """Return a text stream, in UTF-8, that writes every line at once."""
    return open(descriptor, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)


def flush_streams() -> None:
    """Write out what was printed; leave streams alone that a task has closed or replaced."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):
            assert stream is not None
            stream.flush()


def write_all(descriptor: int, text: str | bytes) -> None:
    """Write text past Python's own streams; what cannot be written is lost."""
    data = memoryview(text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace"))
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


def end_of(log: Path) -> str:
    """Return the end of what was printed to a file; empty where that cannot be read."""
    flush_streams()
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - END_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def publish_log(scratch: Path, log: Path) -> None:
    """Rename a scratch file of printed output to a log, leaving no second name."""
    make_folder(log.parent, within=log.parents[DEPTH])
    scratch.replace(log)
    # A rename leaves both names where they are links to one file, as after `_show`.
    scratch.unlink(missing_ok=True)


class LogCapture:
    """For elements that share a process: writes a log file only for those that print something.

    Output goes to a scratch file, which becomes the log of the element that printed it. A thread
    gives it that name while the element still runs: only the file itself shows whether something
    was printed, as programs print past Python.
    """

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._log: Path | None = None
        """The log of the element that runs, until its first output."""
        self._open()
        redirect_to(self._descriptor)
        self._out, self._errors = line_stream(1), line_stream(2)
        self._mend()
        threading.Thread(target=self._show_in_time, daemon=True).start()

    def begin(self, log: Path) -> None:
        """Capture what is printed from now on for an element with that log."""
        self._log = log
        self._begun.set()

    def end(self, log: Path) -> bool:
        """Turn what was printed since the last call into a log; return False when nothing was."""
        flush_streams()
        with self._lock:
            self._log = None
            if os.fstat(self._descriptor).st_size == 0:
                self._mend()
                return False
            publish_log(self._scratch, log)
            os.close(self._descriptor)
            self._open()
            self._mend()
            return True

    def last_printed(self) -> str:
        """Return the end of what the element has printed."""
        return end_of(self._scratch)

    def write(self, text: str) -> None:
        """Add text to the captured output."""
        flush_streams()
        write_all(self._descriptor, text)

    def _open(self) -> None:
        # Never truncated: an earlier worker's file may be a log by now that kept this name too.
        self._scratch.unlink(missing_ok=True)
        self._descriptor = log_descriptor(self._scratch)

    def _mend(self) -> None:
        """Give the next element fresh streams, as if no other element had run before it."""
        redirect_to(self._descriptor)
        if self._out.closed:
            self._out = line_stream(1)
        if self._errors.closed:
            self._errors = line_stream(2)
        sys.stdout, sys.stderr = self._out, self._errors

    def _show_in_time(self) -> None:
        while self._begun.wait():
            time.sleep(SHOWN_WITHIN)
            with self._lock, contextlib.suppress(OSError):
                self._show()

    def _show(self) -> None:
        """Link the scratch file to the log's name, once it holds anything."""
        self._begun.clear()
        log = self._log
        if log is None:
            return
        if os.fstat(self._descriptor).st_size == 0:
            self._begun.set()
            return
        self._log = None
        make_folder(log.parent, within=log.parents[DEPTH])
        log.unlink(missing_ok=True)
        os.link(self._scratch, log)
