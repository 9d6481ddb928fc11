"""Parsing of the output of squeue and sacct."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from reflow.plugin_api import FailureCause, JobState, JobStatus, contiguous, parse_indices

from reflow_slurm.states import IMPOSSIBLE, MEMORY_SIGNAL, OUTPUT_SIGNAL, STATES

QUEUE_FIELDS = "JobID:|,ArrayJobID:|,ArrayTaskID:|,State:|,exit_code:|,BatchHost:|,Reason:|"
"""For `squeue --Format`: each field as wide as needed, followed by a bar."""
ACCOUNTING_FIELDS = "JobIDRaw,JobID,State,ExitCode,NodeList,Reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of squeue or sacct."""

    raw_id: str
    """The job's own id; an element has one of its own once it has started."""
    array_id: str
    """The array's id, or the job's."""
    indices: tuple[range, ...] | None
    """None where the line names no index: for a plain job, or an array as a whole."""
    state: str
    code: int
    signal: int
    host: str
    reason: str
    exact: bool
    """Whether the exit code is reliable; sacct subtracts 128 from codes above it."""


def queue_rows(text: str) -> Iterator[Row]:
    """Yield the lines of `squeue --noheader --Format=QUEUE_FIELDS`.

    Lines that are not of that form are left out: with `--clusters` each cluster has a heading.
    """
    for line in text.splitlines():
        fields = line.strip().removesuffix("|").split("|", 6)
        if len(fields) < 7 or not fields[0].isdigit():
            continue
        raw_id, array_id, index, state, exit_code, host, reason = map(str.strip, fields)
        code, signal = _wait_status(exit_code)
        yield Row(
            raw_id=raw_id,
            array_id=array_id,
            indices=None if index == "N/A" else tuple(parse_indices(index)),
            state=state,
            code=code,
            signal=signal,
            host=_named(host),
            reason=_named(reason),
            exact=True,
        )


def accounting_rows(text: str) -> Iterator[Row]:
    """Read the lines of `sacct --allocations --noheader --parsable2 --format=ACCOUNTING_FIELDS`."""
    for line in text.splitlines():
        fields = line.split("|", 5)
        if len(fields) < 6:
            continue
        raw_id, job_id, state, exit_code, host, reason = fields
        array_id, _, index = job_id.partition("_")
        code, _, signal = exit_code.partition(":")
        yield Row(
            raw_id=raw_id,
            array_id=array_id,
            indices=tuple(parse_indices(index)) if index else None,
            # "CANCELLED by 1000" names the user who did it.
            state=state.partition(" ")[0],
            code=int(code),
            signal=int(signal or 0),
            host=_named(host),
            reason=_named(reason),
            exact=False,
        )


def statuses(row: Row, wanted: Collection[str], killed: Collection[str]) -> Iterator[JobStatus]:
    """Yield the statuses of polled jobs in a line.

    An element is identified by the array's id and its index, or by both as one id: `24_3`. Its
    own id is not used, as the last element to start has the array's. `killed` holds the ids of
    jobs that were killed for their memory according to their logs.
    """
    status = _status(row, killed)
    if row.array_id in wanted:
        if row.indices is None:
            yield status
        for run in row.indices or ():
            for positions in contiguous(run):
                yield replace(status, positions=positions)
    for run in row.indices or ():
        for index in run:
            if f"{row.array_id}_{index}" in wanted:
                yield replace(status, native_id=f"{row.array_id}_{index}")


def _status(row: Row, killed: Collection[str]) -> JobStatus:
    native = STATES.look_up(row.state)
    status = JobStatus(native_id=row.array_id, state=native.state, reason=row.reason, host=row.host)
    if native.state is JobState.QUEUED:
        return replace(status, impossible=IMPOSSIBLE.match(row.reason) is not None)
    if native.state is JobState.CANCELLED:
        return replace(status, reason=_because(native.name, row.reason))
    if native.state is JobState.FAILED:
        return replace(
            status,
            cause=native.cause or _cause(row, killed),
            exit_code=row.code or None,
            signal=row.signal if 0 < row.signal < OUTPUT_SIGNAL else None,
            reason=_because(native.name, _detail(row)),
        )
    return status


def _cause(row: Row, killed: Collection[str]) -> FailureCause | None:
    """Find why a job is FAILED, which by itself tells only that its exit code is not 0."""
    if row.signal == MEMORY_SIGNAL or row.raw_id in killed:
        return FailureCause.MEMORY
    if row.signal == OUTPUT_SIGNAL:
        return FailureCause.SUBMIT
    if row.signal:
        return FailureCause.SIGNAL
    # After an outage, accounting has shown FAILED with 0:0 and corrected that later.
    return FailureCause.EXIT_CODE if row.code else None


def _detail(row: Row) -> str:
    if row.signal == OUTPUT_SIGNAL:
        return "its output file could not be opened on the node: is the run directory there?"
    if row.code and not row.exact:
        return f"exit code {row.code} or {row.code + 128}, sacct does not tell which"
    return row.reason


def _because(state: str, reason: str) -> str:
    return f"{state}: {reason}" if reason else state


def _wait_status(text: str) -> tuple[int, int]:
    """Split squeue's exit code, the status of wait(2), into exit code and signal."""
    if ":" in text:
        parts = text.split(":")
        return int(parts[0]), int(parts[1])
    status = int(text)
    signal = status & 0x7F
    return (0, signal) if signal else (status >> 8, 0)


def _named(text: str) -> str:
    """Return a name, or an empty text where Slurm writes that there is none."""
    return "" if text in ("None", "None assigned", "N/A", "n/a", "(null)", "Unknown") else text
