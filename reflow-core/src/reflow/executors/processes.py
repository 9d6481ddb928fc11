"""Processes on this machine: which are alive, how many fit, and ending their groups."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    import subprocess

PROC = Path("/proc")
"""Where Linux lists processes; macOS has nothing there, and `ps` is used."""


def usable_cpus() -> int:
    """Count the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Process(NamedTuple):
    """What the system tells about a process that has not ended."""

    pid: int
    parent: int
    group: int
    start: int
    """Clock ticks since the machine's start, or seconds since 1970 where ps is used."""
    stopped: bool
    """Whether a signal has stopped it, or a debugger has."""
    used: str
    """The CPU time that it and its ended children have used, in the system's own form."""


def start_of(pid: int) -> int | None:
    """Return when a process started, as the system counts; None if it is gone.

    A zombie, which waits for its parent, counts as gone.
    """
    found = process_of(pid)
    return found.start if found else None


def process_of(pid: int) -> Process | None:
    """Return what the system tells about a process; None if it is gone, or a zombie."""
    return _from_proc(pid) if _has_proc() else next(_from_ps("-p", str(pid)), None)


def descendants_in_group() -> set[int]:
    """List this process's living descendants that are still in its process group."""
    group = os.getpgrp()
    parents = {each.pid: each.parent for each in _processes() if each.group == group}
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def end_descriptor(process: subprocess.Popen[bytes]) -> int:
    """Open a descriptor that becomes readable when a child ends. The caller closes it.

    It is a pidfd. Linux before 5.3 has none, nor have other systems: there a thread waits for the
    child and writes into a pipe.
    """
    try:
        return os.pidfd_open(process.pid)
    except (AttributeError, OSError):
        reading, writing = os.pipe()
        words = (process, writing)
        threading.Thread(target=_write_at_end, args=words, daemon=True).start()
        return reading


def _write_at_end(process: subprocess.Popen[bytes], writing: int) -> None:
    process.wait()
    # Closing is not enough: a child that was forked meanwhile has the pipe open as well.
    with contextlib.suppress(BrokenPipeError):
        os.write(writing, b"e")
    os.close(writing)


def _has_proc() -> bool:
    return (PROC / "self" / "stat").exists()


def _processes() -> Iterator[Process]:
    if not _has_proc():
        yield from _from_ps("-A")
        return
    for folder in PROC.glob("[0-9]*"):
        if found := _from_proc(int(folder.name)):
            yield found


def _from_proc(pid: int) -> Process | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command's name may hold blanks and brackets; the state follows the last bracket.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Process(
        pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        start=int(fields[19]),
        stopped=fields[0] in "Tt",
        used=" ".join(fields[11:15]),
    )


def _from_ps(*which: str) -> Iterator[Process]:
    """Run ps, with options that macOS, the BSDs and Linux have."""
    import calendar
    import subprocess

    listing = subprocess.run(
        ["ps", *which, "-o", "pid=,ppid=,pgid=,stat=,time=,lstart="],
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    ).stdout
    for line in listing.splitlines():
        pid, parent, group, state, used, moment = line.split(maxsplit=5)
        if state[0] not in "ZX":
            start = calendar.timegm(time.strptime(moment.strip(), "%a %b %d %H:%M:%S %Y"))
            yield Process(int(pid), int(parent), int(group), start, state[0] == "T", used)


def process_id() -> str:
    """Make an id for this process, where no scheduler gives it one."""
    pid = os.getpid()
    return f"{os.uname().nodename}:{pid}:{start_of(pid)}"


def claimed_process_lives(native_id: str) -> bool:
    """Tell whether the process that `process_id` named is alive. False for other ids."""
    host, _, rest = native_id.rpartition(":")[0].rpartition(":")
    pid, start = rest, native_id.rpartition(":")[2]
    if host != os.uname().nodename or not pid.isdigit() or not start.isdigit():
        return False
    return start_of(int(pid)) == int(start)


def end_group(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process started in a session of its own, and to its children."""
    # macOS denies a signal to a group of which only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


LINGER = 5.0
"""Seconds that a worker, once done, waits for processes that its functions have left running."""


def leave(code: int) -> NoReturn:
    """End this process, even where threads or exit functions of a task would never end."""
    timer = threading.Timer(LINGER, os._exit, [code])
    timer.daemon = True
    timer.start()
    sys.exit(code)
