"""Parsing of the output of qstat and qacct."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

from reflow.plugin_api import (
    FailureCause,
    JobHandle,
    JobState,
    JobStatus,
    contiguous,
    parse_indices,
    parse_memory,
)

from reflow_sge.states import (
    CAUSES,
    HELD,
    KILLED,
    OVER_LIMIT,
    RAN_AND_ENDED,
    RETURNED_ERROR,
    RUNS_AGAIN,
    STATES,
)

_RECORD = re.compile(r"^=+$", re.MULTILINE)
_FIELD = re.compile(r"^(\w+) +(.*?) *$", re.MULTILINE)
_LIMIT = re.compile(r"(?:^|[ ,])([hs]_\w+)=([^ ,]+)")
_USAGE = re.compile(r"(\d+(?:\.\d+)?)([KMGTP]?)B?")
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_TOLD_TO_END = (128 + 10, 128 + 15)
"""`exit_status` of a job that the warning has ended: by SIGUSR1, or by the worker's SIGTERM."""
_CLOCK_MARGIN = timedelta(hours=1)
"""The most by which the clocks of a submitting machine and of qmaster may differ."""
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A job, or elements of an array that share a state, in the queue."""

    job_id: str
    name: str
    indices: tuple[range, ...]
    """Empty for a plain job."""
    state: str
    host: str
    silent: bool
    """Whether its host has not reported for a long time (max_unheard)."""

    @property
    def size(self) -> int:
        """The number of its elements; 1 for a plain job."""
        return sum(map(len, self.indices)) or 1


def queue_rows(text: str) -> Iterator[Row]:
    """Parse the jobs in the answer of `qstat -xml`, with `-f` or without.

    Raises `ValueError` for a text that is no such answer.
    """
    try:
        root = ET.fromstring(text)  # noqa: S314 - the answer of the cluster's own command
    except ET.ParseError as error:
        raise ValueError(f"no XML: {error}") from error
    if root.tag != "job_info":
        raise ValueError(f"no list of jobs, but {root.tag}")
    for queue in root.iter("Queue-List"):
        for job in queue.iter("job_list"):
            yield _row(job, _text(queue, "name"), "u" in _text(queue, "state"))
    for part in root:
        for job in part.findall("job_list"):
            yield _row(job, _text(job, "queue_name"), silent=False)


def _row(job: Element, queue: str, silent: bool) -> Row:
    tasks = _text(job, "tasks")
    return Row(
        job_id=_text(job, "JB_job_number"),
        name=_text(job, "JB_name"),
        indices=tuple(parse_indices(tasks)) if tasks else (),
        state=_text(job, "state"),
        host=queue.partition("@")[2],
        silent=silent,
    )


def queue_statuses(row: Row, handles: Mapping[str, JobHandle]) -> Iterator[JobStatus]:
    """Yield the statuses of polled jobs in a line of the queue; `handles` are by id.

    An element is identified by the array's id and its index, or by both as one id: `24.3`.
    """
    native = STATES.look_up(row.state)
    status = JobStatus(native_id=row.job_id, state=native.state, host=row.host)
    if row.silent:
        # Such jobs are listed as running for as long as the host is down, and also for a moment
        # when qmaster has been restarted.
        status = replace(
            status,
            state=JobState.UNKNOWN,
            cause=FailureCause.NODE,
            reason=f"Grid Engine has not heard of {row.host} for long",
        )
    elif native.state is JobState.FAILED:
        status = replace(status, cause=FailureCause.SUBMIT, reason=row.state)
    elif row.state in HELD:
        status = replace(status, reason="held, or waiting for another job")
    if row.job_id in handles:
        yield from _at(status, row.indices)
    for run in row.indices:
        for index in run:
            if f"{row.job_id}.{index}" in handles:
                yield replace(status, native_id=f"{row.job_id}.{index}")


def _at(status: JobStatus, indices: Sequence[range]) -> Iterator[JobStatus]:
    if not indices:
        yield status
    for run in indices:
        for positions in contiguous(index - 1 for index in run):
            yield replace(status, positions=positions)


def accounting_records(text: str) -> Iterator[dict[str, str]]:
    """Yield the records that `qacct -j` prints, in the order in which they were written."""
    for record in _RECORD.split(text):
        fields = dict(_FIELD.findall(record))
        if "jobnumber" in fields:
            yield fields


def accounting_statuses(text: str, handles: Mapping[str, JobHandle]) -> Iterator[JobStatus]:
    """Yield how jobs ended, by `qacct -j`. Of several runs of one job, the last counts."""
    last: dict[tuple[str, str], dict[str, str]] = {}
    for record in accounting_records(text):
        last[record["jobnumber"], record["taskid"]] = record
    for (job_id, task), record in last.items():
        for native_id in (job_id, f"{job_id}.{task}"):
            handle = handles.get(native_id)
            if handle is None or _is_anothers(record, handle) or _code(record) in RUNS_AGAIN:
                continue
            status = replace(_ended(record), native_id=native_id)
            whole = native_id != job_id or not task.isdigit()
            index = 0 if whole else int(task)
            yield status if whole else replace(status, positions=range(index - 1, index))


def accounting_pattern(handles: Sequence[JobHandle]) -> str:
    """Choose the argument of `qacct -j`: one id, or a pattern for the names of several jobs."""
    ids = {handle.native_id.partition(".")[0] for handle in handles}
    return ids.pop() if len(ids) == 1 else f"*{_shared([handle.token for handle in handles])}*"


def _shared(tokens: Sequence[str]) -> str:
    """Find the longest text that is in all tokens, which identifies the jobs of one run."""
    shortest = min(tokens, key=len)
    spans = ((start, end) for start in range(len(shortest)) for end in range(start + 1, 61))
    parts = {shortest[start:end] for start, end in spans}
    common = (part for part in parts if all(part in token for token in tokens))
    return max(common, key=len, default="")


def _ended(record: Mapping[str, str]) -> JobStatus:
    failed, exit_status = _code(record), int(record["exit_status"].split()[0])
    host = "" if record.get("hostname") == "UNKNOWN" else record.get("hostname", "")
    status = JobStatus(native_id="", state=JobState.FAILED, host=host)
    if record.get("deleted_by", "NONE") not in ("NONE", "", "undefined") and failed == KILLED:
        return replace(
            status, state=JobState.CANCELLED, reason=f"deleted by {record['deleted_by']}"
        )
    if failed in (RAN_AND_ENDED, RETURNED_ERROR):
        if exit_status == 0:
            return replace(status, state=JobState.COMPLETED)
        cause = FailureCause.WALLTIME if _warned(record) else FailureCause.EXIT_CODE
        return replace(status, cause=cause, exit_code=exit_status)
    failed_text = " ".join(record["failed"].split())
    limit = _limit_reached(record, enforced=failed == OVER_LIMIT)
    if failed in (KILLED, OVER_LIMIT):
        if limit is None and exit_status in _TOLD_TO_END and _warned(record):
            limit = FailureCause.WALLTIME
        return replace(
            status,
            cause=limit or FailureCause.SIGNAL,
            signal=exit_status - 128 if exit_status > 128 else None,
            reason=f"failed {failed_text}"
            if limit
            else "qdel looks the same" * (exit_status == 137),
        )
    return replace(status, cause=CAUSES.get(failed), reason=f"failed {failed_text}")


def _limit_reached(record: Mapping[str, str], enforced: bool) -> FailureCause | None:
    """Find the limit that a job was killed for; qacct shows the request in `category`."""
    limits = dict(_LIMIT.findall(record.get("category", "")))
    memory = limits.get("h_vmem")
    if memory is not None and _bytes(record.get("maxvmem", "")) >= _requested(memory) * int(
        record.get("slots", "1")
    ):
        return FailureCause.MEMORY
    cpu_time = limits.get("h_cpu", "")
    if cpu_time.isdigit() and _seconds(record.get("cpu", "")) >= int(cpu_time):
        return FailureCause.WALLTIME
    return FailureCause.WALLTIME if enforced else None


def _warned(record: Mapping[str, str]) -> bool:
    """Tell whether a job ran long enough to be warned of its time limit (`s_rt`)."""
    warned_at = dict(_LIMIT.findall(record.get("category", ""))).get("s_rt", "")
    return warned_at.isdigit() and _seconds(record.get("ru_wallclock", "")) >= int(warned_at)


def _is_anothers(record: Mapping[str, str], handle: JobHandle) -> bool:
    """Tell whether a record is of an older job: the ids start again after 9,999,999."""
    submitted = _moment(record.get("qsub_time", ""))
    if submitted is None or handle.submitted_at is None:
        return False
    return submitted.astimezone() < handle.submitted_at - _CLOCK_MARGIN


def _moment(text: str) -> datetime | None:
    """Parse `Sun Nov 22 06:20:20 2026` or `11/22/2026 06:20:20.123`, in the local time zone."""
    if found := re.match(r"\w+ (?P<month>\w+) +(?P<day>\d+) (?P<time>[\d:]+) (?P<year>\d+)", text):
        # The names of months are English whatever this process's locale is.
        month = _MONTHS.index(found["month"]) + 1 if found["month"] in _MONTHS else 0
        text = f"{month:02}/{found['day']}/{found['year']} {found['time']}"
    try:
        return datetime.strptime(text[:19].strip(), "%m/%d/%Y %H:%M:%S")
    except ValueError:
        return None


def _code(record: Mapping[str, str]) -> int:
    return int(record["failed"].split()[0])


def _requested(memory: str) -> int:
    """Parse a request such as `300M`; that `m` counts in thousands does not matter here."""
    try:
        return parse_memory(memory)
    except ValueError:
        return 1 << 62


def _bytes(usage: str) -> int:
    found = _USAGE.match(usage)
    return int(float(found[1]) * 1024 ** _UNITS[found[2]]) if found else 0


def _seconds(usage: str) -> float:
    found = re.match(r"\d+(?:\.\d+)?", usage)
    return float(found[0]) if found else 0.0


def _text(element: Element, tag: str) -> str:
    found = element.find(tag)
    return (found.text or "").strip() if found is not None else ""
