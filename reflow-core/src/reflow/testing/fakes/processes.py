"""Starting, signalling and measuring the processes of jobs. Linux only, like the schedulers."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

from reflow.testing.fakes.model import Launch

_PR_SET_CHILD_SUBREAPER = 36
_PAGE = os.sysconf("SC_PAGE_SIZE")


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent has ended.

    So no process that a job leaves behind, daemons included, outlives the fake.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(launch: Launch) -> int:
    """Start a process in a session of its own and return its id. Raises `OSError`.

    `reap` collects it when it has ended.
    """
    with contextlib.ExitStack() as stack:
        stdin = os.open(launch.stdin, os.O_RDONLY)
        stack.callback(os.close, stdin)
        stdout = _open_output(launch.stdout, launch)
        stack.callback(os.close, stdout)
        stderr = stdout
        if launch.stderr is not None:
            stderr = _open_output(launch.stderr, launch)
            stack.callback(os.close, stderr)
        process = subprocess.Popen(
            _limited(launch),
            cwd=launch.directory,
            env=dict(launch.environment),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            umask=launch.umask,
        )
    # The supervisor reaps all children itself; tell Popen that there is nothing to wait for.
    process.returncode = 0
    return process.pid


def _open_output(path: Path, launch: Launch) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (0 if launch.append else os.O_TRUNC)
    before = os.umask(launch.umask)
    try:
        return os.open(path, flags, 0o666)
    finally:
        os.umask(before)


def _limited(launch: Launch) -> list[str]:
    limits = ""
    if launch.address_space is not None:
        limits += f"ulimit -v {max(launch.address_space // 1024, 1)}; "
    if launch.cpu_seconds is not None:
        limits += f"ulimit -t {launch.cpu_seconds}; "
    if not limits:
        return list(launch.argv)
    return ["/bin/sh", "-c", f'{limits}exec "$@"', "sh", *launch.argv]


def signal_group(pid: int, number: int) -> None:
    """Send a signal to every process of a run, of which none may be left."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def signal_one(pid: int, number: int) -> None:
    """Send a signal to the first process of a run alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """Return every process below `pid`, parents before children."""
    found: list[int] = []
    queue = [pid]
    while queue:
        children = _children(queue.pop())
        found += children
        queue += children
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 (thousands of times)
            with contextlib.suppress(OSError):
                text = Path(f"/proc/{pid}/task/{thread}/children").read_text()
                children += map(int, text.split())
    return children


def resident_memory(pid: int) -> int:
    """Return the bytes of memory that `pid` and all processes below it hold now."""
    return sum(_resident(one) for one in [pid, *descendants(pid)])


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def kill_everything_below(pid: int) -> None:
    """Kill all processes below `pid`, also those that start while this goes on."""
    while victims := descendants(pid):
        for victim in victims:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(victim, signal.SIGKILL)
        reap()


class Ended(NamedTuple):
    """A child that has ended."""

    pid: int
    status: int
    """The wait status."""
    peak_memory: int
    """The most bytes that it, or a process it waited for, has held; 0 where that is not known."""


def _most_ever_resident() -> int:
    """Return the most KiB of memory that this program has held.

    `getrusage` counts what its parent held, too: a large process may have started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0])


def reap() -> list[Ended]:
    """Collect every child that has ended."""
    # Until it calls exec, a child is a copy of this process, whose memory counts as its own.
    copied = _most_ever_resident()
    ended: list[Ended] = []
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        # In KiB on Linux: getrusage(2).
        peak = usage.ru_maxrss * 1024 if usage.ru_maxrss > copied else 0
        ended.append(Ended(pid, status, peak))
