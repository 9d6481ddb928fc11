"""Output of log files, which may be large: whole, their last lines, or as they grow."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from reflow.errors import NotFoundError
from reflow.rundir.files import open_regular

_CHUNK = 64 * 1024
LOOK_EVERY = 0.2
"""Seconds between two reads of a log that is followed."""
ASK_EVERY = 1.0
"""Seconds between two checks whether the element of the log has ended."""


class _ReaderLeftError(Exception):
    """The reader of standard output, such as `head`, has closed it."""


def last_lines(path: Path, lines: int) -> bytes:
    """Return at most the last `lines` lines of a file, read from its end.

    Raises `OSError` where it cannot be read.
    """
    with open_regular(path) as file:
        position = file.seek(0, os.SEEK_END)
        found = b""
        while position and found.count(b"\n") <= lines:
            step = min(_CHUNK, position)
            position = file.seek(position - step)
            found = file.read(step) + found
    return b"".join(found.splitlines(keepends=True)[-lines:]) if lines else b""


def copy_log(path: Path, lines: int | None) -> None:
    """Write a log, or its last lines, to standard output as it is.

    Raises `NotFoundError` where it cannot be read.
    """
    with suppress(_ReaderLeftError), _output(path) as output:
        if lines is not None:
            output.write(last_lines(path, lines))
        else:
            with open_regular(path) as file:
                shutil.copyfileobj(file, output)


def follow_log(
    find: Callable[[], Path | None], ended: Callable[[], bool], lines: int | None
) -> bool:
    """Write a log to standard output as it grows; return False where there never was one.

    `find` returns the log as soon as there is one, and later that of the next attempt; `ended`
    tells that nothing more will be written.
    """
    before, place, asked, over = None, 0, 0.0, False
    while True:
        path = find()
        if path is not None and path != before:
            before, place = path, _start(path, lines)
        if path is not None:
            try:
                place = _copy_from(path, place)
            except _ReaderLeftError:
                return True
        if over:
            return before is not None
        if time.monotonic() - asked >= ASK_EVERY:
            # The last output may have come after the read above.
            over, asked = ended(), time.monotonic()
        if not over:
            time.sleep(LOOK_EVERY)


def _start(path: Path, lines: int | None) -> int:
    """Return the offset in bytes at which the last lines of a log begin."""
    return 0 if lines is None else path.stat().st_size - len(last_lines(path, lines))


def _copy_from(path: Path, place: int) -> int:
    """Write a log from a byte offset on; return the offset reached."""
    with _output(path) as output, path.open("rb") as file:
        file.seek(place)
        shutil.copyfileobj(file, output)
        return file.tell()


@contextmanager
def _output(path: Path) -> Iterator[BinaryIO]:
    """Open standard output for bytes. Raises `_ReaderLeftError`, and `NotFoundError`."""
    sys.stdout.flush()
    output = sys.stdout.buffer
    try:
        yield output
        output.flush()
    except BrokenPipeError:
        # Python flushes standard output at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        raise _ReaderLeftError from None
    except OSError as error:
        raise NotFoundError(f"the log {path} cannot be read: {error.strerror}") from error
