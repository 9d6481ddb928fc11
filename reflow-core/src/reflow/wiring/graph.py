"""From task specs to a validated graph."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reflow.errors import DefinitionError
from reflow.model.graph import Edge, Graph, RunParameter, WireMode
from reflow.model.tasks import REQUIRED, Namespace, ParameterInput, ResultInput, TaskSpec
from reflow.wiring.contract import TypeRule, WireQuestion
from reflow.wiring.decide import decide_edge
from reflow.wiring.groups import group_edge
from reflow.wiring.names import RESERVED_SHORT_FLAGS, suggestion
from reflow.wiring.parameters import check_value, parameter_type
from reflow.wiring.signature import check_keyword
from reflow.wiring.types import equal, may_be_none, parts_of, show


def build_graph(name: str, specs: Sequence[TaskSpec], rules: Sequence[TypeRule]) -> Graph:
    """Wire the tasks of workflow `name` together, and check all that can be known before a run.

    Raises `DefinitionError` for no tasks at all, unknown steps, cycles, types that do not fit,
    array tasks that nothing gives elements, and parameters that cannot be shared.
    """
    if not specs:
        raise DefinitionError(f"workflow {name!r} has no tasks: decorate a function with .job()")
    tasks = {spec.name: spec for spec in specs}
    for spec in specs:
        _check_steps(spec, tasks)
    tasks = {task: tasks[task] for task in _topological_order(tasks)}
    edges: dict[str, tuple[Edge, ...]] = {}
    for spec in tasks.values():
        edges[spec.name] = _edges(spec, tasks, edges, rules)
    return Graph(
        name=name,
        tasks=tasks,
        edges=edges,
        parameters=_parameters(tasks.values()),
        constants=_constants(tasks.values()),
    )


def _check_steps(spec: TaskSpec, tasks: Mapping[str, TaskSpec]) -> None:
    for step in spec.upstream:
        if step == spec.name:
            raise DefinitionError(f"task {spec.name!r} waits for itself")
        if step not in tasks:
            word = "runs after" if step in spec.after else "takes the result of"
            raise DefinitionError(
                f"task {spec.name!r} {word} step {step!r}, which does not exist"
                f"{suggestion(step, [task for task in tasks if task != spec.name])}"
            )


def _topological_order(tasks: Mapping[str, TaskSpec]) -> list[str]:
    """Sort upstream tasks first, otherwise in the order of definition."""
    places = {task: place for place, task in enumerate(tasks)}
    waiting = {task: len(spec.upstream) for task, spec in tasks.items()}
    needed_by: dict[str, list[str]] = {task: [] for task in tasks}
    for task, spec in tasks.items():
        for step in spec.upstream:
            needed_by[step].append(task)
    ready = [(places[task], task) for task, count in waiting.items() if count == 0]
    order = []
    while ready:
        _, task = heapq.heappop(ready)
        order.append(task)
        for dependant in needed_by[task]:
            waiting[dependant] -= 1
            if waiting[dependant] == 0:
                heapq.heappush(ready, (places[dependant], dependant))
    if len(order) < len(tasks):
        cycle = " -> ".join(map(repr, _cycle(tasks, set(tasks) - set(order))))
        raise DefinitionError(
            f"tasks wait for each other in a cycle: {cycle}; remove one of these dependencies"
        )
    return order


def _cycle(tasks: Mapping[str, TaskSpec], stuck: set[str]) -> list[str]:
    """Return a cycle in the direction of the values, its first task named again at the end.

    Every stuck task waits for another one, so walking upstream must come round.
    """
    task = next(name for name in tasks if name in stuck)
    path: list[str] = []
    while task not in path:
        path.append(task)
        task = next(step for step in tasks[task].upstream if step in stuck)
    cycle = [task, *reversed(path[path.index(task) :])]
    start = min(range(len(cycle) - 1), key=lambda place: list(tasks).index(cycle[place]))
    return [*cycle[start:-1], *cycle[:start], cycle[start]]


def _edges(
    spec: TaskSpec,
    tasks: Mapping[str, TaskSpec],
    before: Mapping[str, Sequence[Edge]],
    rules: Sequence[TypeRule],
) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    for item in spec.results:
        if item.per is None:
            wired = [_edge(spec, item, tasks[step], rules) for step in item.steps]
        else:
            wired = [group_edge(spec, item, tasks, before, rules)]
        if item.allow_failed:
            wired = [_allowing_failed(edge, item) for edge in wired]
        _check_together(item, wired)
        edges.extend(wired)
    each = [item.argument for item in spec.parameters if item.each]
    if each and not spec.array:
        raise DefinitionError(
            f"task {spec.name!r}, parameter {each[0]!r}: Param(each=True) gives each element of an "
            "array task one item: add array=True, or take the whole list"
        )
    if spec.array and not each and not any(edge.mode.each for edge in edges):
        raise DefinitionError(
            f"array task {spec.name!r} has no argument that gives it elements: take one element "
            "of a step that returns a list, such as "
            "item: Annotated[str, Result(step='prepare')], or leave array=True out"
        )
    return tuple(edges)


def _edge(spec: TaskSpec, item: ResultInput, step: TaskSpec, rules: Sequence[TypeRule]) -> Edge:
    question = WireQuestion(
        produced=step.returns,
        producer_array=step.array,
        wanted=item.annotation,
        consumer_array=spec.array,
        broadcast=item.broadcast,
        several=len(item.steps) > 1,
    )
    return decide_edge(step.name, spec.name, item.argument, question, rules)


def _allowing_failed(edge: Edge, item: ResultInput) -> Edge:
    """Return an edge that leaves failed elements out, or has None in their place."""
    if edge.mode in (WireMode.DIRECT, WireMode.BROADCAST) or (
        edge.mode.each and not edge.mode.groups
    ):
        raise DefinitionError(
            f"task {edge.task!r} takes {item.argument} from step {edge.step!r} by "
            f"{edge.mode.value}: allow_failed=True is for gathering an array task into a list"
        )
    part = parts_of(item.annotation)
    return replace(
        edge,
        allow_failed=True,
        in_place=not edge.mode.flattens and part is not None and may_be_none(part),
        min_success=item.min_success,
    )


def _check_together(item: ResultInput, edges: Sequence[Edge]) -> None:
    """Raise `DefinitionError` unless joined steps all give parts, or all give whole lists."""
    first = edges[0]
    for edge in edges[1:]:
        if edge.mode.each is not first.mode.each:
            raise DefinitionError(
                f"task {edge.task!r}, argument {item.argument!r} joins step {first.step!r} "
                f"({first.mode.value}) and step {edge.step!r} ({edge.mode.value}), which do not "
                "go together; let both return the same type"
            )


def _parameters(tasks: Iterable[TaskSpec]) -> dict[str, RunParameter]:
    parameters: dict[str, RunParameter] = {}
    for spec in tasks:
        for declared in (item for item in spec.parameters if not item.bound):
            checked = replace(declared, default=_default(spec.name, declared))
            keyword = declared.keyword(spec.name)
            check_keyword(spec.name, declared.argument, keyword)
            known = parameters.get(keyword)
            new = RunParameter(name=keyword, declared=checked, tasks=(spec.name,))
            parameters[keyword] = new if known is None else _shared(known, new)
    _check_flags(parameters.values())
    return parameters


def _constants(tasks: Iterable[TaskSpec]) -> dict[str, RunParameter]:
    """Return the parameters that inclusions give their value, which is checked."""
    found: dict[str, RunParameter] = {}
    for spec in tasks:
        for item in (each for each in spec.parameters if each.bound):
            try:
                value = check_value(
                    item.annotation, item.default, f"bind={{{item.argument!r}: ...}}"
                )
            except ValueError as error:
                raise DefinitionError(f"task {spec.name!r}: {error}") from None
            name = item.keyword(spec.name)
            checked = replace(item, default=value)
            found[name] = RunParameter(name=name, declared=checked, tasks=(spec.name,))
    return found


def _default(task: str, declared: ParameterInput) -> Any:
    """Return the default as the function will receive it. None may always be a default."""
    where = f"task {task!r}, parameter {declared.argument!r}"
    try:
        parameter_type(declared.annotation)
        if declared.default is REQUIRED or declared.default is None:
            return declared.default
        return check_value(declared.annotation, declared.default, "its default")
    except ValueError as error:
        raise DefinitionError(f"{where}: {error}") from None


def _shared(known: RunParameter, new: RunParameter) -> RunParameter:
    """Merge the parameters of two tasks into one, if they mean the same."""
    both = f"tasks {known.tasks[0]!r} and {new.tasks[0]!r}"
    advice = "make them agree, rename one, or mark one Param(namespace='local')"
    one, other = known.declared, new.declared
    if one.namespace is not other.namespace or one.argument != other.argument:
        raise DefinitionError(
            f"{both} have parameters that are both called {new.name!r} when a run is started; "
            "rename one"
        )
    if one.namespace is Namespace.LOCAL:
        raise DefinitionError(
            f"{both} have names so alike that their local parameters are both {new.name!r}; "
            "rename a task"
        )
    if not equal(one.annotation, other.annotation):
        raise DefinitionError(
            f"{both} share parameter {new.name!r} but not its type, {show(one.annotation)} and "
            f"{show(other.annotation)}: {advice}"
        )
    if not _same_default(one.default, other.default):
        raise DefinitionError(
            f"{both} share parameter {new.name!r} but not its default, {_written(one.default)} and "
            f"{_written(other.default)}: {advice}"
        )
    if one.short and other.short and one.short != other.short:
        raise DefinitionError(
            f"{both} share parameter {new.name!r} but not its short flag, {one.short} and "
            f"{other.short}: {advice}"
        )
    declared = replace(one, help=one.help or other.help, short=one.short or other.short)
    return RunParameter(name=known.name, declared=declared, tasks=(*known.tasks, *new.tasks))


def _same_default(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and bool(one == other))


def _written(default: Any) -> str:
    return "none at all" if default is REQUIRED else repr(default)


def _check_flags(parameters: Iterable[RunParameter]) -> None:
    """Raise `DefinitionError` where two parameters have one flag, or one of reflow's own."""
    taken: dict[str, str] = dict.fromkeys(RESERVED_SHORT_FLAGS, "an option of reflow")
    for parameter in parameters:
        owner = f"parameter {parameter.name!r} of task {parameter.tasks[0]!r}"
        for flag in _flags(parameter):
            if flag in taken:
                raise DefinitionError(
                    f"{owner} and {taken[flag]} both have the flag {flag}; change one"
                )
            taken[flag] = owner


def _flags(parameter: RunParameter) -> list[str]:
    flags = [parameter.flag]
    if parameter.declared.short is not None:
        flags.append(parameter.declared.short)
    kind = parameter_type(parameter.declared.annotation)
    if kind.switch or kind.negated(parameter.declared.default):
        flags.append(parameter.negative_flag)
    return flags
