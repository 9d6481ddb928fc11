"""The graph of a run as data, so that dispatchers need not load the flow.

Functions, annotations and defaults are left out: only the flow itself has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reflow.model.fields import as_json, from_json
from reflow.model.graph import Edge, Graph
from reflow.model.records import RunRecord, TaskRecord
from reflow.model.tasks import (
    ParameterInput,
    ResultInput,
    RunDirInput,
    TaskInput,
    TaskSpec,
)

_INPUTS = {"parameter": ParameterInput, "result": ResultInput, "run_dir": RunDirInput}
_KINDS = {kind: name for name, kind in _INPUTS.items()}
_OF_THE_FLOW = frozenset({"function", "returns", "verify", "annotation", "default", "made_by"})


def graph_as_data(graph: Graph) -> dict[str, Any]:
    """Return what a dispatcher needs of a graph, JSON-safe."""
    return {
        "name": graph.name,
        "tasks": [_task_as_data(spec) for spec in graph.tasks.values()],
        "edges": {name: as_json(edges) for name, edges in graph.edges.items()},
    }


def graph_of_data(data: Mapping[str, Any]) -> Graph:
    """Read `graph_as_data` back; its tasks cannot be called, and `is_loaded` says so."""
    tasks = [_task_of_data(each) for each in data["tasks"]]
    return Graph(
        name=data["name"],
        tasks={spec.name: spec for spec in tasks},
        edges={
            name: tuple(from_json(Edge, edge) for edge in edges)
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
    kinds = [{"kind": _KINDS[type(each)]} for each in spec.inputs]
    data = as_json(spec, _OF_THE_FLOW)
    inputs = [kind | each for kind, each in zip(kinds, data["inputs"], strict=True)]
    return {**data, "inputs": inputs, "verify": spec.verify is not None}


def _task_of_data(data: Mapping[str, Any]) -> TaskSpec:
    of_the_flow = {"function": _not_loaded, "verify": _not_loaded if data["verify"] else None}
    inputs = tuple(map(_input_of_data, data["inputs"]))
    return from_json(TaskSpec, {**data, "inputs": inputs, **of_the_flow})


def _input_of_data(data: Mapping[str, Any]) -> TaskInput:
    kind = _INPUTS[data["kind"]]
    given = {name: value for name, value in data.items() if name != "kind"}
    of_the_flow = {} if kind is RunDirInput else {"annotation": None}
    return from_json(kind, given | of_the_flow)


def _not_loaded(*given: Any, **named: Any) -> bool:
    """Take the place of a function of the flow."""
    raise AssertionError("a dispatcher loads nothing of the flow")
