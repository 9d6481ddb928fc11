"""Tasks and elements as a dispatcher holds them, made up for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from reflow.engine.image import TaskImage
from reflow.model.graph import Edge, WireMode
from reflow.model.records import Instance
from reflow.model.states import TaskState
from reflow.model.tasks import ResultInput, TaskSpec

LETTERS = {
    "P": TaskState.PENDING,
    "Q": TaskState.SUBMITTED,
    "R": TaskState.RUNNING,
    "S": TaskState.SUCCESS,
    "F": TaskState.FAILED,
    "C": TaskState.CANCELLED,
    "K": TaskState.SKIPPED,
}
"""Q as in queued, K as in skipped."""


def edge(text: str, task: str) -> Edge:
    """`STEP:MODE`, into an argument that is called as the step is; `STEP:MODE:ARGUMENT`."""
    step, mode, *argument = text.split(":")
    name = argument[0] if argument else step
    return Edge(step=step, task=task, argument=name, mode=WireMode(mode), rule="test")


def task(
    name: str,
    elements: str | None = "P",
    *wires: str,
    state: TaskState | None = None,
    **spec: Any,
) -> TaskImage:
    """A task with one letter per element; with None, their number is not known yet."""
    edges = tuple(edge(text, name) for text in wires)
    given = TaskSpec(
        name=name, function=len, inputs=tuple(_inputs(edges)), array=elements != "P", **spec
    )
    if elements is None:
        return TaskImage(given, edges, state=state)
    instances = [
        Instance(task=name, index=index, state=LETTERS[letter])
        for index, letter in enumerate(elements)
    ]
    tally = Counter(instance.state for instance in instances)
    return TaskImage(given, edges, len(instances), state, instances, tally)


def _inputs(edges: Iterable[Edge]) -> Iterable[ResultInput]:
    steps: dict[str, list[str]] = {}
    for one in edges:
        steps.setdefault(one.argument, []).append(one.step)
    for argument, names in steps.items():
        yield ResultInput(argument=argument, annotation=int, steps=tuple(names))
