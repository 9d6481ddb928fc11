"""Ending a run that no dispatcher can go on with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from reflow.dispatch.changes import cancel_jobs
from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.lease import release
from reflow.errors import ReflowError
from reflow.execution.outcomes import outcome_without_job
from reflow.executors.contract import Executor
from reflow.model.records import Lease, SubmissionState
from reflow.model.states import RunState, TaskState
from reflow.permissions import touch
from reflow.rundir.error_text import summary
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings
from reflow.stores.contract import Store


def abort(store: Store, lease: Lease, message: str, state: RunState = RunState.FAILED) -> None:
    """End a run that cannot go on; cancel what has not ended.

    `retry` takes all of that up again.
    """
    waiting, running = TaskState.PENDING, (TaskState.SUBMITTED, TaskState.RUNNING)
    unfinished = store.instances(lease.run_id, states=[waiting, *running])
    outcomes = [outcome_without_job(each, TaskState.CANCELLED, message) for each in unfinished]
    counts = store.counts(lease.run_id)
    not_begun = [
        task.name
        for task in store.tasks(lease.run_id)
        if task.state is None
        and (task.size is None or (task.size == 1 and not counts.get(task.name)))
    ]
    with store.fenced(lease) as write:
        write.record_outcomes(outcomes)
        for name in not_begun:
            write.set_task_state(name, TaskState.CANCELLED)
        for record in store.submissions(lease.run_id):
            write.update_submission(replace(record, state=SubmissionState.CANCELLING))
        write.set_run_state(state, message)
    release(store, lease)
    with suppress(OSError):
        touch(RunLayout(store.run(lease.run_id).run_dir, lease.run_id).ended)


def end_jobs(store: Store, settings: RunSettings, executor: Executor) -> None:
    """End all jobs of a run that is about to be given up, as far as that is possible."""
    with suppress(OSError):
        touch(settings.layout.cancelled)
    with suppress(ReflowError):
        cancel_jobs(executor, handles_of(settings.layout, store.submissions(settings.run_id)))


def cannot_dispatch(settings: RunSettings, error: BaseException) -> str:
    """Return what a run's record says when its dispatcher failed."""
    message = f"the run cannot be dispatched: {summary(error)}"
    log = settings.layout.dispatch_log
    return f"{message} (more in {log})" if log.exists() else message
