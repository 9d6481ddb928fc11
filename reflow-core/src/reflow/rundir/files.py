"""Writing files so that a reader sees the whole content or no file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from reflow.permissions import FILE_MODE


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is whole and on the disk, or not there at all.

    Raises `OSError` where the disk is full or the folder is gone.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_bytes(path: str | Path) -> bytes:
    """Read a small file with as few system calls as it takes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_descriptor(descriptor)
    finally:
        os.close(descriptor)


def damaged(path: Path) -> OSError:
    """Return the error for a file that does not hold what was written to it."""
    return OSError(errno.EIO, "it is damaged", str(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading without ever blocking on a pipe that lies in its place.

    Raises `OSError` where there is no regular file that can be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_descriptor(descriptor: int) -> bytes:
    """Read the rest of an open file."""
    chunks = []
    while chunk := os.read(descriptor, 1 << 16):
        chunks.append(chunk)
    return b"".join(chunks)


def server_time(probe: Path) -> float:
    """Return the file server's time, in seconds since the epoch, from a file touched now."""
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT, FILE_MODE)
    try:
        os.utime(descriptor)
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
