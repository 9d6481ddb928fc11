"""Reading what `flux jobs --json` prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reflow.plugin_api import FailureCause, JobHandle, JobState, JobStatus

from reflow_flux.names import element_of, native_id, number
from reflow_flux.states import LOST_NODE, NEVER_RAN, STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of Flux's."""

    number: int
    name: str
    status: str
    code: int | None
    """None for a job that is not over, or never ran."""
    host: str
    dependencies: tuple[str, ...]
    held: bool
    exception: str
    """The type of what ended it, if something did."""
    note: str

    @property
    def state(self) -> JobState:
        """In reflow's words."""
        return STATES.look_up(self.status).state


def jobs(text: str) -> list[Job]:
    """The jobs in an answer, which is one object where one job was asked for.

    Raises `ValueError` for what is no such answer.
    """
    if not text.strip():
        return []
    answer = json.loads(text)
    found = answer.get("jobs", [answer])
    try:
        return [_job(entry) for entry in found]
    except KeyError as error:
        raise ValueError(f"a job without {error}") from error


def _job(entry: Mapping[str, object]) -> Job:
    exception = entry.get("exception")
    # Above 0 it is only a note, about a job that may well have succeeded.
    fatal = isinstance(exception, dict) and exception.get("severity") == 0
    raised = exception if isinstance(exception, dict) and fatal else {}
    identity, code, waits = entry["id"], entry.get("returncode"), entry.get("dependencies")
    return Job(
        number=int(str(identity)),
        name=str(entry.get("name", "")),
        status=str(entry["status"]),
        code=code if isinstance(code, int) and "waitstatus" in entry else None,
        host=str(entry.get("nodelist") or ""),
        dependencies=tuple(map(str, waits)) if isinstance(waits, list) else (),
        held=entry.get("urgency") == 0,
        exception=str(raised.get("type") or ""),
        note=str(raised.get("note") or ""),
    )


def statuses(found: Sequence[Job], handles: Sequence[JobHandle]) -> Iterator[JobStatus]:
    """What the jobs say of those asked about: by id, or by token and position.

    Where a position has several jobs, those that are not over speak first.
    """
    by_number = {number(handle.native_id): handle.native_id for handle in handles}
    tokens = {handle.native_id for handle in handles if number(handle.native_id) is None}
    for job in sorted(found, key=lambda job: job.state.over):
        status = _status(job)
        if job.number in by_number:
            yield replace(status, native_id=by_number[job.number])
        element = element_of(job.name)
        if element is not None and element[0] in tokens:
            token, position, _ = element
            yield replace(status, native_id=token, positions=range(position, position + 1))


def elements(found: Iterable[Job], token: str) -> Iterator[tuple[int, int, Job]]:
    """Position, size and job of each element of an array."""
    for job in found:
        element = element_of(job.name)
        if element is not None and element[0] == token:
            yield element[1], element[2], job


def _status(job: Job) -> JobStatus:
    native = STATES.look_up(job.status)
    status = JobStatus(native_id=native_id(job.number), state=native.state, host=job.host)
    if native.state is JobState.QUEUED:
        waits = ", ".join(job.dependencies)
        return replace(status, reason="held" if job.held else f"waits: {waits}" if waits else "")
    if native.state is JobState.CANCELLED:
        return replace(status, reason=_because(native.name, job.note))
    if native.state is not JobState.FAILED:
        return status
    signal = job.code - 128 if job.code is not None and 128 < job.code < 193 else None
    return replace(
        status,
        cause=native.cause or _cause(job, signal),
        exit_code=None if signal is not None else job.code or None,
        signal=signal,
        reason=_because(native.name, job.note),
    )


def _cause(job: Job, signal: int | None) -> FailureCause | None:
    if LOST_NODE.search(f"{job.exception} {job.note}"):
        return FailureCause.NODE
    if job.exception in NEVER_RAN or (job.exception and job.code is None):
        return FailureCause.SUBMIT
    if signal is not None:
        return FailureCause.SIGNAL
    return FailureCause.EXIT_CODE if job.code else None


def _because(state: str, note: str) -> str:
    return f"{state}: {note}" if note else state
