"""The memory that an element has, and whether the kernel has killed one for lack of it. Linux only.

Elsewhere nothing is known, and elements are not ended for their memory.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL

from reflow.executors.processes import PROC
from reflow.model.jobs import JobStatus
from reflow.model.states import FailureCause

CGROUPS = Path("/sys/fs/cgroup")


def has_more_memory(pid: int, limit: float) -> bool:
    """Tell whether a process and its descendants have more than so many bytes in memory.

    What processes share after a fork is counted in each at first, which costs little to find out;
    only where that is too much is each one's part of it asked for.
    """
    total = memory_of(pid)
    return total > limit and (_proportional(pid) or total) > limit


def _proportional(pid: int) -> int:
    """Return the bytes of a process and its descendants, shared ones in parts; 0 where unknown."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += int(line.split()[1]) * 1024
    return total + sum(map(_proportional, _children(pid)))


def memory_of(pid: int) -> int:
    """Return the bytes that a process and its descendants have in memory; 0 where unknown."""
    total = 0
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            # What is shared with others, such as a mapped file, is not the element's.
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total + sum(map(memory_of, _children(pid)))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError, ValueError):
        for task in (PROC / str(pid) / "task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


class OutOfMemoryKills:
    """Tells from the kernel's counter whether a process was killed for lack of memory."""

    def __init__(self) -> None:
        """Begin to count."""
        self._file = _counter_file()
        self._counted = self._count()

    def explain(self, status: JobStatus) -> JobStatus:
        """Return a status with the cause MEMORY where the kernel's counter has gone up."""
        count = self._count()
        if count <= self._counted or status.signal != SIGKILL or status.cause is not None:
            return status
        self._counted += 1
        return replace(status, cause=FailureCause.MEMORY)

    def _count(self) -> int:
        if self._file is None:
            return 0
        with suppress(OSError, ValueError):
            for line in self._file.read_text().splitlines():
                word, _, number = line.partition(" ")
                if word == "oom_kill":
                    return int(number)
        return 0


def _counter_file() -> Path | None:
    """Return the file of this process's control group that counts kills; None without one."""
    with suppress(OSError, ValueError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                return CGROUPS / path.lstrip("/") / "memory.events"
            if "memory" in controllers.split(","):
                return CGROUPS / "memory" / path.lstrip("/") / "memory.oom_control"
    return None
