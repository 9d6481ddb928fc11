"""How fast a run goes on, and when it will probably end.

A task's rate is what has ended during the last minutes, as the looks have seen it; for the first
look, as the store tells. Results of the cache come at once and are not counted. A task whose rate
is known needs what is left of it divided by the rate. Otherwise, what is left takes as long as
elements have taken lately, as many at a time as run now. Where neither is known, nothing is said:
how long a job will wait in a queue, or how many elements a list will have, nobody knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from reflow.model.states import FINAL_TASK_STATES, TaskState
from reflow.runs.watching.glance import Pace

WINDOW = 300.0
"""Seconds over which a rate is taken."""
SHORTEST = 5.0
"""Seconds before which a rate would be chance."""
JUST_NOW = 15.0
"""Seconds for which a task goes on without a running element: the next ones begin."""
ENOUGH = 5
"""Elements that must have ended for a rate to tell when the others will have."""

Tasks = Mapping[str, Mapping[str, Any]]
Upstream = Mapping[str, Collection[str]]


@dataclass(slots=True)
class Tally:
    """How many elements of each task had ended at the looks of the last minutes."""

    _seen: dict[str, deque[tuple[float, int]]] = field(default_factory=dict)

    def begin(self, tasks: Tasks, lately: Mapping[str, tuple[int, float]], now: float) -> None:
        """Take up what has ended before the first look, and since when, in seconds since 1970."""
        for name, (number, begun) in lately.items():
            if name in tasks:
                start = min(max(begun, now - WINDOW), now)
                before = max(_ended(tasks[name]) - number, 0)
                self._seen[name] = deque([(start, before)])

    def add(self, tasks: Tasks, now: float) -> None:
        """Take up what a look has found."""
        for name, task in tasks.items():
            seen = self._seen.setdefault(name, deque())
            ended = _ended(task)
            if seen and ended < seen[-1][1]:
                seen.clear()  # It was retried.
            seen.append((now, ended))
            while len(seen) > 2 and seen[1][0] <= now - WINDOW:
                seen.popleft()

    def rate(self, name: str) -> tuple[float, int] | None:
        """Return how many elements end per second, and how many have; None where none has."""
        seen = self._seen.get(name)
        if not seen:
            return None
        (start, before), (end, ended) = seen[0], seen[-1]
        if ended <= before or end - start < SHORTEST:
            return None
        return (ended - before) / (end - start), ended - before

    def goes_on(self, name: str) -> bool:
        """Tell whether an element has ended just now, though none may run at the moment."""
        seen = self._seen[name]
        now, ended = seen[-1]
        return any(now - time <= JUST_NOW and before < ended for time, before in seen)


def paces(tasks: Tasks, tally: Tally, mean_of: Callable[[str], float | None]) -> dict[str, Pace]:
    """Return the pace of each task; `mean_of` returns how long its elements take, in seconds."""
    return {name: _pace(name, task, tally, mean_of) for name, task in tasks.items()}


def _pace(
    name: str, task: Mapping[str, Any], tally: Tally, mean_of: Callable[[str], float | None]
) -> Pace:
    if TaskState(task["state"]).final:
        return Pace()
    rate = tally.rate(name)
    per_minute = rate[0] * 60 if rate and task["array"] else None
    rest, running = _rest(task), _number(task, TaskState.RUNNING)
    if rest is None:
        return Pace(per_minute)
    if rate is not None and rate[1] >= ENOUGH and (running or tally.goes_on(name)):
        return Pace(per_minute, timedelta(seconds=rest / rate[0]))
    mean = mean_of(name)
    if mean is None or not running:
        return Pace(per_minute)
    # On average, half of what runs is done.
    return Pace(per_minute, timedelta(seconds=_time(rest - running / 2, mean, running)))


def time_left(
    tasks: Tasks,
    known: Mapping[str, Pace],
    upstream: Upstream | None,
    mean_of: Callable[[str], float | None],
) -> timedelta | None:
    """Return how long the run will take: the longest way through the tasks that have not ended.

    What has not begun is taken to run as many elements at a time as run now. None where a task on
    the way is of unknown size or duration, or where nothing runs. `upstream` are the tasks that
    each task waits for; None where that is not known.
    """
    unfinished = [name for name in tasks if not TaskState(tasks[name]["state"]).final]
    at_once = sum(_number(tasks[name], TaskState.RUNNING) for name in unfinished)
    if not at_once or (upstream is None and len(unfinished) > 1):
        return None
    ends: dict[str, timedelta] = {}
    for name in unfinished:
        own = known[name].left
        if own is None:
            own = _of_one_not_begun(name, tasks[name], at_once, mean_of)
        if own is None:
            return None
        before = [ends[step] for step in (upstream or {}).get(name, ()) if step in ends]
        ends[name] = own + max(before, default=timedelta())
    return max(ends.values())


def _of_one_not_begun(
    name: str, task: Mapping[str, Any], at_once: int, mean_of: Callable[[str], float | None]
) -> timedelta | None:
    rest = _rest(task)
    if rest == 0:
        return timedelta()
    mean = mean_of(name)
    if rest is None or mean is None or _number(task, TaskState.RUNNING):
        return None
    return timedelta(seconds=_time(rest, mean, min(at_once, rest)))


def _time(elements: float, mean: float, at_once: int) -> float:
    """Return how many seconds so many elements take, and never less than half of one."""
    return max(elements / at_once, 0.5) * mean


def _rest(task: Mapping[str, Any]) -> int | None:
    """Return how many elements have not ended; None where the task's size is not known."""
    if task["size"] is None:
        return None
    ended = sum(_number(task, state) for state in FINAL_TASK_STATES)
    return max(int(task["size"]) - ended, 0)


def _ended(task: Mapping[str, Any]) -> int:
    """Count the elements that have run and ended."""
    ended = _number(task, TaskState.SUCCESS) + _number(task, TaskState.FAILED)
    return max(ended - int(task.get("cached") or 0), 0)


def _number(task: Mapping[str, Any], state: TaskState) -> int:
    return int(task["counts"].get(state, 0))
