"""The peak memory of one element, also where elements share a process.

What `getrusage` tells is never reset, and begins with the size of whoever started the process.
"""

from __future__ import annotations

import os
import resource
import sys

from reflow.rundir.files import read_bytes

_FIELD = b"VmHWM:"
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes that `getrusage` counts in: macOS tells bytes, others KiB."""


def reset_peak() -> None:
    """Have the peak of this process begin with what it has now, where the system lets us."""
    # Opened anew each time: a task may have closed, and used again, what was kept open.
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
    """Read the largest resident size since then in bytes, or of all time where none tells."""
    try:
        status = read_bytes("/proc/self/status")
    except OSError:
        status = b""
    place = status.find(_FIELD)
    if place >= 0:
        return int(status[place + len(_FIELD) :].split(maxsplit=1)[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
