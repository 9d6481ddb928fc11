"""The graph of a run as data, so that dispatchers need not load the flow.

Functions, annotations and defaults are left out: only the flow itself has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import Any

from reflow.model.graph import Edge, Graph, WireMode
from reflow.model.records import RunRecord, TaskRecord
from reflow.model.resources import Resources
from reflow.model.tasks import (
    Namespace,
    ParameterInput,
    ResultInput,
    RunDirInput,
    TaskInput,
    TaskSpec,
)

_INPUTS = {"parameter": ParameterInput, "result": ResultInput, "run_dir": RunDirInput}
_KINDS = {kind: name for name, kind in _INPUTS.items()}
_OF_THE_FLOW = frozenset({"function", "returns", "verify", "annotation", "default"})


def graph_as_data(graph: Graph) -> dict[str, Any]:
    """Return what a dispatcher needs of a graph, JSON-safe."""
    return {
        "name": graph.name,
        "tasks": [_task_as_data(spec) for spec in graph.tasks.values()],
        "edges": {name: [asdict(edge) for edge in edges] for name, edges in graph.edges.items()},
    }


def graph_of_data(data: Mapping[str, Any]) -> Graph:
    """Read `graph_as_data` back; its tasks cannot be called, and `is_loaded` says so."""
    tasks = [_task_of_data(each) for each in data["tasks"]]
    return Graph(
        name=data["name"],
        tasks={spec.name: spec for spec in tasks},
        edges={
            name: tuple(Edge(**{**edge, "mode": WireMode(edge["mode"])}) for edge in edges)
            for name, edges in data["edges"].items()
        },
        parameters={},
    )


def graph_of_records(run: RunRecord, tasks: Iterable[TaskRecord]) -> Graph:
    """Return the tasks that the manifest knows of: enough to record how they end."""
    specs = {
        task.name: TaskSpec(name=task.name, function=_not_loaded, array=task.array)
        for task in tasks
    }
    return Graph(name=run.workflow, tasks=specs, edges=dict.fromkeys(specs, ()), parameters={})


def is_loaded(spec: TaskSpec) -> bool:
    """Tell whether a task was loaded from the flow rather than read from data."""
    return spec.function is not _not_loaded


def _task_as_data(spec: TaskSpec) -> dict[str, Any]:
    resources = spec.resources
    return {
        **_plain_fields(spec),
        "inputs": [{"kind": _KINDS[type(each)], **_plain_fields(each)} for each in spec.inputs],
        "resources": {
            **_plain_fields(resources),
            "time": None if resources.time is None else resources.time.total_seconds(),
            "options": {name: dict(given) for name, given in resources.options.items()},
        },
        "verify": spec.verify is not None,
    }


def _plain_fields(record: Any) -> dict[str, Any]:
    return {
        each.name: getattr(record, each.name)
        for each in fields(record)
        if each.name not in _OF_THE_FLOW
    }


def _task_of_data(data: Mapping[str, Any]) -> TaskSpec:
    resources = Resources(**data["resources"])
    if resources.time is not None:
        resources = replace(resources, time=timedelta(seconds=data["resources"]["time"]))
    given = {
        **data,
        "inputs": tuple(map(_input_of_data, data["inputs"])),
        "resources": resources,
        "verify": _not_loaded if data["verify"] else None,
    }
    lists = {name: tuple(given[name]) for name in ("after", "ignore")}
    return TaskSpec(**{**given, **lists}, function=_not_loaded)


def _input_of_data(data: Mapping[str, Any]) -> TaskInput:
    given = {name: value for name, value in data.items() if name != "kind"}
    kind = _INPUTS[data["kind"]]
    if kind is RunDirInput:
        return RunDirInput(**given)
    if kind is ResultInput:
        return ResultInput(**{**given, "steps": tuple(data["steps"])}, annotation=None)
    namespace = Namespace(data["namespace"])
    return ParameterInput(**{**given, "namespace": namespace}, annotation=None)


def _not_loaded(*given: Any, **named: Any) -> bool:
    """Take the place of a function of the flow."""
    raise AssertionError("a dispatcher loads nothing of the flow")
