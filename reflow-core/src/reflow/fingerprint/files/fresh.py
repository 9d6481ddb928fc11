"""Status that comes from the file server, not from what its client remembers.

A client of NFS, or of a file system in user space, answers for some seconds from its cache, and
`stat` does not show that. Opening a file makes NFS clients ask the server; Linux has a flag for
it that other clients heed as well: AT_STATX_FORCE_SYNC of statx(2), which Python does not offer.
Where the C library does not have it, files are opened instead.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from functools import cache

_HERE = -100  # AT_FDCWD
_NOFOLLOW, _EMPTY_PATH, _FORCE_SYNC = 0x100, 0x1000, 0x2000
_BASIC_STATS = 0x7FF
_BUFFER = 256
"""Bytes of a `struct statx`, whose contents are not read: only the call matters."""
_NOT_OFFERED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
"""What old kernels say, file systems without the flag, and containers that filter calls."""
_OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def asked(name: str, /, *, dir_fd: int | None = None) -> os.stat_result:
    """Return the status that the file server knows for a name; links are not followed."""
    _ask()(_HERE if dir_fd is None else dir_fd, name, _NOFOLLOW)
    return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)


def opened(name: str, /, *, dir_fd: int | None = None) -> os.stat_result:
    """Return the status of a plain file after opening it; ask for what may not be opened."""
    status = asked(name, dir_fd=dir_fd)
    if not stat.S_ISREG(status.st_mode):
        return status
    try:
        descriptor = os.open(name, _OPEN_FILE, dir_fd=dir_fd)
    except PermissionError:
        return status
    try:
        _ask()(descriptor, "", _EMPTY_PATH)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


@cache
def _ask() -> Callable[[int, str, int], None]:
    """Return the call that makes a client ask; one that does nothing where there is none."""
    try:
        import ctypes

        statx = ctypes.CDLL(None, use_errno=True).statx
    except (ImportError, OSError, AttributeError):
        return lambda folder, name, flags: None
    status = ctypes.create_string_buffer(_BUFFER)

    def ask(folder: int, name: str, flags: int) -> None:
        if statx(folder, os.fsencode(name), flags | _FORCE_SYNC, _BASIC_STATS, status):
            number = ctypes.get_errno()
            if number not in _NOT_OFFERED:
                # A removed file may stay in the client's cache, whose answer would be another.
                raise OSError(number, os.strerror(number), name)

    return ask
