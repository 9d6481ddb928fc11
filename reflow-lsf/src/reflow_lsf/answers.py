"""Reading what bjobs and bhist print."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from reflow.plugin_api import CommandResult, FailureCause, JobHandle, JobState, JobStatus

from reflow_lsf.states import (
    CANCELLED,
    CAUSES,
    CPU_LIMIT_SIGNAL,
    HOST_LOST,
    IMPOSSIBLE,
    KILL_SIGNALS,
    MEMORY_SIGNAL,
    NOT_FOUND,
    RUN_LIMIT_SIGNAL,
    STATES,
)

JSON_FIELDS = "jobid jobindex stat exit_code exit_reason pend_reason exec_host"
"""For `bjobs -json -o`."""

_WRAP = re.compile(r"\n {21}")
"""Lines are broken after 79 columns, inside words too, and go on after 21 blanks."""
_RECORD = re.compile(r"^Job (?:Id )?<(?P<id>\d+)(?:\[(?P<index>\d+)\])?>", re.MULTILINE)
_STATE = re.compile(r"Status ?<(\w+)>")
_EVENT = re.compile(r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?: (.*)$", re.MULTILINE)
_STARTED = re.compile(r"(?:\[\d+\] )?[Ss]tarted [^<]*<(?:\d+\*)?([^>]+)>|Dispatched[^<]*<([^>]+)>")
_EXITED = re.compile(r"Exited(?: with exit code (?P<code>\d+)| by signal (?P<signal>\d+))?")
_TERMINATED = re.compile(r"(?:Completed <exit>; |.*?; )?(TERM_\w+: [^.;]*)")
_PENDING = re.compile(r"PENDING REASONS:\n((?:[^\n]+\n)+)")
"""A line for each reason, with how many hosts give it."""
_KILLED_BY = re.compile(r"Signal <KILL> requested by user or administrator ?<([^>]*)>")
_NAME = re.compile(r"^Job[^>]*>, Job Name <([^>\[]*)")
_ASKED = re.compile(r": Submitted from host .*$", re.MULTILINE)
_MEMORY_LIMIT = re.compile(r"^ (?:MEM|SWAP)LIMIT", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of one job or element."""

    job_id: str
    index: int
    """0 for a plain job."""
    state: str
    code: int | None = None
    signal: int | None = None
    host: str = ""
    reason: str = ""
    """Why it waits, or was ended."""
    killed_by: str = ""
    memory_limited: bool = False
    name: str = ""
    """The job's, without an element's index; empty where it is not told."""
    asked: str = ""
    """What was asked for, as bjobs words the submission."""
    hopeless: str = ""
    """Why no host can ever take it."""

    @property
    def may_be_killed(self) -> bool:
        """Whether it ended as jobs do that bkill ends, and nobody has said why."""
        return self.state == "EXIT" and not self.reason and self.ended_by in KILL_SIGNALS

    @property
    def ended_by(self) -> int | None:
        """The signal, which LSF reports as 128 and more most of the time."""
        if self.signal is not None:
            return self.signal
        return self.code - 128 if self.code is not None and 128 < self.code < 193 else None


def long_rows(text: str) -> Iterator[Row]:
    """The records of `bjobs -l`."""
    for record in _records(text):
        state = _STATE.search(record)
        if state is None:
            raise ValueError(f"a record without a state: {record[:60]!r}")
        yield _row(record, state[1])


def ended_rows(text: str) -> Iterator[Row]:
    """The records of `bhist -l` that tell of an end: the last one, where there were several."""
    for record in _records(text):
        state = ""
        for event in _EVENT.findall(record):
            if event.startswith("Done successfully"):
                state = "DONE"
            elif HOST_LOST.search(event):
                state = "ZOMBI"
            elif _STARTED.match(event) or "requeued" in event:
                state = ""
            elif _EXITED.match(event):
                state = "EXIT"
        if state:
            yield _row(record, state)


def _joined(lines: str) -> str:
    return "; ".join(line.strip().removesuffix(";") for line in lines.splitlines())


def of_these(rows: Iterable[Row], handles: Iterable[JobHandle]) -> list[Row]:
    """Those that are of the jobs asked about: ids start again after MAX_JOBID, 999,999."""
    tokens = {handle.native_id.partition("[")[0]: handle.token for handle in handles}
    return [row for row in rows if tokens.get(row.job_id, "") in ("", row.name) or not row.name]


def with_killers(rows: Sequence[Row], history: str) -> list[Row]:
    """The same rows; where one may have been killed, with who did it, by `bhist -l`."""
    past = {(row.job_id, row.index): row.killed_by for row in ended_rows(history)}
    return [
        replace(row, killed_by=past.get((row.job_id, row.index), "")) if row.may_be_killed else row
        for row in rows
    ]


def json_rows(text: str) -> Iterator[Row]:
    """The records of `bjobs -json -o JSON_FIELDS`; those of unknown jobs hold an error."""
    for record in json.loads(text)["RECORDS"]:
        if "ERROR" in record:
            continue
        job_id, _, index = record["JOBID"].rstrip("]").partition("[")
        code = record.get("EXIT_CODE", "")
        pending = record.get("PEND_REASON", "")
        yield Row(
            job_id=job_id,
            index=int(index or record.get("JOBINDEX") or 0),
            state=record["STAT"],
            code=int(code) if code.isdigit() else None,
            host=record.get("EXEC_HOST", "").partition(":")[0].rpartition("*")[2].strip("-"),
            reason=(_named(record.get("EXIT_REASON", "")) or _named(pending)).partition(";")[0],
        )


def _records(text: str) -> list[str]:
    joined = _WRAP.sub("", text)
    starts = [found.start() for found in _RECORD.finditer(joined)]
    ends = [*starts[1:], len(joined)] if starts else []
    return [joined[start:end] for start, end in zip(starts, ends, strict=True)]


def _row(record: str, state: str) -> Row:
    head = _RECORD.match(record)
    assert head is not None
    code = signal = None
    host = reason = ""
    for event in _EVENT.findall(record):
        if found := _STARTED.match(event):
            host = found[1] or found[2]
            code = signal = None
        elif found := _EXITED.match(event):
            code = int(found["code"]) if found["code"] else None
            signal = int(found["signal"]) if found["signal"] else None
        if found := _TERMINATED.match(event):
            reason = found[1]
    pending = _PENDING.search(record)
    asked = _ASKED.search(record)
    name = _NAME.match(record)
    killed = _KILLED_BY.search(record)
    return Row(
        job_id=head["id"],
        index=int(head["index"] or 0),
        state=state,
        code=code,
        signal=signal,
        host=host,
        reason=reason or (_joined(pending[1]) if pending else ""),
        killed_by=killed[1] if killed else "",
        memory_limited=_MEMORY_LIMIT.search(record) is not None,
        name=name[1] if name else "",
        asked=asked[0] if asked else "",
    )


def statuses(rows: Iterable[Row], wanted: Collection[str]) -> Iterator[JobStatus]:
    """What they say of the jobs asked about: by the array's id, or an element's, `24[3]`."""
    for row in rows:
        status = _status(row)
        element = f"{row.job_id}[{row.index}]"
        if element in wanted:
            yield replace(status, native_id=element)
        if row.job_id in wanted:
            positions = range(row.index - 1, row.index) if row.index else None
            yield replace(status, positions=positions)


def _status(row: Row) -> JobStatus:
    native = STATES.look_up(row.state)
    status = JobStatus(native_id=row.job_id, state=native.state, host=row.host, reason=row.reason)
    if native.state is JobState.QUEUED:
        impossible = bool(row.hopeless) or IMPOSSIBLE.search(row.reason) is not None
        return replace(status, reason=row.hopeless or row.reason, impossible=impossible)
    if row.state == "UNKWN":
        silent = f"LSF does not hear of {row.host or 'its host'}"
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
        # Of an array that was killed as a whole, no element's history tells.
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


def only_unknown(result: CommandResult) -> bool:
    """Whether a command failed for nothing but jobs that it does not know."""
    lines = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return bool(lines) and all(NOT_FOUND.search(line) for line in lines)


def jobs_listed(text: str) -> int:
    """The lines of `bjobs -w`: one for each job and each element."""
    return len(re.findall(r"^\d+\s", text, re.MULTILINE))


def found_ids(text: str) -> list[str]:
    """The ids in the tables of `bjobs -w` and `bhist`, each array once."""
    lines = re.findall(r"^(\d+)(?:\[\d+\])?\s", text, re.MULTILINE)
    return list(dict.fromkeys(lines))


def _named(text: str) -> str:
    return "" if text in ("-", "unknown") else text
