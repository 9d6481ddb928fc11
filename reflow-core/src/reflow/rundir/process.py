"""The process that holds a lease, and whether it has certainly ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reflow.executors.processes import Process, process_of, start_of
from reflow.model.json import Json


def boot_id() -> str:
    """Return what identifies the present boot of this machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def pid_namespace() -> str:
    """Return the namespace of this process's pids; a container has its own."""
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:
        return ""


def owner_of(pid: int) -> dict[str, Json]:
    """Return a lease's description of its holder, a process of this job on this machine."""
    return {
        "host": os.uname().nodename,
        "boot": boot_id(),
        "pids": pid_namespace(),
        "pid": pid,
        "start": start_of(pid),
        "native_id": os.environ.get("REFLOW_NATIVE_ID", ""),
    }


def this_process() -> dict[str, Json]:
    """Return a lease's description of this process."""
    return owner_of(os.getpid())


def seen_here(owner: Mapping[str, Json]) -> Process | None:
    """Return the living process that an owner names, where it is one of this machine's."""
    boot, here = boot_id(), os.uname().nodename
    same = owner.get("boot") == boot if boot else owner.get("host") == here
    pid = owner.get("pid")
    if not same or owner.get("pids") != pid_namespace() or not isinstance(pid, int):
        return None
    found = process_of(pid)
    return found if found is not None and found.start == owner.get("start") else None


def provably_dead(owner: Mapping[str, Json]) -> bool:
    """Tell whether the process that an owner names has certainly ended.

    Of a process on another machine, or in another container, that is never certain. The same boot
    of a kernel means the same machine, whatever its host name; where the boot is unknown, the name
    decides.
    """
    here = boot_id()
    same_boot = bool(here) and owner.get("boot") == here
    if not same_boot and owner.get("host") != os.uname().nodename:
        return False
    if not same_boot and here:
        return True
    if owner.get("pids", pid_namespace()) != pid_namespace():
        return False
    pid, start = owner.get("pid"), owner.get("start")
    return isinstance(pid, int) and start is not None and start_of(pid) != start
