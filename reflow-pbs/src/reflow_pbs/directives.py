"""What a job asks of PBS, in the words of qsub's directives."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from reflow.plugin_api import Resources, clock, in_units

RESERVED = {
    "a": "it decides when a job starts",
    "C": "the script's directives begin with #PBS",
    "e": "logs are in the run directory",
    "f": "a submission has to end",
    "h": "nobody would release the job",
    "I": "reflow's jobs are not interactive",
    "j": "logs are in the run directory",
    "J": "it follows from the number of elements; see array_parallelism= for its limit",
    "k": "logs are in the run directory",
    "N": "jobs are found again by it",
    "o": "logs are in the run directory",
    "R": "logs are in the run directory",
    "S": "set `shell` under [executor.pbs]",
    "t": "it follows from the number of elements; see array_parallelism= for its limit",
    "V": "set `export_environment` under [executor.pbs]",
    "X": "reflow's jobs are not interactive",
    "z": "it reads the answer",
}
"""Options of qsub that reflow gives itself."""


def pro_wishes(resources: Resources, gpu_resource: str, place: str) -> Iterator[str]:
    """Values of `-l` for PBS Pro and OpenPBS: one chunk for each node."""
    chunk = [str(resources.nodes), f"ncpus={resources.cpus}"]
    if resources.mem is not None:
        chunk.append(f"mem={in_units(resources.mem, 1024**2)}mb")
    if resources.gpus:
        chunk.append(gpu_resource.format(gpus=resources.gpus))
    yield f"select={':'.join(chunk)}"
    if place or resources.nodes > 1:
        yield f"place={place or 'scatter'}"
    if resources.time is not None:
        yield f"walltime={clock(resources.time)}"


def torque_wishes(resources: Resources) -> Iterator[str]:
    """Values of `-l` for Torque, whose `mem` is that of all nodes together."""
    gpus = f":gpus={resources.gpus}" if resources.gpus else ""
    yield f"nodes={resources.nodes}:ppn={resources.cpus}{gpus}"
    if resources.mem is not None:
        yield f"mem={in_units(resources.mem * resources.nodes, 1024**2)}mb"
    if resources.time is not None:
        yield f"walltime={clock(resources.time)}"


def umask() -> str:
    """The file mode mask of this process, which a job of PBS does not get; empty if unknown."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Umask:\s*(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
        return found[1] if found else ""
    return ""
