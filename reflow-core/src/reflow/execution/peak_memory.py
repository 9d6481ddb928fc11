"""The peak memory of one element, also where elements share a process.

The peak of `getrusage` is never reset, and starts from the size of the process that started this
one.
"""

from __future__ import annotations

import os
import resource
import sys

from reflow.rundir.files import read_bytes

_FIELD = b"VmHWM:"
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes per unit of `getrusage`: macOS reports bytes, other systems KiB."""


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


def peak_memory() -> int:
    """Return the largest resident size in bytes since the reset, or ever where there was none."""
    try:
        status = read_bytes("/proc/self/status")
    except OSError:
        status = b""
    place = status.find(_FIELD)
    if place >= 0:
        return int(status[place + len(_FIELD) :].split(maxsplit=1)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
