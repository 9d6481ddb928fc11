"""From results and scheduler statuses to the recorded outcome of an instance."""

from __future__ import annotations

import signal as signals
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from reflow.model.jobs import JobStatus
from reflow.model.outcomes import Outcome, Reuse
from reflow.model.states import FailureCause, JobState, TaskState
from reflow.rundir.error_text import bounded
from reflow.rundir.results import HOST, RESULT_NOT_WRITTEN, ResultRecord
from reflow.rundir.wave_files import InputRecord

if TYPE_CHECKING:
    # Hosts and workers record results without what the dispatcher knows of an instance.
    from reflow.model.records import Instance


def outcome_of_result(
    instance: Instance, record: ResultRecord, reusable: Reuse, status: JobStatus | None = None
) -> Outcome:
    """Return what a result file says, with the scheduler's cause where a signal ended it."""
    # The element is known from the place of the record, whatever the record says.
    ended = replace(record.outcome, task=instance.task, index=instance.index, reusable=reusable)
    if record.interrupted and status is not None and (status.cause or _cancelled(status)):
        return replace(
            ended,
            state=TaskState.CANCELLED if _cancelled(status) else ended.state,
            cause=status.cause,
            error=f"{_reason(status)} ({ended.error})",
        )
    return ended


def outcome_without_job(
    instance: Instance, state: TaskState, error: str, cause: FailureCause | None = None
) -> Outcome:
    """Return the outcome of an instance that the run itself ends, whatever its job does."""
    return Outcome(
        task=instance.task,
        index=instance.index,
        attempt=instance.attempt,
        state=state,
        cause=cause,
        error=error,
    )


def outcome_of_status(instance: Instance, status: JobStatus, log: str) -> Outcome:
    """Return the outcome of an instance whose job is over and left no result."""
    cancelled = _cancelled(status)
    return Outcome(
        task=instance.task,
        index=instance.index,
        attempt=instance.attempt,
        state=TaskState.CANCELLED if cancelled else TaskState.FAILED,
        cause=None if cancelled else _cause(status),
        error=_reason(status),
        native_id=status.native_id,
        host=status.host,
        log=log,
    )


def record_of_death(
    task: str,
    position: int,
    record: InputRecord,
    status: JobStatus,
    *,
    native_id: str,
    log: str,
    interrupted: bool,
) -> ResultRecord:
    """Return the result of an element whose worker died, as the worker's host publishes it.

    It is `interrupted` where the host itself was ending: the element is not to blame.
    """
    now = time.time()
    outcome = Outcome(
        task=task,
        index=record.index,
        attempt=record.attempt,
        state=TaskState.FAILED,
        cause=_cause(status),
        error=_reason(status),
        started_at=now,
        ended_at=now,
        native_id=native_id,
        host=HOST,
        log=log,
    )
    return ResultRecord(position=position, outcome=outcome, interrupted=interrupted)


def outcome_of_impossible(instance: Instance, status: JobStatus) -> Outcome:
    """Return the outcome of an instance whose job waits for what will never come."""
    return Outcome(
        task=instance.task,
        index=instance.index,
        attempt=instance.attempt,
        state=TaskState.FAILED,
        cause=FailureCause.SUBMIT,
        error=f"the scheduler says it can never start: {status.reason}",
        native_id=status.native_id,
    )


def _cancelled(status: JobStatus) -> bool:
    return status.state is JobState.CANCELLED and status.cause is None


def _cause(status: JobStatus) -> FailureCause:
    if status.cause is not None:
        return status.cause
    if status.signal:
        return FailureCause.SIGNAL
    if status.exit_code is not None:
        return FailureCause.EXIT_CODE
    return FailureCause.LOST


def _reason(status: JobStatus) -> str:
    """Describe in one line what the scheduler says happened."""
    if _cancelled(status):
        message = "cancelled outside of reflow"
    elif status.exit_code == RESULT_NOT_WRITTEN:
        message = "the result could not be written: is the disk full or the run directory gone?"
    else:
        message = _SAID.get(_cause(status), "") or _ended(status)
    return bounded(f"{message} [{status.reason}]") if status.reason else message


_SAID = {
    FailureCause.WALLTIME: "ran out of time",
    FailureCause.MEMORY: "ran out of memory",
    FailureCause.NODE: "its node failed",
    FailureCause.PREEMPTED: "preempted",
    FailureCause.SUBMIT: "its job could not be started",
    FailureCause.LOST: "its job is gone and left no result",
}


def _ended(status: JobStatus) -> str:
    if status.signal:
        try:
            name = signals.Signals(status.signal).name
        except ValueError:
            name = "unknown"
        return f"killed by signal {status.signal} ({name})"
    return f"exited with status {status.exit_code} and left no result"
