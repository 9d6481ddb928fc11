"""Runs whose elements were computed with different sources, as a retry may leave them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache

from reflow.dispatch.tracked_run import TrackedRun, TrackedTask
from reflow.model.records import Instance
from reflow.model.states import ACTIVE_TASK_STATES, TaskState
from reflow.rundir.layout import RunLayout
from reflow.rundir.source_record import RunSource, current_source
from reflow.rundir.wave_files import WaveSpec

DONE = frozenset({TaskState.SUCCESS})


def of_other_source(
    tracked: TrackedRun,
    layout: RunLayout,
    now: Mapping[str, str],
    states: Collection[TaskState] = DONE,
) -> dict[str, list[Instance]]:
    """Return, by task, elements in some states whose source is not `now`, code by task.

    A result that came from the cache may be one of them, where its task has changed at all.
    """
    former = [_code_of(layout, name) for name in layout.source_records()]
    changed = [
        name for name in tracked.tasks if any(code.get(name) != now[name] for code in former)
    ]
    found = {
        name: _made_otherwise(tracked.tasks[name], now[name], layout, states) for name in changed
    }
    return {name: elements for name, elements in found.items() if elements}


def _code_of(layout: RunLayout, name: str) -> Mapping[str, str]:
    """Return what tasks counted by at a submission or retry; empty where that cannot be read."""
    try:
        return RunSource.read(layout, name).code
    except OSError:
        return {}


def _made_otherwise(
    task: TrackedTask, code: str, layout: RunLayout, states: Collection[TaskState]
) -> list[Instance]:
    @cache
    def planned_with(wave: int) -> str:
        try:
            return WaveSpec.read(layout.wave(wave)).code
        except OSError:
            return "unknown"

    return [
        instance
        for instance in task.instances
        if instance.state in states
        and (
            instance.source is not None
            or instance.wave is None
            or planned_with(instance.wave) != code
        )
    ]


def note_mix(tracked: TrackedRun, layout: RunLayout) -> None:
    """Note on each task results, present or to come, of a source other than the current."""
    now = RunSource.read(layout, current_source(layout)).code
    at = f"{datetime.fromtimestamp(layout.source.stat().st_mtime):%H:%M}"
    for name, elements in of_other_source(tracked, layout, now, DONE | ACTIVE_TASK_STATES).items():
        size = len(tracked.tasks[name].instances)
        have = "have" if all(each.state in DONE for each in elements) else "have, or will have,"
        tracked.note(
            name,
            f"source before {at}",
            f"{len(elements)} of {size} {have} results of the source before {at}. To compute them "
            f"with the present source, type: reflow retry {tracked.run_id} --changed",
        )
