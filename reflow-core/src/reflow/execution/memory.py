"""The memory of one element: how much it took at most, and whether it failed for a lack of it.

The peak of `getrusage` is never reset, and starts from the size of the process that started this
one; so the peak is read, and reset, where the system keeps one for that.

Where a scheduler limits what a process may map, the first to be refused is often not Python but the
loader of a library, the start of a program, or C++. So an exception tells of a lack of memory by
its text, whatever its class.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import sys

from reflow.rundir.files import read_bytes

TELLING = re.compile(
    r"cannot allocate memory(?! in static TLS)"
    r"|failed to map segment"
    r"|cannot apply additional memory protection"
    r"|std::bad_alloc"
    r"|unable to allocate [\d.]+ ?[KMGTP]?i?B\b"
    r"|\[errno 12\]"
    r"|not enough memory"
    r"|memory exhausted",
    re.IGNORECASE,
)
"""What the loader, the C library and C++ say. What a GPU lacks is not what a job asks for."""
TELLERS = (OSError, ImportError, RuntimeError, SystemError)
"""Exceptions whose text comes from below Python; those of others may say anything."""
_FIELD = b"VmHWM:"
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes per unit of `getrusage`: macOS reports bytes, other systems KiB."""


_INHERITED = 0 if sys.platform == "darwin" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""The peak of `getrusage` when this process began, which on Linux is that of its parent's, if that
was larger: it survives fork and exec."""


def reset_peak() -> None:
    """Reset this process's peak to its present size, where the system allows it."""
    # Opened anew each time: a task may have closed a kept descriptor and reused its number.
    try:
        descriptor = os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:
        return
    try:
        os.write(descriptor, b"5")
    except OSError:
        return
    finally:
        os.close(descriptor)


def peak_memory() -> int | None:
    """Return the largest resident size in bytes since the reset, or ever where there was none.

    None where the system tells only that it was less than that of the process which started this.
    """
    try:
        status = read_bytes("/proc/self/status")
    except OSError:
        status = b""
    place = status.find(_FIELD)
    if place >= 0:
        return int(status[place + len(_FIELD) :].split(maxsplit=1)[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * _UNIT if peak > _INHERITED else None


def tells_of_memory(text: str) -> bool:
    """Tell whether a message is one of those that report a lack of memory."""
    return TELLING.search(text) is not None and "CUDA" not in text


def lacked_memory(error: BaseException) -> bool:
    """Tell whether an exception, or one that led to it, comes from a lack of memory."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, MemoryError) or getattr(link, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(link, TELLERS) and tells_of_memory(_text(link)):
            return True
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""
