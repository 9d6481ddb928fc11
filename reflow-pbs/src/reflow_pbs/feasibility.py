"""Whether any host could run a job, by what `pbsnodes -a` prints of virtual nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reflow.plugin_api import Feasibility, Resources

_SETTING = re.compile(r"\s+resources_available\.(?P<name>\w+) = (?P<value>.+)")
_SIZE = re.compile(r"(\d+)([kmgtp]?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


@dataclass(slots=True)
class Host:
    """What the virtual nodes of one host have together."""

    cpus: int = 0
    memory: int = 0
    gpus: int = 0


def judged(text: str, resources: Resources) -> Feasibility:
    """Judge a request by all hosts, whatever queue they serve and whether they are up.

    GPUs are judged where any host has `ngpus`: sites may call them otherwise.
    """
    hosts = list(_hosts(text))
    if not hosts:
        return Feasibility()
    has_gpus = any(host.gpus for host in hosts)
    checked = ("cpus", "mem", "nodes", *(("gpus",) if has_gpus else ()))
    return Feasibility(impossible=_impossible(hosts, resources, has_gpus), checked=checked)


def _impossible(hosts: Sequence[Host], asked: Resources, has_gpus: bool) -> str:
    cpus, memory = max(host.cpus for host in hosts), max(host.memory for host in hosts)
    if asked.cpus > cpus:
        return f"asks for {asked.cpus} CPUs, and no host has over {cpus}"
    if (asked.mem or 0) > memory:
        wanted, most = (asked.mem or 0) // 2**20, memory // 2**20
        return f"asks for {wanted}M, and no host has over {most}M"
    if has_gpus and asked.gpus > max(host.gpus for host in hosts):
        return f"asks for {asked.gpus} GPUs, and no host has as many"
    fitting = [
        host
        for host in hosts
        if asked.cpus <= host.cpus
        and (asked.mem or 0) <= host.memory
        and (not has_gpus or asked.gpus <= host.gpus)
    ]
    if not fitting:
        return "asks for more CPUs, memory and GPUs than any host has at once"
    if asked.nodes > len(fitting):
        return f"asks for {asked.nodes} nodes, and hosts that are large enough are {len(fitting)}"
    return ""


def _hosts(text: str) -> Iterator[Host]:
    """Yield hosts; virtual nodes that name the same host are one."""
    found: dict[str, Host] = {}
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        lines = block.splitlines()
        values = {m["name"]: m["value"] for m in map(_SETTING.fullmatch, lines) if m}
        if not values:
            continue
        host = found.setdefault(values.get("host", lines[0].strip()), Host())
        host.cpus += _number(values.get("ncpus", "0"))
        host.memory += _bytes(values.get("mem", "0"))
        host.gpus += _number(values.get("ngpus", "0"))
    yield from (host for host in found.values() if host.cpus)


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    return int(match[1]) * 1024 ** _POWERS[match[2].lower()] if match else 0
