"""What is to be done next: from a tracked run to a plan.

A task is examined when the task itself or a task before it has changed, when part of its last plan
could not be carried out, or when it waits for a time. So a step costs what has changed, however
many tasks the run has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.model.records import Instance
from reflow.model.states import RunState, TaskState

EARLY_SHARE = 4
"""Chained elements go on ahead once 1/EARLY_SHARE of those that still wait can: few waves, and
none that waits long for the slowest."""


@dataclass(slots=True)
class Plan:
    """The next actions, none of which waits for another."""

    expand: list[TrackedTask] = field(default_factory=list)
    """Arrays whose number of elements can now be known."""
    skip: list[TrackedTask] = field(default_factory=list)
    """Tasks that cannot run because something before them did not succeed."""
    skip_elements: list[Instance] = field(default_factory=list)
    ready: dict[str, list[Instance]] = field(default_factory=dict)
    """Elements whose inputs are there, by task."""
    due: dict[str, float] = field(default_factory=dict)
    """By task, in how many seconds the next element is due that has to wait before it is tried."""
    end: RunState | None = None
    """Set when nothing is left to do."""

    def __bool__(self) -> bool:
        return bool(self.expand or self.skip or self.skip_elements or self.ready)

    @property
    def unfinished(self) -> set[str]:
        """Tasks to be examined again although nothing of them changes."""
        skipped = (task.name for task in self.skip)
        expanded = (task.name for task in self.expand)
        elements = (item.task for item in self.skip_elements)
        return {*skipped, *expanded, *elements, *self.ready, *self.due}


class Planner:
    """Makes the plans of one run, one after the other."""

    def __init__(self, tracked: TrackedRun, clock: Callable[[], float]) -> None:
        """Plan by a clock of the file server's, in seconds, that is read only where it matters."""
        self._tracked = tracked
        self._clock = clock
        self._order = {name: number for number, name in enumerate(tracked.tasks)}
        self._open: set[str] = set()
        self._unended: set[str] = set()

    def next(self) -> Plan:
        """Return what can be done now."""
        changed, self._tracked.changed_tasks = self._tracked.changed_tasks, set()
        self._take_in(changed)
        names = sorted(self._open, key=self._order.__getitem__)
        plan = plan_tasks(self._tracked.tasks, names, self._clock)
        self._open = plan.unfinished
        if not plan and not self._unended:
            plan.end = end_state(self._tracked.tasks)
        return plan

    def _take_in(self, changed: Iterable[str]) -> None:
        for name in changed:
            if self._tracked.tasks[name].ended:
                self._unended.discard(name)
            else:
                self._unended.add(name)
            self._open.update((name, *self._tracked.successors[name]))


class _Now:
    """The time of a plan, read at most once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    @cached_property
    def seconds(self) -> float:
        return self._clock()


def plan_tasks(
    tasks: Mapping[str, TrackedTask], names: Iterable[str], clock: Callable[[], float]
) -> Plan:
    """Examine some tasks once each, in the order given."""
    plan, now = Plan(), _Now(clock)
    for name in names:
        if not tasks[name].ended:
            _plan_task(plan, tasks, tasks[name], now)
    return plan


def end_state(tasks: Mapping[str, TrackedTask]) -> RunState:
    """Return the final state of a run whose tasks have all ended."""
    excused = excused_tasks(tasks)
    broken = [task for name, task in tasks.items() if task.broken and name not in excused]
    if any(task.tally[TaskState.FAILED] or task.state is TaskState.FAILED for task in broken):
        return RunState.FAILED
    if any(_needs_more_than_there_are(task, tasks) for task in broken):
        return RunState.FAILED
    return RunState.CANCELLED if broken else RunState.SUCCESS


def _needs_more_than_there_are(task: TrackedTask, tasks: Mapping[str, TrackedTask]) -> bool:
    """Tell whether a task gathers at least so many elements of a step as the step does not have."""
    sizes = ((edge, tasks[edge.step].size) for edge in task.lenient)
    return any(size is not None and edge.needed(size) > size for edge, size in sizes)


def excused_tasks(tasks: Mapping[str, TrackedTask]) -> frozenset[str]:
    """Return the tasks of which elements may be lost, as all that takes them allows that.

    That is a gather that allows failed elements and has its minimum, or may still come to it; or
    an array task that is chained to them, and of which elements may be lost for the same reason.
    The tasks are in topological order.
    """
    if not any(task.lenient for task in tasks.values()):
        return frozenset()
    takers: dict[str, list[TrackedTask]] = {name: [] for name in tasks}
    for task in tasks.values():
        for name in task.upstream:
            takers[name].append(task)
    excused: set[str] = set()
    for name in reversed(list(tasks)):
        if takers[name] and all(_allows(taker, tasks[name], excused) for taker in takers[name]):
            excused.add(name)
    return frozenset(excused)


def _allows(taker: TrackedTask, step: TrackedTask, excused: set[str]) -> bool:
    """Tell whether a task does with what has succeeded, or may still succeed, of a step."""
    if step.name in taker.whole_upstream:
        return False
    is_chained = any(edge.step == step.name for edges in taker.chained for edge in edges)
    enough = all(step.can_give(edge.needed) for edge in taker.lenient if edge.step == step.name)
    return enough and (not is_chained or taker.name in excused)


def _plan_task(plan: Plan, tasks: Mapping[str, TrackedTask], task: TrackedTask, now: _Now) -> None:
    whole = [tasks[name] for name in task.whole_upstream]
    chains = [[tasks[edge.step] for edge in edges] for edges in task.chained]
    if (
        any(upstream.broken for upstream in whole)
        or any(upstream.state is not None for chain in chains for upstream in chain)
        or not all(tasks[edge.step].can_give(edge.needed) for edge in task.lenient)
    ):
        if task.size is None or task.tally[TaskState.PENDING]:
            plan.skip.append(task)
        return
    if not all(upstream.succeeded for upstream in whole):
        return
    if not all(tasks[edge.step].ended for edge in task.lenient):
        return
    if task.size is None:
        if all(upstream.size is not None for chain in chains for upstream in chain):
            plan.expand.append(task)
        return
    if task.tally[TaskState.PENDING]:
        _plan_elements(plan, task, chains, now)


def _plan_elements(
    plan: Plan, task: TrackedTask, chains: list[list[TrackedTask]], now: _Now
) -> None:
    pending = [item for item in task.instances if item.state is TaskState.PENDING]
    sources = [[item for upstream in chain for item in upstream.instances] for chain in chains]
    ready, waiting = [], 0
    for item in pending:
        states = {source[item.index].state for source in sources}
        if states & {TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED}:
            plan.skip_elements.append(item)
        elif states <= {TaskState.SUCCESS}:
            if item.not_before is None or item.not_before <= now.seconds:
                ready.append(item)
            else:
                pause = item.not_before - now.seconds
                plan.due[task.name] = min(plan.due.get(task.name, pause), pause)
        else:
            waiting += 1
    if ready and (not waiting or len(ready) * EARLY_SHARE >= len(pending)):
        plan.ready[task.name] = ready
