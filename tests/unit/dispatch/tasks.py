"""Tasks and elements as a dispatcher holds them, made up for tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.model.graph import Edge, Graph, WireMode
from reflow.model.records import Instance, SubmissionRecord
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
) -> TrackedTask:
    """A task with one letter per element; with None, their number is not known yet."""
    edges = tuple(edge(text, name) for text in wires)
    given = TaskSpec(
        name=name, function=len, inputs=tuple(_inputs(edges)), array=elements != "P", **spec
    )
    if elements is None:
        return TrackedTask(given, edges, state=state)
    instances = [
        Instance(task=name, index=index, state=LETTERS[letter])
        for index, letter in enumerate(elements)
    ]
    tally = Counter(instance.state for instance in instances)
    return TrackedTask(given, edges, len(instances), state, instances, tally)


class _Recorded:
    """A store of one run, as far as its dispatcher reads it."""

    def __init__(self, tasks: Iterable[TrackedTask]) -> None:
        self._tasks = list(tasks)

    def tasks(self, run_id: str) -> list[TrackedTask]:
        return self._tasks

    def instances(self, run_id: str) -> list[Instance]:
        return [instance for one in self._tasks for instance in one.instances]

    def next_submission_number(self, run_id: str) -> int:
        return 1

    def submissions(self, run_id: str) -> list[SubmissionRecord]:
        return []

    def add_native_id(self, run_id: str, token: str, native_id: str) -> None: ...


def tracked_run_of(*tasks: TrackedTask) -> TrackedRun:
    """The run that has these tasks."""
    store: Any = _Recorded(tasks)
    specs = {one.name: one.spec for one in tasks}
    edges = {one.name: one.edges for one in tasks}
    return TrackedRun(store, "run", Graph(name="flow", tasks=specs, edges=edges, parameters={}))


def _inputs(edges: Iterable[Edge]) -> Iterable[ResultInput]:
    steps: dict[str, list[str]] = {}
    for one in edges:
        steps.setdefault(one.argument, []).append(one.step)
    for argument, names in steps.items():
        yield ResultInput(argument=argument, annotation=int, steps=tuple(names))
