"""Parsing of the output of `qstat -f`, delimited or as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from reflow.plugin_api import FailureCause, JobHandle, JobState, JobStatus, contiguous

from reflow_pbs.ids import JobId, job_id
from reflow_pbs.states import CAUSES, DELETED, HELD, NEVER_RUNS, SIGNALLED, STATES

_TEXT = re.compile(r"^ {4}([\w.]+) = (.*)$", re.MULTILINE)
_WRAPPED = re.compile(r"\n\t")
_BARE_SHELL_SIGNALS = range(129, 160)
"""Exit codes of a login shell for a script that signals 1 to 31 have ended."""
_RECORD = re.compile(r"^Job Id: ", re.MULTILINE)
_FIELD = re.compile(r"(?:[^|\\]|\\.|\\$)+", re.DOTALL)
"""A field between delimiters; delimiters and backslashes in a value follow a backslash."""


@dataclass(frozen=True, slots=True)
class Row:
    """What PBS reports of a job, an array or an element."""

    id: JobId
    fields: Mapping[str, str]

    @property
    def state(self) -> str:
        """The letter of its state."""
        return self.fields.get("job_state", "")


def rows(text: str) -> list[Row]:
    """Parse the jobs in the answer of `qstat -f`, with `-F dsv` or without.

    JSON is not used: one version of PBS leaves out all jobs but the first, another writes
    invalid JSON. Raises `ValueError` for a text that is no such answer.
    """
    return [_row(record) for record in _RECORD.split(text)[1:]]


def _row(record: str) -> Row:
    # A variable of the job may have several lines.
    first = record.partition("\n")[0]
    name, fields = _delimited(record) if "|" in first else _plain(record)
    found = job_id(name)
    if found is None:
        raise ValueError(f"{name!r} is no job id")
    return Row(found, fields)


def _delimited(record: str) -> tuple[str, dict[str, str]]:
    name, *parts = _FIELD.findall(record.rstrip("\n"))
    pairs = (part.partition("=") for part in parts)
    return name, {key: value for key, _, value in pairs}


def _plain(record: str) -> tuple[str, dict[str, str]]:
    name, _, rest = record.partition("\n")
    return name.strip(), attributes(rest)


def statuses(found: Sequence[Row], handles: Sequence[JobHandle]) -> Iterator[JobStatus]:
    """Yield the statuses of the polled jobs.

    An array's own state tells how its elements wait, but never how they ended: its exit status
    is that of the element that ended last.
    """
    arrays = {row.id.number: row for row in found if row.id.index == ""}
    by_number: dict[str, list[tuple[JobHandle, JobId]]] = {}
    for handle in handles:
        asked = job_id(handle.native_id)
        if asked is not None:
            by_number.setdefault(asked.number, []).append((handle, asked))
    for row in found:
        for handle, asked in by_number.get(row.id.number, ()):
            status = replace(_status(row, arrays.get(row.id.number)), native_id=handle.native_id)
            if asked == row.id:
                if row.id.index != "" or status.state is JobState.QUEUED:
                    yield status
            elif asked.index == "" and row.id.index:
                yield replace(status, positions=range(int(row.id.index), int(row.id.index) + 1))
    for row in arrays.values():
        if _was_deleted(row):
            for handle, asked in by_number.get(row.id.number, ()):
                if asked.index == "":
                    yield from _never_begun(row, handle, found)


def _was_deleted(row: Row) -> bool:
    over = STATES.look_up(row.state).state is JobState.COMPLETED
    return over and row.fields.get("substate") == str(DELETED)


def _never_begun(array: Row, handle: JobHandle, found: Sequence[Row]) -> Iterator[JobStatus]:
    """Yield the elements of a deleted array that PBS does not list, as they had not begun."""
    listed = {
        int(row.id.index) for row in found if row.id.number == array.id.number and row.id.index
    }
    reason = array.fields.get("comment") or "deleted"
    for positions in contiguous(set(range(handle.size or 1)) - listed):
        yield JobStatus(
            native_id=handle.native_id,
            state=JobState.CANCELLED,
            positions=positions,
            reason=reason,
        )


def _status(row: Row, array: Row | None) -> JobStatus:
    native = STATES.look_up(row.state)
    comment = row.fields.get("comment", "")
    status = JobStatus(
        native_id="", state=native.state, reason="", host=_host(row.fields.get("exec_host", ""))
    )
    if native.state is JobState.QUEUED:
        above = array.fields.get("comment", "") if array is not None else ""
        reason = next((text for text in (comment, above) if NEVER_RUNS.search(text)), comment)
        if not reason and row.state == HELD:
            reason = f"held, Hold_Types = {row.fields.get('Hold_Types', '?')}"
        return replace(status, reason=reason, impossible=NEVER_RUNS.search(reason) is not None)
    if native.state is JobState.COMPLETED:
        return _ended(status, row.fields, comment)
    return status


def _ended(status: JobStatus, fields: Mapping[str, str], comment: str) -> JobStatus:
    """Add to a status how the job ended, which its state does not tell."""
    if fields.get("substate") == str(DELETED):
        # The exit status of an element that was deleted while it waited means nothing.
        return replace(status, state=JobState.CANCELLED, reason=comment or "deleted")
    status = replace(status, state=JobState.FAILED, reason=comment)
    text = fields.get("Exit_status", "")
    if not text.lstrip("-").isdigit():
        return replace(
            status,
            cause=FailureCause.SUBMIT,
            reason=comment or "never ran: it was deleted, or its dependency can no longer be met",
        )
    code = int(text)
    if code == 0:
        return replace(status, state=JobState.COMPLETED, reason="")
    if code < 0:
        return replace(status, cause=CAUSES.get(code, FailureCause.NODE))
    if code > SIGNALLED:
        return replace(status, cause=FailureCause.SIGNAL, signal=code - SIGNALLED)
    if code in _BARE_SHELL_SIGNALS:
        return replace(
            status,
            cause=FailureCause.SIGNAL,
            signal=code - 128,
            reason=f"or exit code {code}: PBS cannot tell which",
        )
    return replace(status, cause=FailureCause.EXIT_CODE, exit_code=code)


def _host(text: str) -> str:
    """Return the first host of `node01/4*2+node02/0`."""
    return re.split(r"[/+]", text, maxsplit=1)[0]


def attributes(text: str) -> dict[str, str]:
    """Parse the text that `qstat -f` prints for a server or a queue."""
    return dict(_TEXT.findall(_WRAPPED.sub("", text)))
