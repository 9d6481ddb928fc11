"""Gathering per group: all results that came from one element of an earlier array task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from reflow.errors import DefinitionError
from reflow.model.graph import Edge, WireMode, each_of
from reflow.model.tasks import ResultInput, TaskSpec
from reflow.wiring.contract import TypeRule, WireQuestion
from reflow.wiring.decide import decide_edge
from reflow.wiring.names import suggestion

_PER_GROUP = {WireMode.GATHER: WireMode.GROUP, WireMode.GATHER_FLAT: WireMode.GROUP_FLAT}


def group_edge(
    spec: TaskSpec,
    item: ResultInput,
    tasks: Mapping[str, TaskSpec],
    edges: Mapping[str, Sequence[Edge]],
    rules: Sequence[TypeRule],
) -> Edge:
    """Return the edge of an argument with `per`.

    Each group is gathered as a plain task's argument would be, so type rules are asked about that.
    `edges` are those of the tasks before this one. Raises `DefinitionError` where no element comes
    from one of the other task.
    """
    (name,) = item.steps
    step, per = tasks[name], item.per
    assert per is not None
    _check(spec, item, step, tasks)
    question = WireQuestion(
        produced=step.returns,
        producer_array=True,
        wanted=item.annotation,
        consumer_array=False,
        broadcast=False,
        several=False,
    )
    edge = decide_edge(name, spec.name, item.argument, question, rules)
    if not comes_from(name, per, tasks, edges):
        raise DefinitionError(
            f"{_where(spec, item)}: no element of {name!r} comes from one element of {per!r}; "
            f"name an array task that {name!r} goes through the results of"
        )
    return replace(edge, mode=_PER_GROUP[edge.mode], per=per)


def comes_from(
    step: str, per: str, tasks: Mapping[str, TaskSpec], edges: Mapping[str, Sequence[Edge]]
) -> bool:
    """Tell whether each element of an array task comes from one element of another."""
    if step == per:
        return True
    of_step = edges[step]
    return any(
        all(_leads_back(edge, per, tasks, edges) for edge in of_step if edge.argument == argument)
        for argument in each_of(tasks[step], of_step)
        if any(edge.argument == argument for edge in of_step)
    )


def _leads_back(
    edge: Edge, per: str, tasks: Mapping[str, TaskSpec], edges: Mapping[str, Sequence[Edge]]
) -> bool:
    return tasks[edge.step].array and comes_from(edge.origin, per, tasks, edges)


def _check(
    spec: TaskSpec, item: ResultInput, step: TaskSpec, tasks: Mapping[str, TaskSpec]
) -> None:
    where, per = _where(spec, item), item.per or ""
    if not spec.array:
        raise DefinitionError(f"{where}: groups are for array tasks, one each: add array=True")
    if per not in tasks:
        raise DefinitionError(f"{where}: step {per!r} does not exist{suggestion(per, list(tasks))}")
    for name, task in ((step.name, step), (per, tasks[per])):
        if not task.array:
            raise DefinitionError(
                f"{where}: {name!r} is no array task, so its result is not in groups"
            )
    if step.name == per:
        raise DefinitionError(
            f"{where}: each group would be a single element; take {item.argument} without per"
        )


def _where(spec: TaskSpec, item: ResultInput) -> str:
    step, per = item.steps[0], item.per
    return f"task {spec.name!r} takes {item.argument} from step {step!r} per={per!r}"
