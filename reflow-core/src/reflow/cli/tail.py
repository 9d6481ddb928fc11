"""Log files, which may be large: whole, or their end."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from reflow.engine.files import open_regular
from reflow.errors import NotFoundError

_CHUNK = 64 * 1024


def last_lines(path: Path, lines: int) -> bytes:
    """At most the last `lines` lines of a file, read from its end.

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
    sys.stdout.flush()
    output = sys.stdout.buffer
    try:
        if lines is not None:
            output.write(last_lines(path, lines))
        else:
            with open_regular(path) as file:
                shutil.copyfileobj(file, output)
        output.flush()
    except BrokenPipeError:
        # Whoever read has seen enough. What Python flushes at exit must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
    except OSError as error:
        raise NotFoundError(f"the log {path} cannot be read: {error.strerror}") from error
