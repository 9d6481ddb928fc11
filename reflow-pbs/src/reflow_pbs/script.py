"""Writing a request as directives of qsub."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from reflow.plugin_api import (
    ParameterError,
    Resources,
    clock,
    in_units,
    long_options,
    resource_names,
    whole_seconds,
)

RESERVED = {
    "a": "reflow decides when a job starts",
    "C": "the script's directives begin with #PBS",
    "e": "logs are in the run directory",
    "f": "a submission has to end",
    "h": "no user would release the job",
    "I": "reflow's jobs are not interactive",
    "j": "logs are in the run directory",
    "J": "it follows from the number of elements; see array_parallelism= for its limit",
    "k": "logs are in the run directory",
    "N": "reflow finds jobs by it",
    "o": "logs are in the run directory",
    "R": "logs are in the run directory",
    "S": "set `shell` under [executor.pbs]",
    "V": "set `export_environment` under [executor.pbs]",
    "X": "reflow's jobs are not interactive",
    "z": "reflow reads the answer",
}
"""Options of qsub that reflow sets itself."""
BEGIN_TIME = "%Y%m%d%H%M.%S"
"""The time format of qsub's `-a`."""
_NODES = {"select", "nodes", "ncpus", "mem", "ppn", "procs"}
"""Values of `-l` that request nodes or parts of them."""
_RESERVED_ATTRIBUTES = {
    "block": "a submission has to end",
    "depend": "jobs wait for each other by it",
    "interactive": "reflow's jobs are not interactive",
    "max_run_subjobs": "see array_parallelism=",
}
"""Attributes that `-W` may not set."""


def options(given: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Options that users pass through.

    Raises `ParameterError` for what is reflow's own, and for what is no letter.
    """
    arguments = long_options("pbs", given, RESERVED)
    for name in given:
        if len(name) > 1:
            raise ParameterError(
                f"the pbs option {name!r}: options of qsub are one letter long. Request a resource "
                f"with {{'l': '{name}=...'}}, and set an attribute with {{'W': '{name}=...'}}"
            )
    for option in arguments:
        names = re.findall(r"(?:^|,)\s*(\w+)\s*=", option[-1]) if option[0] == "-W" else []
        for name in names:
            if name in _RESERVED_ATTRIBUTES:
                reason = _RESERVED_ATTRIBUTES[name]
                raise ParameterError(f"the pbs option 'W' with {name!r} is reflow's own: {reason}")
    return arguments


def requests_nodes(given: Mapping[str, Any]) -> bool:
    """Tell whether a task's own options request nodes or parts of them."""
    return bool(resource_names(given.get("l")) & _NODES)


def left_over(ours: Iterable[str], given: Mapping[str, Any]) -> list[str]:
    """Return reflow's values for `-l` without those that would conflict with a task's own.

    A task that requests nodes in one way gets none of the others: PBS refuses a mixture.
    """
    asked = resource_names(given.get("l"))
    if asked & _NODES:
        asked |= {*_NODES, "place"}
    return [value for value in ours if value.partition("=")[0] not in asked]


def resource_requests(resources: Resources, gpu_resource: str, place: str) -> Iterator[str]:
    """Write the values of `-l`: one chunk for each node."""
    chunk = [str(resources.nodes), f"ncpus={resources.cpus}"]
    if resources.mem is not None:
        chunk.append(f"mem={in_units(resources.mem, 1024**2)}mb")
    if resources.gpus:
        chunk.append(gpu_resource.format(gpus=resources.gpus))
    yield f"select={':'.join(chunk)}"
    if chosen := _place(resources, place):
        yield f"place={chosen}"
    if resources.time is not None:
        yield f"walltime={clock(resources.time)}"


def _place(resources: Resources, place: str) -> str:
    """Write how nodes are chosen, shared and grouped: `scatter:excl:group=rack`, or parts of it."""
    words = (place or ("scatter" if resources.nodes > 1 else "")).split(":")
    if not resources.whole_nodes or {"excl", "exclhost"} & {*words}:
        return ":".join(words)
    grouping = [word for word in words if word.startswith("group=")]
    rest = [word for word in words if word not in ("", "shared", *grouping)]
    return ":".join([*rest, "excl", *grouping])


def begin_time(now: datetime, delay: timedelta) -> str:
    """Write `-a`, which qsub reads in this machine's time zone on that day."""
    # One second more, as the fraction of the current one is cut off.
    begin = now + timedelta(seconds=whole_seconds(delay) + 1)
    return begin.astimezone().strftime(BEGIN_TIME)
