"""What pilots are told: which waves they may take elements of or are to end, and the run's end.

Dispatchers append lines to one file, and pilots read on from where they were. A file that is opened
anew is seen as the server has it, where the listing of a folder may be a minute old. Lines of a
dispatcher that was overtaken are ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from reflow.permissions import FILE_MODE

_OPENED, _CLOSED, _CANCELLED = "+", "-", "x"
_BEGIN, _END = "begin", "end"


def opened(wave: int) -> str:
    """Return the word for a wave whose elements may be taken."""
    return f"{_OPENED}{wave}"


def closed(wave: int) -> str:
    """Return the word for a wave of which nothing is left."""
    return f"{_CLOSED}{wave}"


def cancelled(wave: int) -> str:
    """Return the word for a wave of which pilots are to end what they have."""
    return f"{_CANCELLED}{wave}"


def tell(file: Path, epoch: int, words: Iterable[str]) -> None:
    """Append words to what pilots are told; `epoch` is that of the lease. Raises `OSError`."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
    try:
        size = os.fstat(descriptor).st_size
        # One that died while it wrote may have left half a line.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        lines = "".join(f"{epoch} {word}\n" for word in words)
        left = memoryview(b"\n" * torn + lines.encode())
        while left:
            # A disk that is nearly full, or a signal, may cut a write short.
            left = left[os.write(descriptor, left) :]
    finally:
        os.close(descriptor)


def tell_begin(file: Path, epoch: int) -> None:
    """Tell pilots that the run goes on, though it may have ended before. Raises `OSError`."""
    tell(file, epoch, [_BEGIN])


def tell_end(file: Path, epoch: int) -> None:
    """Tell pilots that the run has ended. Raises `OSError`."""
    tell(file, epoch, [_END])


class OpenWaves:
    """The waves that are open, as far as they were read."""

    def __init__(self, file: Path) -> None:
        self._file = str(file)
        self._read = 0
        self._epoch = 0
        self._rest = b""
        self.numbers: dict[int, None] = {}
        """The numbers of open waves, in the order in which they were opened."""
        self.cancelled: set[int] = set()
        """The numbers of waves of which pilots are to end what they have."""
        self.run_has_ended = False

    def look(self) -> None:
        """Read what was told since the last look. Raises `OSError`."""
        from reflow.fingerprint.files.fresh import asked  # which loads ctypes

        try:
            if asked(self._file).st_size <= self._read:
                return
            descriptor = os.open(self._file, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            while data := os.pread(descriptor, 1 << 16, self._read):
                self._read += len(data)
                *lines, self._rest = (self._rest + data).split(b"\n")
                for line in lines:
                    self._take(line.decode(errors="replace"))
        finally:
            os.close(descriptor)

    def _take(self, line: str) -> None:
        epoch, _, word = line.partition(" ")
        # A torn line is none; what it was to say has been said again.
        if not epoch.isdigit() or int(epoch) < self._epoch:
            return
        kind, number = word[:1], word[1:]
        if word in (_BEGIN, _END):
            self.run_has_ended = word == _END
        elif kind in (_OPENED, _CLOSED) and number.isdigit():
            self.run_has_ended = False
            self.numbers.pop(int(number), None)
            if kind == _OPENED:
                self.numbers[int(number)] = None
        elif kind == _CANCELLED and number.isdigit():
            self.numbers.pop(int(number), None)
            self.cancelled.add(int(number))
        else:
            return
        self._epoch = int(epoch)
