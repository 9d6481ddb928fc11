"""Records as rows of the tables, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any

from reflow.model.attempts import Attempt
from reflow.model.cleaning import Extent
from reflow.model.json import Json
from reflow.model.outcomes import Outcome
from reflow.model.records import (
    FailedInstance,
    Instance,
    LeaseRecord,
    RecordedResult,
    RequestKind,
    RequestRecord,
    RunRecord,
    StoredOutput,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
    TaskRecord,
)
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.stores.bulk import Cells
from reflow.stores.orm import Row
from reflow.stores.text import plain, plain_or_none, stored, stored_column, stored_or_none

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

TASK_STATES = {state.value: state for state in TaskState}
CAUSES: dict[str | None, FailureCause | None] = {cause.value: cause for cause in FailureCause}
CAUSES[None] = None


def moment(time: datetime) -> int:
    """Convert a time to whole microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def moment_or_none(time: datetime | None) -> int | None:
    """Apply `moment` to a time that may be absent."""
    return None if time is None else moment(time)


def time_of(moment: int | None) -> datetime | None:
    """Return the time that many microseconds after the epoch."""
    return None if moment is None else _EPOCH + moment * _MICROSECOND


def to_json(value: Json) -> str:
    """Write JSON as text of ASCII characters."""
    return json.dumps(value, separators=(",", ":"))


RUN_COLUMNS = (
    "run_id",
    "workflow",
    "state",
    "run_dir",
    "created_at",
    "finished_at",
    "executor",
    "parameters",
    "message",
    "uid",
    "lineage",
    "place",
    "tags",
    "cleaned_at",
    "extent",
    "cleaning",
)


def run_row(run: RunRecord) -> Row:
    """Convert to a row in the order of `RUN_COLUMNS`."""
    return (
        stored(run.run_id),
        stored(run.workflow),
        run.state.value,
        stored(str(run.run_dir)),
        moment(run.created_at),
        moment_or_none(run.finished_at),
        stored(run.executor),
        to_json(dict(run.parameters)),
        stored(run.message),
        run.uid,
        stored(run.lineage),
        stored(run.place),
        to_json(list(run.tags)),
        moment_or_none(run.cleaned_at),
        None if run.extent is None else run.extent.value,
        int(run.cleaning),
    )


def run_record(row: Row) -> RunRecord:
    """Convert from a row in the order of `RUN_COLUMNS`."""
    run_id, workflow, state, run_dir, created, finished, executor, parameters, *more = row
    message, uid, lineage, place, tags, cleaned, extent, cleaning = more
    return RunRecord(
        run_id=plain(run_id),
        workflow=plain(workflow),
        state=RunState(state),
        run_dir=Path(plain(run_dir)),
        created_at=_EPOCH + created * _MICROSECOND,
        finished_at=time_of(finished),
        executor=plain(executor),
        parameters=json.loads(parameters),
        message=plain(message),
        uid=uid,
        lineage=plain(lineage),
        place=plain(place),
        tags=tuple(json.loads(tags)),
        cleaned_at=time_of(cleaned),
        extent=None if extent is None else Extent(extent),
        cleaning=bool(cleaning),
    )


TASK_COLUMNS = ("name", "ordinal", "array", "size", "state")


def task_row(task: TaskRecord) -> Row:
    """Convert to a row in the order of `TASK_COLUMNS`."""
    state = None if task.state is None else task.state.value
    return stored(task.name), task.ordinal, int(task.array), task.size, state


def task_record(row: Row) -> TaskRecord:
    """Convert from a row in the order of `TASK_COLUMNS`."""
    name, ordinal, array, size, state = row
    return TaskRecord(
        name=plain(name),
        ordinal=ordinal,
        array=bool(array),
        size=size,
        state=None if state is None else TASK_STATES[state],
    )


INSTANCE_COLUMNS = (
    "state",
    "attempt",
    "retries_used",
    "node_losses",
    "wave",
    "position",
    "identity",
    "source",
    "cause",
    "error",
    "native_id",
    "mem_scale",
    "time_scale",
    "missing_since",
    "not_before",
)


_INSTANCE_VALUES = attrgetter(*INSTANCE_COLUMNS, "index")


def instance_cells(instances: Sequence[Instance], tasks: Sequence[int]) -> Cells:
    """Return the columns of `INSTANCE_COLUMNS`, the index, and the keys of the tasks."""
    columns = zip(*map(_INSTANCE_VALUES, instances), strict=True)
    cells: dict[str, Sequence[Any]] = dict(zip((*INSTANCE_COLUMNS, "idx"), columns, strict=True))
    for name in ("state", "cause"):
        cells[name] = _words(cells[name])
    for name in ("identity", "error", "native_id"):
        cells[name] = stored_column(cells[name])
    return {**cells, "task": tasks}


def instance_record(task: str, row: Row) -> Instance:
    """Convert from a row of the index and then the order of `INSTANCE_COLUMNS`."""
    return Instance(
        task=task,
        index=row[0],
        state=TASK_STATES[row[1]],
        attempt=row[2],
        retries_used=row[3],
        node_losses=row[4],
        wave=row[5],
        position=row[6],
        identity=plain_or_none(row[7]),
        source=row[8],
        cause=CAUSES[row[9]],
        error=plain(row[10]),
        native_id=plain(row[11]),
        mem_scale=row[12],
        time_scale=row[13],
        missing_since=row[14],
        not_before=row[15],
    )


OUTCOME_COLUMNS = tuple(
    field.name for field in fields(Outcome) if field.name not in ("task", "index", "attempt")
)
"""The columns that record an outcome; the other fields tell of which attempt it is."""

_OUTCOME_VALUES = attrgetter(*OUTCOME_COLUMNS, "index")


def outcome_cells(outcomes: Sequence[Outcome], tasks: Sequence[int], recorded_at: int) -> Cells:
    """Return the columns of `OUTCOME_COLUMNS`, the index, the tasks' keys, and derived columns."""
    columns = zip(*map(_OUTCOME_VALUES, outcomes), strict=True)
    cells: dict[str, Sequence[Any]] = dict(zip((*OUTCOME_COLUMNS, "idx"), columns, strict=True))
    success = [state is TaskState.SUCCESS for state in cells["state"]]
    for name, blank in (("cause", None), ("error", ""), ("traceback", "")):
        cells[name] = [
            blank if well else value for well, value in zip(success, cells[name], strict=True)
        ]
    cells["reusable"] = [
        int(may) if well and output is not None else 0
        for well, may, output in zip(success, cells["reusable"], cells["output"], strict=True)
    ]
    for name in ("state", "cause"):
        cells[name] = _words(cells[name])
    for name in _OUTCOME_TEXTS:
        cells[name] = stored_column(cells[name])
    same = len(outcomes)
    return {**cells, "recorded_at": [recorded_at] * same, "source": [None] * same, "task": tasks}


_OUTCOME_TEXTS = (
    "output",
    "paths",
    "bound_dir",
    "error",
    "traceback",
    "native_id",
    "host",
    "log",
)


ATTEMPT_COLUMNS = (
    "idx",
    "attempt",
    "state",
    "wave",
    "cause",
    "native_id",
    "mem_scale",
    "time_scale",
    "host",
    "log",
    "started_at",
    "ended_at",
    "peak_memory",
    "cpu_time",
    "error",
)
"""The columns of an attempt; the table of instances has all of them as well."""

_ATTEMPT_VALUES = attrgetter(
    *(
        name if name in ("wave", "mem_scale", "time_scale") else f"outcome.{name}"
        for name in ATTEMPT_COLUMNS
        if name != "idx"
    ),
    "outcome.index",
)


def attempt_cells(attempts: Sequence[Attempt], tasks: Sequence[int]) -> Cells:
    """Return the columns of `ATTEMPT_COLUMNS`, and the keys of the tasks."""
    columns = zip(*map(_ATTEMPT_VALUES, attempts), strict=True)
    names = (*(name for name in ATTEMPT_COLUMNS if name != "idx"), "idx")
    cells: dict[str, Sequence[Any]] = dict(zip(names, columns, strict=True))
    for name in ("state", "cause"):
        cells[name] = _words(cells[name])
    for name in ("error", "native_id", "host", "log"):
        cells[name] = stored_column(cells[name])
    return {**cells, "task": tasks}


def attempt_record(task: str, row: Row) -> Attempt:
    """Convert from a row in the order of `ATTEMPT_COLUMNS`."""
    index, attempt, state, wave, cause, native_id, mem_scale, time_scale, *more = row
    host, log, started_at, ended_at, peak_memory, cpu_time, error = more
    return Attempt(
        outcome=Outcome(
            task=task,
            index=index,
            attempt=attempt,
            state=TASK_STATES[state],
            cause=CAUSES[cause],
            error=plain(error),
            native_id=plain(native_id),
            host=plain(host),
            log=plain(log),
            started_at=started_at,
            ended_at=ended_at,
            peak_memory=peak_memory,
            cpu_time=cpu_time,
        ),
        wave=wave,
        mem_scale=mem_scale,
        time_scale=time_scale,
    )


def _words(members: Sequence[StrEnum | None]) -> list[str | None]:
    words: dict[StrEnum | None, str | None] = {
        member: member and member.value for member in set(members)
    }
    return [words[member] for member in members]


FAILURE_COLUMNS = ("idx", "cause", "error", "traceback", "log", "native_id", "attempt")


def failed_instance(task: str, array: bool, row: Row) -> FailedInstance:
    """Convert from a row in the order of `FAILURE_COLUMNS`."""
    index, cause, error, traceback, log, native_id, attempt = row
    return FailedInstance(
        task=task,
        index=index if array else None,
        cause=CAUSES[cause],
        error=plain(error),
        traceback=plain(traceback),
        log=plain(log),
        job_id=plain(native_id),
        attempt=attempt,
    )


STORED_OUTPUT_COLUMNS = ("id", "identity", "paths", "bound_dir", "task", "idx")


def stored_output(row: Row) -> StoredOutput:
    """Convert from a row in the order of `STORED_OUTPUT_COLUMNS`, and then the run."""
    key, identity, paths, bound_dir, task, index, run_id = row
    return StoredOutput(
        key=key,
        identity=plain(identity),
        paths=plain_or_none(paths),
        bound_dir=plain_or_none(bound_dir),
        run_id=plain(run_id),
        order=(task, index),
    )


RESULT_COLUMNS = (
    "id",
    "idx",
    "state",
    "identity",
    "reusable",
    "bound_dir",
    "paths",
    "host",
    "started_at",
    "ended_at",
)


def recorded_result(row: Row) -> RecordedResult:
    """Convert from a row in the order of `RESULT_COLUMNS`, and then task, run and user."""
    key, index, state, identity, reusable, bound_dir, paths, host, started, ended, *of = row
    task, run_id, uid = of
    return RecordedResult(
        key=key,
        run_id=plain(run_id),
        task=plain(task),
        index=index,
        state=TASK_STATES[state],
        identity=plain_or_none(identity),
        reusable=bool(reusable),
        bound_dir=plain_or_none(bound_dir),
        paths=plain_or_none(paths),
        host=plain(host),
        started_at=None if started is None else datetime.fromtimestamp(started, UTC),
        ended_at=None if ended is None else datetime.fromtimestamp(ended, UTC),
        uid=uid,
    )


LEASE_COLUMNS = ("epoch", "heartbeat", "wakeup", "owner")


def lease_record(row: Row) -> LeaseRecord:
    """Convert from a row in the order of `LEASE_COLUMNS`."""
    epoch, heartbeat, wakeup, owner = row
    return LeaseRecord(
        epoch=epoch,
        heartbeat=heartbeat,
        wakeup=bool(wakeup),
        owner=None if owner is None else json.loads(owner),
    )


SUBMISSION_COLUMNS = (
    "number",
    "kind",
    "token",
    "state",
    "task",
    "size",
    "follows",
    "submitted_at",
    "begins_at",
)


def submission_values(record: SubmissionRecord) -> dict[str, Any]:
    """Return the values by the names of `SUBMISSION_COLUMNS`."""
    return {
        "number": record.number,
        "kind": record.kind.value,
        "token": stored(record.token),
        "state": record.state.value,
        "task": stored_or_none(record.task),
        "size": record.size,
        "follows": record.follows,
        "submitted_at": moment_or_none(record.submitted_at),
        "begins_at": moment_or_none(record.begins_at),
    }


def submission_record(row: Row, native_ids: tuple[str, ...]) -> SubmissionRecord:
    """Convert from a row in the order of `SUBMISSION_COLUMNS`."""
    number, kind, token, state, task, size, follows, submitted, begins = row
    return SubmissionRecord(
        number=number,
        kind=SubmissionKind(kind),
        token=plain(token),
        state=SubmissionState(state),
        task=plain_or_none(task),
        size=size,
        follows=follows,
        submitted_at=time_of(submitted),
        begins_at=time_of(begins),
        native_ids=native_ids,
    )


def request_record(row: Row) -> RequestRecord:
    """Convert from a row of key, kind, task, uid and options."""
    key, kind, task, uid, options = row
    return RequestRecord(
        key=key,
        kind=RequestKind(kind),
        task=plain_or_none(task),
        uid=uid,
        options=json.loads(options),
    )
