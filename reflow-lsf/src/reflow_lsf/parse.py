"""Parsing of the output of bjobs and bhist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from reflow.plugin_api import CommandResult

from reflow_lsf.errors import NO_EVENTS, NOT_FOUND
from reflow_lsf.rows import Row
from reflow_lsf.states import HOST_LOST

JSON_FIELDS = (
    "jobid jobindex job_name stat exit_code exit_reason pend_reason exec_host min_req_proc "
    "combined_resreq"
)
"""For `bjobs -json -o`; all of LSF 10.1."""

_WRAP = re.compile(r"\n {21}")
"""Lines are broken after 79 columns, inside words too, and go on after 21 blanks. A blank at the
end of a line is lost: hence `Status ?<`, and the like."""
_RECORD = re.compile(r"^Job (?:Id )?<(?P<id>\d+)(?:\[(?P<index>\d+)\])?>", re.MULTILINE)
_STATE = re.compile(r"Status ?<(\w+)>")
_EVENT = re.compile(r"^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d(?: \d{4})?: *(.*)$", re.MULTILINE)
_STARTED = re.compile(r"(?:\[\d+\] )?[Ss]tarted [^<]*<(?:\d+\*)?([^>]+)>|Dispatched[^<]*<([^>]+)>")
_AGAIN = re.compile(r"Pending|.*requeued", re.IGNORECASE)
"""In bhist: an end recorded before this is that of an earlier run."""
_EXITED = re.compile(r"Exited(?: with exit code (?P<code>\d+)| by signal (?P<signal>\d+))?")
_TERMINATED = re.compile(r"(?:Completed <exit>; |.*?; )?(TERM_\w+: [^.;]*)")
_ACTION = re.compile(r"((?:RUN|CPU|MEM|PROCESS)LIMIT|DEADLINE) termination action")
"""In OpenLava's bhist, where a queue has an action of its own for a limit."""
_PENDING = re.compile(r"PENDING REASONS:\n((?:[^\n]+\n)+)")
"""One line for each reason, with the number of hosts that give it."""
_KILLED_BY = re.compile(r"Signal <KILL> requested by user or administrator ?<([^>]*)>")
_NAME = re.compile(r"^Job[^>]*>, Job Name <([^>\[]*)")
_SLOTS = re.compile(r", (\d+)(?:-\d+)? ?(?:Processors ?Requested|Task\(s\))")
_REQUIREMENTS = re.compile(r"Requested ?Resources ?<(.*?)>(?=[,;])")
_MEMORY_LIMIT = re.compile(r"^ (?:MEM|SWAP)LIMIT", re.MULTILINE)


# -- whether there was an answer -----------------------------------------------------------
def answered(result: CommandResult) -> bool:
    """Tell whether a command succeeded, or failed only because of jobs that it does not know.

    The exit code of bjobs is then the site's choice (LSB_BJOBS_CONSISTENT_EXIT_CODE).
    """
    if result.exit_code == 0 or is_json(result) or without_events(result):
        return True
    return _only(NOT_FOUND, result.stderr.strip() or result.stdout.strip())


def _only(pattern: re.Pattern[str], message: str) -> bool:
    lines = message.splitlines()
    return bool(lines) and all(pattern.search(line) for line in lines)


def is_json(result: CommandResult) -> bool:
    """Tell whether bjobs answered in valid JSON, as requested."""
    if "-json" not in result.argv:
        return False
    try:
        return isinstance(_read(result.stdout), dict)
    except ValueError:
        return False


def without_events(result: CommandResult) -> bool:
    """Tell whether bhist cannot read the event log here: on many clusters only the master can."""
    return result.exit_code != 0 and NO_EVENTS.search(result.message) is not None


# -- long text -----------------------------------------------------------------------------
def long_rows(text: str) -> Iterator[Row]:
    """Yield the records of `bjobs -l`."""
    for record in _records(text):
        state = _STATE.search(record)
        if state is None:
            raise ValueError(f"a record without a state: {record[:60]!r}")
        yield _row(record, state[1])


def ended_rows(text: str) -> Iterator[Row]:
    """Yield the records of `bhist -l` that tell of an end: of several, the last one."""
    for record in _records(text):
        state = ""
        for event in _EVENT.findall(record):
            if event.startswith("Done successfully"):
                state = "DONE"
            elif HOST_LOST.search(event):
                state = "ZOMBI"
            elif _STARTED.match(event) or _AGAIN.match(event):
                state = ""
            elif _EXITED.match(event):
                state = "EXIT"
        if state:
            yield _row(record, state)


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
        elif found := _ACTION.match(event):
            reason = f"TERM_{found[1]}: {event}"
    pending = _PENDING.search(record)
    slots = _SLOTS.search(record)
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
        name=_first(_NAME, record),
        slots=int(slots[1]) if slots else 1,
        requirements=_first(_REQUIREMENTS, record),
    )


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _joined(reasons: str) -> str:
    """Join reasons, which end in semicolons, in one line."""
    parts = (part.strip() for part in reasons.replace("\n", ";").split(";"))
    return "; ".join(part for part in parts if part)


# -- JSON ----------------------------------------------------------------------------------
def json_rows(text: str) -> Iterator[Row]:
    """Yield the records of `bjobs -json -o JSON_FIELDS`; those of unknown jobs hold an error."""
    try:
        for record in _read(text)["RECORDS"]:
            if "ERROR" not in record:
                yield _row_in_json(record)
    except KeyError as error:
        raise ValueError(f"JSON without {error}") from error


def _read(text: str) -> Any:
    """Parse JSON whose names may hold control characters."""
    return json.loads(text, strict=False)


def _row_in_json(record: dict[str, Any]) -> Row:
    job_id, _, index = record["JOBID"].rstrip("]").partition("[")
    reason = _named(record.get("EXIT_REASON", "")) or _named(record.get("PEND_REASON", ""))
    return Row(
        job_id=job_id,
        index=int(index or record.get("JOBINDEX") or 0),
        state=record["STAT"],
        code=_number(record.get("EXIT_CODE", "")),
        host=record.get("EXEC_HOST", "").partition(":")[0].rpartition("*")[2].strip("-"),
        reason=_joined(reason),
        name=_named(record.get("JOB_NAME", "")).partition("[")[0],
        slots=_number(record.get("MIN_REQ_PROC", "")) or 1,
        requirements=_named(record.get("COMBINED_RESREQ", "")),
    )


def _named(text: str) -> str:
    return "" if text in ("-", "unknown") else text


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


# -- tables --------------------------------------------------------------------------------
def jobs_listed(text: str) -> int:
    """Count the lines of `bjobs -w`: one for each job and each element."""
    return len(re.findall(r"^\d+\s", text, re.MULTILINE))


def found_ids(text: str) -> list[str]:
    """List the ids in the tables of `bjobs -w` and `bhist`, each array once."""
    lines = re.findall(r"^(\d+)(?:\[\d+\])?\s", text, re.MULTILINE)
    return list(dict.fromkeys(lines))
