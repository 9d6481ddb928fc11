"""Processes on this machine: which live, how many fit, how a group is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn


def usable_cpus() -> int:
    """How many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine's start; None if it is gone.

    A process that has ended and waits for its parent counts as gone.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The command's name may hold blanks and brackets; the state follows the last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def descendants_in_group() -> set[int]:
    """What has come of this process, lives, and is in its process group still."""
    parents: dict[int, int] = {}
    group = os.getpgrp()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (folder / "stat").read_text()
            state, parent, own_group = text[text.rindex(")") + 2 :].split(maxsplit=3)[:3]
            if state not in "ZX" and int(own_group) == group:
                parents[int(folder.name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def process_id() -> str:
    """What this process is called where there is no scheduler to give it an id."""
    pid = os.getpid()
    return f"{os.uname().nodename}:{pid}:{start_of(pid)}"


def claimed_process_lives(native_id: str) -> bool:
    """Whether the process that `process_id` named is still there. False for other ids."""
    host, _, rest = native_id.rpartition(":")[0].rpartition(":")
    pid, start = rest, native_id.rpartition(":")[2]
    if host != os.uname().nodename or not pid.isdigit() or not start.isdigit():
        return False
    return start_of(int(pid)) == int(start)


def end_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process started in a session of its own, and to its children."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


LINGER = 5.0
"""Seconds that a worker whose work is done waits for what its functions have left running."""


def leave(code: int) -> NoReturn:
    """End this process, even where threads or exit functions of a task would keep it for ever."""
    timer = threading.Timer(LINGER, os._exit, [code])
    timer.daemon = True
    timer.start()
    sys.exit(code)
