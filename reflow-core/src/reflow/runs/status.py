"""The status of a run, as one JSON-safe mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reflow.model.fields import as_json
from reflow.model.records import FailedInstance, RunRecord, SubmissionKind, TaskRecord
from reflow.model.secrets import without_passwords
from reflow.model.states import FINAL_TASK_STATES, TaskState
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import cleaned_up
from reflow.rundir.packs import JobCounts, read_job_counts
from reflow.stores.contract import Store

MOST_FAILURES = 1000
"""Failed instances listed at most."""


def status_of(
    store: Store, run_id: str, notes: Sequence[str] = (), task: str | None = None
) -> dict[str, Any]:
    """Return the mapping of `run.status()`, whose size does not grow with what has succeeded."""
    overview = overview_of(store, run_id, notes, task)
    failures = store.failures(run_id, task=task, limit=MOST_FAILURES)
    arrays = {name for name, item in overview["tasks"].items() if item["array"]}
    failed = [_failure(item, item.task in arrays) for item in failures]
    return overview | {"failed_instances": failed}


def overview_of(
    store: Store, run_id: str, notes: Sequence[str] = (), task: str | None = None
) -> dict[str, Any]:
    """Return the mapping of `run.status()` without failed instances, from counts alone."""
    record = store.run(run_id)
    counts = store.counts(run_id)
    cached, retried = store.cached(run_id), store.retried(run_id)
    reasons = {} if record.state.final else store.reasons(run_id)
    jobs = {} if record.state.final else _jobs(store, record)
    pilots = None if record.state.final else read_job_counts(_layout(record).pilot_counts)
    # Of a run that was cleaned up, some instances are left; they would say what is not so.
    known = store.tasks(run_id) if record.cleaned_at is None else []
    tasks = [item for item in known if task in (None, item.name)]
    return {
        "version": 1,
        "run": run_as_dict(record),
        "pilots": None if pilots is None else as_json(pilots),
        "tasks": {
            item.name: _task(item, counts.get(item.name, {}), reasons.get(item.name, {}))
            | {"cached": cached.get(item.name, 0), "retries": retried.get(item.name, 0)}
            | {"jobs": as_json(jobs[item.name]) if item.name in jobs else None}
            for item in tasks
        },
        "failed_instances": [],
        "notes": [*_cleaned(record), *(note.text for note in store.notes(run_id)), *notes],
    }


def run_as_dict(record: RunRecord) -> dict[str, Any]:
    """Convert a run to JSON, without its secrets."""
    finished = record.finished_at
    return {
        "run_id": record.run_id,
        "workflow": record.workflow,
        "status": str(record.state),
        "run_dir": str(record.run_dir),
        "created_at": record.created_at.isoformat(),
        "finished_at": None if finished is None else finished.isoformat(),
        "executor": record.executor,
        "parameters": without_passwords(dict(record.parameters)),
        "message": record.message,
        "tags": list(record.tags),
        "cleaned_at": None if record.cleaned_at is None else record.cleaned_at.isoformat(),
    }


def _task(
    record: TaskRecord, counts: Mapping[TaskState, int], reasons: Mapping[str, int]
) -> dict[str, Any]:
    counts = {state: number for state, number in counts.items() if number}
    if record.state is None and record.size == 1 and not counts:
        counts = {TaskState.PENDING: 1}
    return {
        "state": str(record.state or task_state(counts, record.size)),
        "array": record.array,
        "size": record.size,
        "counts": {str(state): number for state, number in counts.items()},
        "reason": ", ".join(sorted(reasons, key=lambda reason: -reasons[reason])),
    }


def _layout(record: RunRecord) -> RunLayout:
    return RunLayout(record.run_dir, record.run_id)


def _jobs(store: Store, record: RunRecord) -> dict[str, JobCounts]:
    """Count the jobs of each task whose elements share jobs, as the scheduler last said."""
    layout = _layout(record)
    found: dict[str, JobCounts] = {}
    for submission in store.submissions(record.run_id):
        if submission.kind is SubmissionKind.WAVE and submission.task is not None:
            counts = read_job_counts(layout.wave(submission.number).job_counts)
            if counts is not None:
                earlier = found.get(submission.task)
                found[submission.task] = counts if earlier is None else earlier + counts
    return found


def task_state(counts: Mapping[TaskState, int], size: int | None) -> TaskState:
    """Sum the states of a task's elements up in one."""
    if size is None:
        return TaskState.PENDING
    if not counts:
        return TaskState.SUCCESS
    if TaskState.RUNNING in counts:
        return TaskState.RUNNING
    if set(counts) <= FINAL_TASK_STATES:
        worst = (TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED, TaskState.SUCCESS)
        return next(state for state in worst if state in counts)
    if TaskState.SUBMITTED in counts:
        return TaskState.SUBMITTED
    return TaskState.PENDING if set(counts) == {TaskState.PENDING} else TaskState.RUNNING


def _failure(item: FailedInstance, array: bool) -> dict[str, Any]:
    return {
        "task": item.task,
        "index": item.index if array else None,
        "state": str(TaskState.FAILED),
        "cause": None if item.cause is None else str(item.cause),
        "error": item.error,
        "traceback": item.traceback,
        "log": item.log,
        "job_id": item.job_id,
        "attempt": item.attempt,
    }


def _cleaned(record: RunRecord) -> list[str]:
    return [] if record.cleaned_at is None else [f"it was {cleaned_up(record.cleaned_at)}"]
