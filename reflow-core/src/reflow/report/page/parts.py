"""What the page shows of a report, where that is more than one of its fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reflow.model.states import RunState, TaskState
from reflow.report.graph_svg import Standing
from reflow.report.layout import count
from reflow.report.page import units
from reflow.report.status import HEADINGS, OWN_EXECUTORS
from reflow.runs.reporting.contents import (
    AttemptRow,
    Distribution,
    FailureGroup,
    Head,
    RunReport,
    TaskReport,
)

MOST_CARDS = 40
"""Tasks with plots, those of most time first."""
MOST_LANES = 40


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that stands out at the top of the page."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement of a task, with a plot."""

    css: str
    label: str
    found: Distribution
    write: Callable[[float | None], str]
    share: Distribution | None
    """Of what was asked for."""
    asked: str
    """What was asked for, as text; empty where nothing was."""


def anchor(name: str) -> str:
    """Return the id of a task's row in the page."""
    return "task-" + re.sub(r"[^A-Za-z0-9_-]", lambda found: f".{ord(found[0]):x}", name)


def element(row: AttemptRow | FailureGroup) -> str:
    """Name an element: `summarise[18]`, or a plain task."""
    return f"{row.task}[{row.index}]" if row.array else row.task


def standings(report: RunReport) -> dict[str, Standing]:
    """Return how tasks stand, for the drawing of the graph."""
    return {
        task.name: Standing(
            state=task.state,
            text=_standing(task),
            shares={state: number / task.size for state, number in task.counts.items()}
            if task.array and task.size
            else None,
            href=f"#{anchor(task.name)}",
        )
        for task in report.tasks
    }


def _standing(task: TaskReport) -> str:
    done = task.counts.get(TaskState.SUCCESS, 0)
    told = f"{done:,}/{task.size:,} done" if task.array and task.size else task.state.lower()
    failed = task.counts.get(TaskState.FAILED, 0)
    return f"{told}, {failed:,} failed" if task.array and failed else told


def executor(run: Head) -> str:
    """Write where the run's elements ran."""
    return OWN_EXECUTORS.get(run.executor, run.executor)


def tiles(report: RunReport) -> Iterator[Tile]:
    """Yield the numbers at the top."""
    totals: dict[str, int] = {}
    for task in report.tasks:
        for state, number in task.counts.items():
            totals[state] = totals.get(state, 0) + number
    yield Tile(f"{sum(totals.values()):,}", "elements")
    for state in (TaskState.SUCCESS, *HEADINGS):
        if totals.get(state):
            word = "done" if state is TaskState.SUCCESS else HEADINGS[state]
            yield Tile(f"{totals[state]:,}", word)
    if cached := sum(task.cached for task in report.tasks):
        yield Tile(f"{cached:,}", "from the cache")
    if retries := sum(task.retries for task in report.tasks):
        yield Tile(f"{retries:,}", "retries")
    yield Tile(units.seconds(report.run.element_seconds), "running, added up")
    yield Tile(units.seconds(report.run.cpu_seconds), "processor time")


def where_time_went(run: Head) -> list[tuple[str, float, str, str]]:
    """Return what the run's time was spent on: a class, a share, a duration and what it was."""
    whole = run.seconds or 1.0
    busy = min(run.busy_seconds, whole)
    waiting = min(run.waiting_seconds, whole - busy)
    rest = max(whole - busy - waiting, 0.0)
    return [
        ("busy", busy / whole, units.seconds(busy), "something was running"),
        ("waiting", waiting / whole, units.seconds(waiting), "all that was submitted waited"),
        ("rest", rest / whole, units.seconds(rest), _rest(run)),
    ]


def _rest(run: Head) -> str:
    # When attempts under way began is told by their results, once they have ended.
    is_over = RunState(run.state).final
    return "neither" if is_over else "neither, or in attempts that have not ended"


def measures(task: TaskReport) -> list[Measure]:
    """Return the measurements of a task that have a distribution worth drawing."""
    asked = task.asked
    time = units.seconds(asked.time) if asked is not None and asked.time is not None else ""
    memory = units.size(asked.mem) if asked is not None and asked.mem is not None else ""
    cpus = count(asked.cpus, "processor") if asked is not None else ""
    found = [
        ("Duration", task.duration, units.seconds, task.duration_share, time),
        ("Waiting", task.waiting, units.seconds, None, ""),
        ("Peak memory", task.peak_memory, units.size, task.memory_share, memory),
        ("Busy processors", task.cpu, units.number, task.cpu_share, cpus),
    ]
    return [
        Measure("waiting" if label == "Waiting" else "running", label, each, write, share, wanted)
        for label, each, write, share, wanted in found
        if each is not None and each.count > 1
    ]


def cards(report: RunReport) -> list[TaskReport]:
    """Return the tasks with plots: those of several tries, of most time first."""
    found = [task for task in report.tasks if measures(task)]
    found.sort(key=lambda task: -(task.duration.sum if task.duration else 0.0))
    chosen = {task.name for task in found[:MOST_CARDS]}
    return [task for task in report.tasks if task.name in chosen]


def lanes(report: RunReport) -> list[str]:
    """Return the tasks with a lane in the timeline, in the order of the graph."""
    assert report.timeline is not None
    work = {name: sum(values) for name, values in report.timeline.tasks.items()}
    chosen = set(sorted(work, key=lambda name: -work[name])[:MOST_LANES])
    return [task.name for task in report.tasks if task.name in chosen]


def told(measure: Measure) -> str:
    """Describe a distribution in words, for those who do not see its plot."""
    found, write = measure.found, measure.write
    return (
        f"{measure.label} of {found.count:,} attempts: from {write(found.min)} to "
        f"{write(found.max)}, half of them between {write(found.q1)} and {write(found.q3)}, "
        f"median {write(found.median)}"
    )


def command(run: Head, *words: str) -> str:
    """Return a command about the run, to be typed."""
    from reflow.report.status import typed

    return typed("reflow", words[0], run.run_id, *words[1:])
