"""Telling users whose short elements have a job each what it would save if they shared jobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from reflow.config.schema import ResourceDefaults
from reflow.dispatch.jobs.packing import LONG, make_pack, may_share
from reflow.dispatch.modes import RunMode
from reflow.dispatch.pilots.fit import fits
from reflow.dispatch.tracked_run import TrackedRun
from reflow.model.durations import Durations
from reflow.model.records import Instance
from reflow.model.states import TaskState
from reflow.model.tasks import TaskSpec
from reflow.rundir.run_settings import RunSettings

MANY = 100
"""Elements from which their jobs are a burden that is worth a word."""


def advice_on_sharing(
    spec: TaskSpec,
    defaults: ResourceDefaults,
    mode: RunMode,
    elements: int,
    durations: Callable[[], Durations | None],
) -> str:
    """Say how many jobs `per_job="auto"` would ask for; empty where it would change little.

    Nothing is said where the user has decided, in the flow or the configuration. How much time it
    would save is not said: that depends on how long a job waits, which nobody knows before.
    """
    decided = spec.per_job or spec.at_once or defaults.per_job
    if decided or elements < MANY or mode.on_this_machine or not may_share(spec, mode):
        return ""
    known = durations()
    if known is None or known.mean >= LONG:
        return ""
    pack = make_pack(elements, "auto", defaults.at_once, None, known, elements)
    if pack is None:
        return ""
    jobs = f"{pack.hosts:,} job{'s' if pack.hosts > 1 else ''}"
    each = "less than 0.01 s" if known.mean < 0.01 else f"about {known.mean:.2g} s"
    now = f"{spec.name}: {elements:,} jobs of {each} each"
    return f'{now}; per_job="auto" would make it {jobs}'


def note_advice(
    tracked: TrackedRun, settings: RunSettings, mode: RunMode, spec: TaskSpec, elements: int
) -> None:
    """Note for `status` what it would save if so many elements of a task shared jobs.

    Those that pilots run do.
    """
    defaults, pilots = settings.config.defaults, settings.pilots
    if pilots is not None and fits(pilots, defaults.fill(spec.resources), settings.executor):
        return
    durations = partial(tracked.store.durations, settings.workflow, spec.name)
    advice = advice_on_sharing(spec, defaults, mode, elements, durations)
    if advice:
        tracked.note(spec.name, "elements could share jobs", advice)


def note_advice_at_end(tracked: TrackedRun, settings: RunSettings, mode: RunMode) -> None:
    """Do so for what the run has computed, where nothing was known of it before."""
    for task in tracked.tasks.values():
        # Millions of elements are looked at only where that may matter.
        if task.spec.array and task.tally[TaskState.SUCCESS] >= MANY:
            computed = sum(map(_is_computed, task.instances))
            note_advice(tracked, settings, mode, task.spec, computed)


def _is_computed(instance: Instance) -> bool:
    return instance.state is TaskState.SUCCESS and instance.source is None
