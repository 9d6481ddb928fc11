"""What a job asks for: tasks, cores, GPUs and nodes, as far as `flux submit` checks it itself."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reflow.testing.fakes.grammar import Parsed

_PER_RESOURCE = ("cores", "tasks-per-node", "tasks-per-core", "gpus-per-node")
_PER_TASK = ("ntasks", "cores-per-task", "gpus-per-task")


class BadRequestError(Exception):
    """What cannot be asked for together, or is no number; in the words of `flux submit`."""


@dataclass(frozen=True)
class ResourceRequest:
    """What a job asks for."""

    ntasks: int
    cores_per_task: int
    gpus: int
    nodes: int | None


def of_job(line: Parsed) -> ResourceRequest:
    """Read the options of `flux submit`. Raises `BadRequestError`."""
    given = {name: _whole(line, name) for name in (*_PER_TASK, "nodes", *_PER_RESOURCE)}
    nodes = given["nodes"]
    if line.has("tasks-per-node") and line.has("tasks-per-core"):
        raise BadRequestError("Do not specify both the number of tasks per node and per core")
    for name in ("tasks-per-node", "tasks-per-core"):
        if given[name] is not None and not given[name]:
            raise BadRequestError(f"--{name} must be >= 1")
    if given["gpus-per-node"] and not nodes:
        raise BadRequestError("--gpus-per-node requires --nodes")
    if line.has(*_PER_RESOURCE):
        if line.has(*_PER_TASK):
            raise BadRequestError(
                "Per-resource options can't be used with per-task options. (See --help for details)"
            )
        ntasks = (given["tasks-per-node"] or 1) * (nodes or 1)
        return ResourceRequest(ntasks, given["cores"] or 1, given["gpus-per-node"] or 0, nodes)
    ntasks = given["ntasks"] or nodes or 1
    if nodes is not None and nodes > ntasks:
        raise BadRequestError("node count must not be greater than task count")
    if nodes is None and line.has("exclusive"):
        raise BadRequestError("exclusive can only be set with a node count")
    return ResourceRequest(ntasks, given["cores-per-task"] or 1, given["gpus-per-task"] or 0, nodes)


def of_batch(line: Parsed) -> ResourceRequest:
    """Read the options of `flux batch`. Raises `BadRequestError`."""
    slots = _whole(line, "nslots") or _whole(line, "nodes")
    if not slots:
        raise BadRequestError("Number of slots to allocate must be specified")
    cores, gpus = _whole(line, "cores-per-slot"), _whole(line, "gpus-per-slot")
    return ResourceRequest(slots, cores or 1, gpus or 0, _whole(line, "nodes"))


def _whole(line: Parsed, name: str) -> int | None:
    if not line.has(name):
        return None
    text = line.last(name)
    if not re.fullmatch(r"[+-]?\d+", text):
        raise BadRequestError(f"--{name}: invalid int value '{text}'")
    return int(text)
