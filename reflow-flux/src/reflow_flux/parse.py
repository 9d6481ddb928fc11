"""Parsing of the output of `flux jobs --json`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reflow.plugin_api import CommandResult, FailureCause, JobHandle, JobState, JobStatus

from reflow_flux.errors import NO_ANSWER, UNKNOWN_ID
from reflow_flux.ids import element_of, native_id, number
from reflow_flux.states import STATES, failure_cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of Flux."""

    number: int
    name: str
    status: str
    code: int | None
    """None for a job that is not over, or never ran."""
    host: str
    dependencies: tuple[str, ...]
    priority: int | None
    """None before it has one."""
    urgency: int
    pending: str
    """Why it waits, according to the scheduler."""
    exception: str
    """The type of the exception that ended it; empty where none did."""
    note: str

    @property
    def state(self) -> JobState:
        """Its state in reflow's terms."""
        return STATES.look_up(self.status).state


def answered(result: CommandResult) -> bool:
    """Tell whether Flux has answered for every polled job; that it knows none is an answer too."""
    lines = result.stderr.strip().splitlines()
    if any(NO_ANSWER.match(line) for line in lines):
        return False
    return result.exit_code == 0 or (bool(lines) and all(map(UNKNOWN_ID.search, lines)))


def jobs(text: str) -> list[Job]:
    """Parse the jobs in an answer, which is one object where one job was polled.

    Raises `ValueError` for a text that is no such answer.
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
    raised = exception if isinstance(exception, dict) and _ends(exception) else {}
    identity, code, waits = entry["id"], entry.get("returncode"), entry.get("dependencies")
    priority, urgency = entry.get("priority"), entry.get("urgency")
    return Job(
        number=int(str(identity)),
        name=str(entry.get("name", "")),
        status=str(entry["status"]),
        code=code if isinstance(code, int) and "waitstatus" in entry else None,
        host=str(entry.get("nodelist") or ""),
        dependencies=tuple(map(str, waits)) if isinstance(waits, list) else (),
        priority=priority if isinstance(priority, int) else None,
        urgency=urgency if isinstance(urgency, int) else 16,
        pending=_annotated(entry, "reason_pending"),
        exception=str(raised.get("type") or ""),
        note=str(raised.get("note") or ""),
    )


def _annotated(entry: Mapping[str, object], name: str) -> str:
    """Return an annotation of the scheduler on a job (RFC 27)."""
    annotations = entry.get("annotations")
    noted = annotations.get("sched") if isinstance(annotations, dict) else None
    return str(noted.get(name) or "") if isinstance(noted, dict) else ""


def _ends(exception: Mapping[str, object]) -> bool:
    # A severity above 0 is only a note, about a job that may have succeeded. That another node
    # than its first was lost is such a note, however the job ended.
    return exception.get("severity") == 0 or exception.get("type") == "node-failure"


def statuses(found: Sequence[Job], handles: Sequence[JobHandle]) -> Iterator[JobStatus]:
    """Yield the statuses of the polled jobs: by id, or by token and position.

    Where a position has several jobs, those that are not over come first.
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


def elements(found: Iterable[Job], token: str) -> Iterator[tuple[int, str]]:
    """Yield position and id of each job of an array."""
    for job in found:
        element = element_of(job.name)
        if element is not None and element[0] == token:
            yield element[1], native_id(job.number)


def ids(found: Sequence[Job], token: str) -> Iterator[str]:
    """Yield the ids of plain jobs with that token, and the token itself of a complete array.

    An array that was submitted in part is not found: submitting it again adds the rest.
    """
    positions, size = set(), 0
    for job in found:
        if job.name == token:
            yield native_id(job.number)
        element = element_of(job.name)
        if element is not None and element[0] == token:
            positions.add(element[1])
            size = element[2]
    if positions and len(positions) >= size:
        yield token


def _status(job: Job) -> JobStatus:
    native = STATES.look_up(job.status)
    status = JobStatus(native_id=native_id(job.number), state=native.state, host=job.host)
    if native.state is JobState.QUEUED:
        return replace(status, reason=_why_it_waits(job))
    if native.state is JobState.CANCELLED:
        return replace(status, reason=_because(native.name, job.note))
    if native.state is not JobState.FAILED:
        return status
    signal = _signal(job.code)
    return replace(
        status,
        cause=native.cause or _cause(job, signal),
        exit_code=None if signal is not None else job.code or None,
        signal=signal,
        reason=_because(native.name, job.note),
    )


def _why_it_waits(job: Job) -> str:
    if job.urgency == 0:
        return "held"
    if job.dependencies:
        return f"waits: {', '.join(job.dependencies)}"
    if job.status == "SCHED" and job.priority == 0:
        return "held: its priority is 0"
    return job.pending


def _signal(code: int | None) -> int | None:
    """Return the signal in an exit code: above 128 for a task, negative for the job's shell."""
    if code is None:
        return None
    return -code if code < 0 else code - 128 if 128 < code < 193 else None


def _cause(job: Job, signal: int | None) -> FailureCause | None:
    cause = failure_cause(job.exception, job.note, ran=job.code is not None)
    if cause is None and signal is not None:
        return FailureCause.SIGNAL
    return cause or (FailureCause.EXIT_CODE if job.code else None)


def _because(state: str, note: str) -> str:
    return f"{state}: {note}" if note else state
