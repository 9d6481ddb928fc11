"""Whether any node could run a job, by what `sinfo` prints of nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reflow.plugin_api import Feasibility, Resources

FORMAT = "%P|%c|%m|%D|%G"
"""Partition, CPUs and MiB of a node, number of such nodes, generic resources. With `--exact`, nodes
that differ have lines of their own."""
_CHECKED = ("cpus", "mem", "gpus", "nodes")
_GPUS = re.compile(r"\bgpu(?::[^:,(]+)?:(\d+)")
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Nodes:
    """Nodes of one kind in one partition."""

    partition: str
    is_default: bool
    cpus: int
    memory: int
    """MiB."""
    count: int
    gpus: int

    def fit(self, resources: Resources) -> bool:
        """Tell whether each of these nodes has what a job asks of a node."""
        return (
            resources.cpus <= self.cpus
            and (resources.mem or 0) <= self.memory * _MIB
            and resources.gpus <= self.gpus
        )


def judged(text: str, resources: Resources, partitions: str | None) -> Feasibility:
    """Judge a request by the nodes of its partitions, or of the default one.

    Nodes that are down count, as they may come back. Nothing is known of partitions that are not
    shown.
    """
    wanted = None if partitions is None else partitions.split(",")
    nodes = [
        each
        for each in _nodes(text)
        if (each.is_default if wanted is None else each.partition in wanted)
    ]
    if not nodes or (wanted is not None and {each.partition for each in nodes} != set(wanted)):
        return Feasibility()
    return Feasibility(impossible=_impossible(nodes, resources), checked=_CHECKED)


def _impossible(nodes: Sequence[Nodes], asked: Resources) -> str:
    names = ", ".join(dict.fromkeys(each.partition for each in nodes))
    most_cpus, most_gpus = max(each.cpus for each in nodes), max(each.gpus for each in nodes)
    most_memory = max(each.memory for each in nodes)
    if asked.cpus > most_cpus:
        return f"asks for {asked.cpus} CPUs, and no node of partition {names} has over {most_cpus}"
    if (asked.mem or 0) > most_memory * _MIB:
        memory = _written((asked.mem or 0) // _MIB)
        most = _written(most_memory)
        return f"asks for {memory}, and no node of partition {names} has over {most}"
    if asked.gpus > most_gpus:
        return f"asks for {asked.gpus} GPUs, and no node of partition {names} has over {most_gpus}"
    fitting = sum(each.count for each in nodes if each.fit(asked))
    if fitting == 0:
        return f"asks for more CPUs, memory and GPUs than any node of partition {names} has at once"
    if asked.nodes > fitting:
        return f"asks for {asked.nodes} nodes, and partition {names} has {fitting} that fit"
    return ""


def _written(mebibytes: int) -> str:
    return f"{mebibytes}M" if mebibytes % 1024 else f"{mebibytes // 1024}G"


def _nodes(text: str) -> Iterator[Nodes]:
    for line in text.splitlines():
        fields = line.strip().split("|")
        if len(fields) == 5 and all(field.rstrip("+").isdigit() for field in fields[1:4]):
            name, cpus, memory, count, resources = fields
            yield Nodes(
                partition=name.rstrip("*"),
                is_default=name.endswith("*"),
                cpus=int(cpus.rstrip("+")),
                memory=int(memory.rstrip("+")),
                count=int(count),
                gpus=sum(map(int, _GPUS.findall(resources))),
            )
