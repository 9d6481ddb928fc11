"""The translation of rows into reflow's states and causes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from reflow.plugin_api import FailureCause, JobState, JobStatus

from reflow_lsf.rows import Row
from reflow_lsf.states import (
    CANCELLED,
    CAUSES,
    CPU_LIMIT_SIGNAL,
    IMPOSSIBLE,
    KILL_SIGNALS,
    MEMORY_SIGNAL,
    RUN_LIMIT_SIGNAL,
    STATES,
)


def statuses(rows: Iterable[Row], wanted: Collection[str]) -> Iterator[JobStatus]:
    """Yield the statuses of polled jobs: by the array's id, or an element's, `24[3]`."""
    for row in rows:
        status = _status(row)
        element = f"{row.job_id}[{row.index}]"
        if element in wanted:
            yield replace(status, native_id=element)
        if row.job_id in wanted:
            positions = range(row.index - 1, row.index) if row.index else None
            yield replace(status, positions=positions)


def never_starts(status: JobStatus) -> bool:
    """Tell whether a job waits for what can never happen: LSF keeps such a job for ever."""
    return IMPOSSIBLE.search(status.reason) is not None


def refused(status: JobStatus) -> JobStatus:
    """Describe a job that will never run as one that was refused."""
    return replace(status, state=JobState.FAILED, cause=FailureCause.SUBMIT, impossible=False)


def _status(row: Row) -> JobStatus:
    native = STATES.look_up(row.state)
    status = JobStatus(native_id=row.job_id, state=native.state, host=row.host, reason=row.reason)
    if native.state is JobState.QUEUED:
        impossible = bool(row.hopeless) or IMPOSSIBLE.search(row.reason) is not None
        return replace(status, reason=row.hopeless or row.reason, impossible=impossible)
    if row.state == "UNKWN":
        silent = f"LSF has no contact with {row.host or 'its host'}"
        return replace(status, cause=native.cause, reason=silent)
    if native.state is not JobState.FAILED:
        return status
    if native.cause is not None:
        return replace(status, cause=native.cause, reason=native.name)
    if row.killed_by:
        return _cancelled(status, f"killed by {row.killed_by}")
    if CANCELLED.match(row.reason):
        return _cancelled(status, row.reason)
    if row.code is None and row.signal is None and not row.host:
        return _cancelled(status, "ended before it started")
    if row.index and row.may_be_killed and row.ended_by == KILL_SIGNALS[0]:
        # Where an array was killed as a whole, no element's history tells.
        return _cancelled(status, "killed, as bkill does")
    signal = row.ended_by
    code = None if signal is not None else row.code
    return replace(status, cause=_cause(row, signal), exit_code=code or None, signal=signal)


def _cancelled(status: JobStatus, reason: str) -> JobStatus:
    return replace(status, state=JobState.CANCELLED, reason=reason)


def _cause(row: Row, signal: int | None) -> FailureCause | None:
    for word, cause in CAUSES:
        if row.reason.startswith(word):
            return cause
    if signal in (RUN_LIMIT_SIGNAL, CPU_LIMIT_SIGNAL):
        return FailureCause.WALLTIME
    if signal == MEMORY_SIGNAL and row.memory_limited:
        return FailureCause.MEMORY
    if signal is not None:
        return FailureCause.SIGNAL
    return FailureCause.EXIT_CODE if row.code else None
