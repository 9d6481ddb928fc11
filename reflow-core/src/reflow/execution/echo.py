"""Logs of elements that run in the user's own process, whose output also goes where it always did.

What Python prints is written to the caller's stream and to the log, in this order of events, and at
once. What programs print that an element has started goes to a file in place of descriptors 1 and
2, and is copied to both from there: before Python's next line, at the end of the element, and every
now and then meanwhile. It goes to a file rather than a pipe, as a program that writes to a file
never waits for a reader.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reflow.execution.capture import end_of, flush_streams, log_descriptor, out_of_reach, write_all

COPY_EVERY = 0.1
"""Seconds after which output of programs is copied at the latest."""
LARGEST_SCRATCH = 16 << 20
"""Bytes of output after which a scratch file is begun anew, once an element has ended."""


class EchoCapture:
    """Keeps a log of each element that prints something, and leaves the caller's streams in use."""

    def __init__(self, folder: Path) -> None:
        """Create scratch files in a folder. Raises `OSError` where that cannot be done."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._sides = [_Side(descriptors, folder) for descriptors in _standard_files()]
        self._running = threading.Event()
        self._closed = False
        self._log: Path | None = None
        self._descriptor: int | None = None
        threading.Thread(target=self._copy_in_time, daemon=True).start()

    @contextlib.contextmanager
    def streams(self) -> Iterator[None]:
        """Capture what this process and its children print."""
        before = sys.stdout, sys.stderr
        flush_streams()
        self._echoes = _Echo(self, before[0]), _Echo(self, before[1])
        for side in self._sides:
            side.redirect()
        self._running.set()
        try:
            yield
        finally:
            self._running.clear()
            sys.stdout, sys.stderr = before
            flush_streams()
            with self._lock:
                self._copy(None)
                for side in self._sides:
                    side.restore()

    def begin(self, log: Path) -> None:
        """Capture what is printed from now on for an element with that log."""
        self._log = log
        sys.stdout, sys.stderr = self._echoes

    def end(self) -> bool:
        """Tell whether the element has printed anything, and so has a log."""
        flush_streams()
        with self._lock:
            self._copy(self._log)
            self._log = None
            descriptor, self._descriptor = self._descriptor, None
            for side in self._sides:
                side.shorten()
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def last_printed(self) -> str:
        """Return the end of what the element has printed."""
        with self._lock:
            self._copy(self._log)
        return "" if self._descriptor is None or self._log is None else end_of(self._log)

    def write(self, text: str) -> None:
        """Add text to the log alone."""
        with self._lock:
            self._copy(self._log)
            self._keep(text)

    def close(self) -> None:
        """Close the scratch files."""
        self._closed = True
        self._running.set()
        with self._lock:
            for side in self._sides:
                side.close()

    def echo(self, stream: Any, text: str) -> None:
        """Write text to the log and to a stream of the caller's."""
        if os.getpid() != self._pid:
            # In a fork: what it prints is captured like a program's output.
            _put(stream, text)
            return
        with self._lock:
            self._copy(self._log)
            self._keep(text)
            _put(stream, text)
            # Where the stream leads to descriptor 1 or 2, the captured text is a second copy.
            self._copy(None)

    def _copy(self, log: Path | None) -> None:
        """Copy what programs have printed, to the caller's streams and into a log."""
        for side in self._sides:
            for data in side.new():
                side.pass_on(data)
                if log is not None:
                    self._keep(data)

    def _keep(self, printed: str | bytes) -> None:
        with contextlib.suppress(OSError):
            if self._descriptor is None and self._log is not None:
                self._descriptor = log_descriptor(self._log)
        if self._descriptor is not None:
            write_all(self._descriptor, printed)

    def _copy_in_time(self) -> None:
        while self._running.wait() and not self._closed:
            time.sleep(COPY_EVERY)
            with self._lock:
                if self._running.is_set() and not self._closed:
                    self._copy(self._log)


def _standard_files() -> list[tuple[int, ...]]:
    """Return the descriptors of standard output and error, together where both are one file."""
    try:
        one_file = os.path.sameopenfile(1, 2)
    except OSError:
        one_file = False
    return [(1, 2)] if one_file else [(1,), (2,)]


class _Side:
    """Standard output, standard error, or both, redirected into a file for a time."""

    def __init__(self, descriptors: tuple[int, ...], folder: Path) -> None:
        self._descriptors = descriptors
        with tempfile.TemporaryFile(dir=folder) as file:
            self._scratch = out_of_reach(os.dup(file.fileno()))
        self._place = 0
        self._saved: int | None = None

    def redirect(self) -> None:
        with contextlib.suppress(OSError):
            self._saved = out_of_reach(os.dup(self._descriptors[0]))
            for descriptor in self._descriptors:
                os.dup2(self._scratch, descriptor)

    def restore(self) -> None:
        if self._saved is not None:
            for descriptor in self._descriptors:
                os.dup2(self._saved, descriptor)
            os.close(self._saved)
            self._saved = None

    def new(self) -> Iterator[bytes]:
        """Yield what was printed since the last call, in pieces."""
        while os.fstat(self._scratch).st_size > self._place:
            data = os.pread(self._scratch, 1 << 20, self._place)
            self._place += len(data)
            yield data

    def pass_on(self, data: bytes) -> None:
        if self._saved is not None:
            write_all(self._saved, data)

    def shorten(self) -> None:
        if self._place > LARGEST_SCRATCH:
            os.ftruncate(self._scratch, 0)
            os.lseek(self._scratch, 0, os.SEEK_SET)
            self._place = 0

    def close(self) -> None:
        os.close(self._scratch)


class _Echo:
    """Replaces a stream of the caller's, and writes line by line."""

    def __init__(self, capture: EchoCapture, stream: Any) -> None:
        self._capture = capture
        self._stream = stream
        self._line = ""
        # Asked before descriptors are redirected: debuggers want a terminal.
        self._terminal = stream is not None and bool(stream.isatty())

    def write(self, text: str) -> int:
        self._line += text
        if "\n" in text or "\r" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        line, self._line = self._line, ""
        if line:
            self._capture.echo(self._stream, line)

    def isatty(self) -> bool:
        return self._terminal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _put(stream: Any, text: str) -> None:
    """Write as much of a text as a stream can encode, and the rest as escapes."""
    if stream is None:
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
