"""The description of a workflow: typed, and as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from reflow.model.fields import as_json
from reflow.model.graph import Graph, RunParameter
from reflow.model.json import Json
from reflow.model.resources import Resources, time_text
from reflow.model.tasks import REQUIRED, ParameterInput, ResultInput, TaskInput, TaskSpec
from reflow.wiring.parameters import parameter_type, text_of
from reflow.wiring.types import show


@dataclass(frozen=True, slots=True, kw_only=True)
class InputDescription:
    """One argument of a task."""

    argument: str
    source: str
    """`parameter`, `result`, `run-dir`, or `bound` for a value that an inclusion gives."""
    type: str
    parameter: str | None = None
    """Keyword of the run parameter that gives it."""
    steps: tuple[str, ...] = ()
    """The tasks that give it."""
    each: bool | None = None
    """The parameter is a list, of which each element gets one item; None where it is not."""
    value: Json = None
    """The value that an inclusion gives."""

    def as_dict(self) -> dict[str, Json]:
        """Return the JSON-safe form, with only what applies to the source."""
        return {name: value for name, value in as_json(self).items() if value not in (None, [])}


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeDescription:
    """How one step reaches one argument, and which type rule decided it."""

    step: str
    argument: str
    mode: str
    rule: str
    allow_failed: bool = False
    """What succeeded is gathered, if at least `min_success` did."""
    min_success: float | None = None
    """A share of the elements, or a whole number of them; None for one."""
    per: str | None = None
    """The array task of which each element makes a group."""

    def as_dict(self) -> dict[str, Json]:
        """Return the JSON-safe form, with failures and groups only where there may be some."""
        left_out = [] if self.allow_failed else ["allow_failed", "min_success"]
        return dict(as_json(self, left_out if self.per is not None else [*left_out, "per"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDescription:
    """One task."""

    name: str
    function: str
    """Module and qualified name."""
    summary: str
    """First line of the function's docstring."""
    array: bool
    array_parallelism: int | None
    per_job: int | str | None
    at_once: int | None
    inputs: tuple[InputDescription, ...]
    returns: str
    edges: tuple[EdgeDescription, ...]
    zipped: tuple[str, ...]
    """The arguments that are taken from several lists side by side, item by item."""
    multiplied: tuple[str, ...]
    """The arguments that are taken from several lists in every combination, the last fastest."""
    after: tuple[str, ...]
    resources: Resources
    version: str | None
    cache: bool
    verify: bool
    files: str | None
    retries: int
    retry_mem: float | None
    retry_time: float | None
    overridden: Mapping[str, str]
    """By option, the table of the configuration that decides in place of the decorator."""

    def as_dict(self) -> dict[str, Json]:
        """Return the JSON-safe form; `time` as `D-HH:MM:SS`, `mem` in bytes."""
        return {
            **as_json(self),
            "edges": [edge.as_dict() for edge in self.edges],
            "inputs": [item.as_dict() for item in self.inputs],
            "resources": _resources(self.resources),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDescription:
    """One parameter of the run."""

    name: str
    flag: str
    short: str | None
    type: str
    choices: tuple[str, ...]
    required: bool
    default: Json
    """None where it is required, too."""
    help: str
    namespace: str
    tasks: tuple[str, ...]

    def as_dict(self) -> dict[str, Json]:
        """Return the JSON-safe form."""
        return dict(as_json(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDescription:
    """A whole workflow: its tasks in topological order, and the parameters of its runs."""

    name: str
    tasks: tuple[TaskDescription, ...]
    parameters: tuple[ParameterDescription, ...]

    def as_dict(self) -> dict[str, Json]:
        """Return the JSON-safe form."""
        return {
            "name": self.name,
            "tasks": [task.as_dict() for task in self.tasks],
            "parameters": [parameter.as_dict() for parameter in self.parameters],
        }


def describe(graph: Graph) -> WorkflowDescription:
    """Describe a validated workflow."""
    return WorkflowDescription(
        name=graph.name,
        tasks=tuple(_task(spec, graph) for spec in graph.tasks.values()),
        parameters=tuple(map(_parameter, graph.parameters.values())),
    )


def _task(spec: TaskSpec, graph: Graph) -> TaskDescription:
    function: Any = spec.function
    while isinstance(function, partial):
        function = function.func
    module = getattr(function, "__module__", None) or "?"
    name = getattr(function, "__qualname__", None) or repr(function)
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    return TaskDescription(
        name=spec.name,
        function=f"{module}:{name}",
        summary=lines[0] if lines else "",
        array=spec.array,
        array_parallelism=spec.array_parallelism,
        per_job=spec.per_job,
        at_once=spec.at_once,
        inputs=tuple(_input(spec, item) for item in spec.inputs),
        returns=show(spec.returns),
        edges=tuple(
            EdgeDescription(
                step=edge.step,
                argument=edge.argument,
                mode=edge.mode.value,
                rule=edge.rule,
                allow_failed=edge.allow_failed,
                min_success=edge.min_success,
                per=edge.per,
            )
            for edge in graph.edges[spec.name]
        ),
        zipped=graph.zipped(spec.name),
        multiplied=graph.multiplied(spec.name),
        after=spec.after,
        resources=spec.resources,
        version=spec.version,
        cache=spec.cache,
        verify=spec.verify is not None,
        files=spec.files,
        retries=spec.retries,
        retry_mem=spec.retry_mem,
        retry_time=spec.retry_time,
        overridden=spec.overridden,
    )


def _input(spec: TaskSpec, item: TaskInput) -> InputDescription:
    if isinstance(item, ParameterInput):
        return InputDescription(
            argument=item.argument,
            source="bound" if item.bound else "parameter",
            type=show(item.annotation),
            parameter=None if item.bound else item.keyword(spec.name),
            each=item.each or None,
            value=_json(item.default) if item.bound else None,
        )
    if isinstance(item, ResultInput):
        return InputDescription(
            argument=item.argument,
            source="result",
            type=show(item.annotation),
            steps=item.steps,
        )
    return InputDescription(argument=item.argument, source="run-dir", type="Path")


def _parameter(parameter: RunParameter) -> ParameterDescription:
    declared = parameter.declared
    required = declared.default is REQUIRED
    return ParameterDescription(
        name=parameter.name,
        flag=parameter.flag,
        short=declared.short,
        type=show(declared.annotation),
        choices=parameter_type(declared.annotation).choices,
        required=required,
        default=None if required else _json(declared.default),
        help=declared.help,
        namespace=declared.namespace.value,
        tasks=parameter.tasks,
    )


def _json(value: Any) -> Json:
    """Return a parameter's value as JSON, or as it would be written on the command line."""
    if isinstance(value, list):
        return [_json(item) for item in value]
    if value is None or type(value) in (bool, int, str):
        return value  # type: ignore[no-any-return]
    if type(value) is float and math.isfinite(value):
        return value
    return text_of(value)


def _resources(resources: Resources) -> dict[str, Json]:
    time = None if resources.time is None else time_text(resources.time)
    # No task asks for whole nodes: that is for jobs that elements share.
    return {**as_json(resources, without=("whole_nodes",)), "time": time}
