"""What is to be done next. Pure: an image in, a plan out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reflow.engine.image import TaskImage
from reflow.model.records import Instance
from reflow.model.states import RunState, TaskState

EARLY_SHARE = 4
"""Chained elements go on ahead once 1/EARLY_SHARE of those that still wait can: few waves, and
none that waits long for the slowest."""


@dataclass(slots=True)
class Plan:
    """The next things to do, none of which waits for another."""

    expand: list[TaskImage] = field(default_factory=list)
    """Arrays whose number of elements can now be known."""
    skip: list[TaskImage] = field(default_factory=list)
    """Tasks that cannot run because something before them did not succeed."""
    skip_elements: list[Instance] = field(default_factory=list)
    ready: dict[str, list[Instance]] = field(default_factory=dict)
    """Elements whose inputs are there, by task."""
    end: RunState | None = None
    """Set when nothing is left to do."""

    def __bool__(self) -> bool:
        return bool(self.expand or self.skip or self.skip_elements or self.ready)


def make_plan(tasks: Mapping[str, TaskImage], now: float) -> Plan:
    """Look at every task once, in topological order.

    `now` is the file server's time, by which elements that must wait are told from those that
    need not.
    """
    plan = Plan()
    for task in tasks.values():
        if not task.ended:
            _plan_task(plan, tasks, task, now)
    if not plan and all(task.ended for task in tasks.values()):
        plan.end = end_state(tasks)
    return plan


def end_state(tasks: Mapping[str, TaskImage]) -> RunState:
    """How a run has ended whose every task has."""
    failed = any(
        task.tally[TaskState.FAILED] or task.state is TaskState.FAILED for task in tasks.values()
    )
    if failed:
        return RunState.FAILED
    if any(task.broken for task in tasks.values()):
        return RunState.CANCELLED
    return RunState.SUCCESS


def _plan_task(plan: Plan, tasks: Mapping[str, TaskImage], task: TaskImage, now: float) -> None:
    whole = [tasks[name] for name in task.whole_upstream]
    chains = [[tasks[edge.step] for edge in edges] for edges in task.chained]
    if any(upstream.broken for upstream in whole) or any(
        upstream.state is not None for chain in chains for upstream in chain
    ):
        if task.size is None or task.tally[TaskState.PENDING]:
            plan.skip.append(task)
        return
    if not all(upstream.succeeded for upstream in whole):
        return
    if task.size is None:
        if all(upstream.size is not None for chain in chains for upstream in chain):
            plan.expand.append(task)
        return
    if task.tally[TaskState.PENDING]:
        _plan_elements(plan, task, chains, now)


def _plan_elements(plan: Plan, task: TaskImage, chains: list[list[TaskImage]], now: float) -> None:
    pending = [item for item in task.instances if item.state is TaskState.PENDING]
    sources = [[item for upstream in chain for item in upstream.instances] for chain in chains]
    ready, waiting = [], 0
    for item in pending:
        states = {source[item.index].state for source in sources}
        if states & {TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED}:
            plan.skip_elements.append(item)
        elif states <= {TaskState.SUCCESS}:
            if item.not_before is None or item.not_before <= now:
                ready.append(item)
        else:
            waiting += 1
    if ready and (not waiting or len(ready) * EARLY_SHARE >= len(pending)):
        plan.ready[task.name] = ready
