"""The peak memory of one element, also where elements share a process.

What `getrusage` tells is never reset, and begins with the size of whoever started the process.
"""

from __future__ import annotations

import os

from reflow.engine.files import read_bytes

_FIELD = b"VmHWM:"


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


def peak_memory() -> int | None:
    """The largest resident size since then, in bytes; None where the system does not tell."""
    try:
        status = read_bytes("/proc/self/status")
    except OSError:
        return None
    place = status.find(_FIELD)
    return int(status[place + len(_FIELD) :].split(maxsplit=1)[0]) * 1024 if place >= 0 else None
