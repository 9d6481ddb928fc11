"""How much a pilot has for elements: what it asked for, or with whole nodes what it was given."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reflow.execution.pool.usage import CGROUPS
from reflow.executors.processes import PROC
from reflow.executors.seats import usable_gpus
from reflow.model.pilots import KEPT_MEMORY, Pilots
from reflow.model.resources import Resources


@dataclass(frozen=True, slots=True)
class Capacity:
    """What elements may take together. `mem` is bytes, None where it is not counted."""

    cpus: int
    gpus: int
    mem: int | None

    def holds(self, resources: Resources) -> bool:
        """Tell whether an element fits that has all of it."""
        return (
            resources.cpus <= self.cpus
            and resources.gpus <= self.gpus
            and (resources.mem is None or self.mem is None or resources.mem <= self.mem)
        )


def capacity_of(pilots: Pilots) -> Capacity:
    """Return what a pilot has that runs in this process.

    With whole nodes that is what the job's control group and affinity leave it, not what the node
    has: a scheduler may keep some of it for the system.
    """
    if not pilots.whole_nodes:
        mem = None if pilots.mem is None else max(1, pilots.mem - KEPT_MEMORY)
        return Capacity(pilots.cpus, pilots.gpus, mem)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    given = min(_memory_limits(), default=None)
    return Capacity(
        cpus or 1,
        max(pilots.gpus, len(usable_gpus())),
        None if given is None else max(1, given - KEPT_MEMORY),
    )


def _memory_limits() -> Iterator[int]:
    """Yield the bytes that this process may have, by the machine and by each control group."""
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemTotal:"):
                yield int(line.split()[1]) * 1024
    for folder, name in _control_groups():
        with suppress(OSError, ValueError):  # "max" is no limit.
            yield int((folder / name).read_text())


def _control_groups() -> Iterator[tuple[Path, str]]:
    """Yield the folders of this process's control group and those above it, with a file's name."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, name = CGROUPS, "memory.max"
        elif "memory" in controllers.split(","):
            top, name = CGROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / path.lstrip("/")
        while folder.is_relative_to(top):
            yield folder, name
            folder = folder.parent
