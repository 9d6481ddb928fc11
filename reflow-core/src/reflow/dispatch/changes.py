"""What users ask of a run while it goes on, or after it has ended: cancel and retry."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.mixed_sources import note_mix, of_other_source
from reflow.dispatch.modes import mode_of
from reflow.dispatch.pilots.vain import try_again
from reflow.dispatch.tracked_run import TrackedRun, TrackedTask, TrackedWave
from reflow.errors import SchedulerUnavailableError
from reflow.execution.outcomes import outcome_without_job
from reflow.executors.contract import Executor
from reflow.model.jobs import JobHandle
from reflow.model.records import (
    RequestKind,
    RequestRecord,
    SubmissionState,
)
from reflow.model.states import ACTIVE_TASK_STATES, RETRIED_TASK_STATES, RunState, TaskState
from reflow.permissions import touch
from reflow.rundir.layout import RunLayout, WaveLayout
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import RunSource, current_source

log = logging.getLogger("reflow.dispatch")


def carry_out(
    request: RequestRecord, tracked: TrackedRun, settings: RunSettings, executor: Executor
) -> list[JobHandle]:
    """Do what a user asked. The changes are written at the next commit.

    Returns jobs of a supervisor's that are to be ended after that.
    """
    tracked.request_done(request.key)
    if request.kind is RequestKind.CANCEL:
        return cancel(tracked, settings, executor, request.task)
    chosen = set(tracked.tasks) if request.task is None else {request.task}
    handles = _take_back_gathers(tracked, settings, executor, chosen)
    retry(tracked, settings, request.task, changed=bool(request.options.get("changed")))
    return handles


def is_allowed(request: RequestRecord, settings: RunSettings) -> bool:
    """Tell whether a request comes from the run's owner, or from others whom the owner allows."""
    everybody = settings.config.store.requests == "all"
    return everybody or request.uid in (None, os.geteuid())


def cancel(
    tracked: TrackedRun, settings: RunSettings, executor: Executor, name: str | None = None
) -> list[JobHandle]:
    """Record as cancelled whatever has not ended, of one task or of all.

    A scheduler's jobs are recorded as to be cancelled; a supervisor's are returned.
    """
    chosen = [task for task in tracked.tasks.values() if name in (None, task.name)]
    waves = [wave for wave in tracked.waves.values() if name in (None, wave.record.task)]
    handles = _end_waves(tracked, settings.layout, executor, waves)
    count = sum(_cancel_task(tracked, task, "cancelled") for task in chosen)
    if count and name is None:
        # Workers that are about to start look for this before they claim anything.
        with contextlib.suppress(FileNotFoundError):
            touch(settings.layout.cancelled)
    return handles


@runtime_checkable
class DropsWaiting(Protocol):
    """A foreground executor, which knows which elements have begun."""

    def drop_waiting(self) -> Mapping[int, Iterable[int]]:
        """Begin no more submitted elements; return the positions dropped, by wave."""
        ...


def stop(tracked: TrackedRun, executor: DropsWaiting) -> None:
    """Begin no more elements after a failure under `on_error="stop"`; those that run go on."""
    waiting = [
        instance
        for number, positions in executor.drop_waiting().items()
        for position in positions
        if number in tracked.waves and (instance := tracked.waves[number].members.get(position))
    ]
    for task in tracked.tasks.values():
        if task.size is None and task.state is None:
            tracked.end_task(task, TaskState.SKIPPED)
        waiting += [item for item in task.instances if item.state is TaskState.PENDING]
    for instance in waiting:
        message = "skipped because another task failed"
        tracked.finish(instance, outcome_without_job(instance, TaskState.SKIPPED, message))


def retry(
    tracked: TrackedRun, settings: RunSettings, name: str | None = None, *, changed: bool = False
) -> int:
    """Make failed, cancelled or skipped elements wait to run again; return how many.

    With a task's name, the task itself and what was skipped behind it. With `changed`, also what
    has succeeded with another source than the present one, and all that comes after it. A note
    says what stays of another source, and what is still at work with it.
    """
    chosen = set(tracked.tasks) if name is None else {name}
    behind = _descendants(tracked, chosen)
    count = 0
    if changed:
        count = _renew_of_other_source(tracked, settings, chosen)
    note_mix(tracked, settings.layout)
    for task in tracked.tasks.values():
        if task.name in chosen:
            count += _reset(tracked, task, RETRIED_TASK_STATES)
        elif task.name in behind:
            count += _reset(tracked, task, frozenset({TaskState.SKIPPED}))
    if count:
        settings.layout.cancelled.unlink(missing_ok=True)
        settings.layout.ended.unlink(missing_ok=True)
        settings.layout.tries.unlink(missing_ok=True)
        try_again(settings.layout)
        tracked.set_run_state(RunState.RUNNING)
    return count


def _end_waves(
    tracked: TrackedRun, layout: RunLayout, executor: Executor, waves: Sequence[TrackedWave]
) -> list[JobHandle]:
    """Record waves as to be cancelled; return handles of a supervisor's, to be ended by them.

    Among those are the workers that outlived an earlier supervisor.
    """
    if not mode_of(executor).knows_own_jobs_only:
        for wave in waves:
            call_off(layout.wave(wave.record.number))
            tracked.set_submission(replace(wave.record, state=SubmissionState.CANCELLING))
        return []
    hosts = Hosts(tracked, layout)
    claims = (
        hosts.claim_of(wave, position)
        for wave in waves
        for position, instance in wave.members.items()
        if instance.state is TaskState.RUNNING
    )
    known = dict.fromkeys(claim.native_id for claim in claims if claim is not None)
    return [
        *handles_of(layout, (wave.record for wave in waves)),
        *(JobHandle(native_id=native_id) for native_id in known),
    ]


def call_off(layout: WaveLayout) -> None:
    """Let nothing of a wave begin any more, not even in jobs whose ids are not known.

    Where the file cannot be made, the jobs that are known are cancelled all the same.
    """
    with contextlib.suppress(OSError):
        touch(layout.called_off)


def cancel_jobs(executor: Executor, handles: list[JobHandle]) -> None:
    """Cancel jobs; where the scheduler does not answer, they find the run cancelled."""
    if not handles:
        return
    try:
        executor.cancel(handles)
    except SchedulerUnavailableError as error:
        log.warning("could not cancel jobs: %s", error)


def _renew_of_other_source(tracked: TrackedRun, settings: RunSettings, chosen: set[str]) -> int:
    now = RunSource.read(settings.layout, current_source(settings.layout)).code
    found = of_other_source(tracked, settings.layout, now)
    first = {name: elements for name, elements in found.items() if name in chosen}
    after = {name: tracked.tasks[name].instances for name in _descendants(tracked, set(first))}
    return sum(
        tracked.renew(tracked.tasks[name], list(elements))
        for name, elements in (first | after).items()
    )


def _take_back_gathers(
    tracked: TrackedRun, settings: RunSettings, executor: Executor, chosen: set[str]
) -> list[JobHandle]:
    """Have gathers that did without what is now tried again computed anew, and what follows.

    What is at work with such a gather is cancelled: it was given too little. Returns jobs to be
    ended, as `cancel` does. What they still write is of an attempt that is not waited for.
    """
    behind = _descendants(tracked, chosen)
    lost = {
        name
        for name in chosen
        if any(tracked.tasks[name].tally[each] for each in RETRIED_TASK_STATES)
    }
    lost |= {name for name in behind if tracked.tasks[name].tally[TaskState.SKIPPED]}
    first = {
        task.name for task in tracked.tasks.values() if lost & {edge.step for edge in task.lenient}
    }
    outdated = [tracked.tasks[name] for name in first | _descendants(tracked, first)]
    handles: list[JobHandle] = []
    for task in outdated:
        waves = [wave for wave in tracked.waves.values() if wave.record.task == task.name]
        handles += _end_waves(tracked, settings.layout, executor, waves)
        for instance in task.instances:
            tracked.detach(instance)
        _reset(tracked, task, ACTIVE_TASK_STATES)
        tracked.renew(task, task.instances)
    return handles


def _cancel_task(tracked: TrackedRun, task: TrackedTask, why: str) -> int:
    if task.size is None:
        if task.state is not None:
            return 0
        tracked.end_task(task, TaskState.CANCELLED)
        return 1
    unfinished = [instance for instance in task.instances if not instance.state.final]
    for instance in unfinished:
        tracked.finish(instance, outcome_without_job(instance, TaskState.CANCELLED, why))
    return len(unfinished)


def _descendants(tracked: TrackedRun, names: set[str]) -> set[str]:
    found: set[str] = set()
    for task in tracked.tasks.values():
        if set(task.spec.upstream) & (names | found):
            found.add(task.name)
    return found


def _reset(tracked: TrackedRun, task: TrackedTask, states: frozenset[TaskState]) -> int:
    if task.state in states:
        tracked.end_task(task, None)
        return 1
    chosen = [instance for instance in task.instances if instance.state in states]
    for instance in chosen:
        instance.retries_used = instance.node_losses = 0
        instance.cause, instance.error = None, ""
        instance.identity = instance.not_before = instance.missing_since = None
        tracked.move(instance, TaskState.PENDING)
    return len(chosen)
