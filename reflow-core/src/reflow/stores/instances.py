"""Queries on instances and their outputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from reflow.errors import NotFoundError
from reflow.model.attempts import Attempt
from reflow.model.durations import Durations
from reflow.model.records import FailedInstance, Instance, RecordedResult, TaskRecord
from reflow.model.states import TaskState
from reflow.stores import runs
from reflow.stores.database import Session
from reflow.stores.models import Attempt as Earlier
from reflow.stores.models import Instance as Table
from reflow.stores.models import Run, Task
from reflow.stores.orm import LEFT, Query, Row, fn, literal
from reflow.stores.rows import (
    ATTEMPT_COLUMNS,
    FAILURE_COLUMNS,
    INSTANCE_COLUMNS,
    RESULT_COLUMNS,
    TASK_STATES,
    attempt_record,
    failed_instance,
    instance_record,
    recorded_result,
)
from reflow.stores.text import plain

_RUNS, _ELEMENTS = 5, 1000
"""From how many runs and elements durations are told, at most."""
_INSTANCE = [getattr(Table, column) for column in ("idx", *INSTANCE_COLUMNS)]
_FAILURE = [getattr(Table, column) for column in FAILURE_COLUMNS]


def counts(session: Session, run_id: str) -> dict[str, dict[TaskState, int]]:
    """Count each task's instances by state."""
    there = runs.tasks(session, run_id)
    found: dict[int, dict[TaskState, int]] = {key: {} for key, _ in there}
    query = (
        Table.select(Table.task, Table.state, fn.COUNT(Table.idx))
        .where(Table.task.in_(list(found)))
        .group_by(Table.task, Table.state)
    )
    for key, state, number in session.rows(query):
        found[key][TASK_STATES[state]] = number
    return {task.name: found[key] for key, task in there}


def reasons(session: Session, run_id: str) -> dict[str, dict[str, int]]:
    """Count each task's SUBMITTED instances by the reason they wait for (their `error`)."""
    there = dict(runs.tasks(session, run_id))
    found: dict[str, dict[str, int]] = {}
    query = (
        Table.select(Table.task, Table.error, fn.COUNT(Table.idx))
        .where(Table.task.in_(list(there)) & (Table.state == "SUBMITTED") & (Table.error != ""))
        .group_by(Table.task, Table.error)
    )
    for key, reason, number in session.rows(query):
        found.setdefault(there[key].name, {})[reason] = number
    return found


def cached(session: Session, run_id: str) -> dict[str, int]:
    """Count each task's instances with a result of an earlier run; absent where none."""
    there = dict(runs.tasks(session, run_id))
    query = (
        Table.select(Table.task, fn.COUNT(Table.idx))
        .where(Table.task.in_(list(there)) & Table.source.is_null(False))
        .group_by(Table.task)
    )
    return {there[key].name: number for key, number in session.rows(query)}


def origins(session: Session, run_id: str) -> dict[str, dict[str, int]]:
    """Count each task's results of earlier runs by the id of the run, the largest first."""
    there = dict(runs.tasks(session, run_id))
    source, number = Table.alias(), fn.COUNT(Table.idx)
    query = (
        Table.select(Table.task, Run.run_id, number)
        .join(source, on=(source.id == Table.source))
        .join(Task, on=(Task.id == source.task))
        .join(Run, on=(Run.id == Task.run))
        .where(Table.task.in_(list(there)))
        .group_by(Table.task, Run.run_id)
        .order_by(number.desc(), Run.run_id)
    )
    found: dict[str, dict[str, int]] = {}
    for key, origin, elements in session.rows(query):
        found.setdefault(there[key].name, {})[plain(origin)] = elements
    return found


def retried(session: Session, run_id: str) -> dict[str, int]:
    """Count the attempts of each task's instances after the first; absent where none."""
    there = dict(runs.tasks(session, run_id))
    query = (
        Table.select(Table.task, fn.SUM(Table.attempt - 1))
        .where(Table.task.in_(list(there)) & (Table.attempt > 1))
        .group_by(Table.task)
    )
    return {there[key].name: int(number) for key, number in session.rows(query)}


def failures(
    session: Session, run_id: str, task: str | None, limit: int | None
) -> list[FailedInstance]:
    """Return FAILED instances in order of task and index."""
    found: list[FailedInstance] = []
    for key, record in chosen(session, run_id, task):
        query = Table.select(*_FAILURE).where((Table.task == key) & (Table.state == "FAILED"))
        query = query.order_by(Table.idx)
        if limit is not None:
            query = query.limit(limit - len(found))
        found += [failed_instance(record.name, record.array, row) for row in session.rows(query)]
    return found


def newest_failures(
    session: Session, run_id: str, task: str | None, limit: int
) -> list[FailedInstance]:
    """Return FAILED instances, those recorded last first, without their tracebacks."""
    there = dict(chosen(session, run_id, task))
    cells = [literal("") if cell is Table.traceback else cell for cell in _FAILURE]
    query = (
        Table.select(Table.task, *cells)
        .where(Table.task.in_(list(there)) & (Table.state == "FAILED"))
        .order_by(fn.COALESCE(Table.recorded_at, 0).desc(), Table.task.desc(), Table.idx.desc())
        .limit(limit)
    )
    return [
        failed_instance(there[key].name, there[key].array, tuple(row))
        for key, *row in session.rows(query)
    ]


def running(session: Session, run_id: str, task: str | None, limit: int) -> list[Instance]:
    """Return RUNNING instances in order of task and index."""
    there = dict(chosen(session, run_id, task))
    query = (
        Table.select(Table.task, *_INSTANCE)
        .where(Table.task.in_(list(there)) & (Table.state == "RUNNING"))
        .order_by(Table.task, Table.idx)
        .limit(limit)
    )
    return [instance_record(there[key].name, tuple(row)) for key, *row in session.rows(query)]


def finished_since(session: Session, run_id: str, since: float) -> dict[str, tuple[int, float]]:
    """Count each task's instances that ended lately, and tell when the first of them began."""
    there = dict(runs.tasks(session, run_id))
    query = (
        Table.select(Table.task, fn.COUNT(Table.idx), fn.MIN(Table.started_at))
        .where(
            Table.task.in_(list(there))
            & Table.state.in_(["SUCCESS", "FAILED"])
            & Table.started_at.is_null(False)
            & (Table.ended_at >= since)
        )
        .group_by(Table.task)
    )
    return {there[key].name: (number, begun) for key, number, begun in session.rows(query)}


def instances(
    session: Session, run_id: str, task: str | None, states: Iterable[TaskState] | None
) -> list[Instance]:
    """Return instances in order of task and index."""
    wanted = None if states is None else [state.value for state in states]
    found: list[Instance] = []
    for key, record in chosen(session, run_id, task):
        query = Table.select(*_INSTANCE).where(Table.task == key).order_by(Table.idx)
        if wanted is not None:
            query = query.where(Table.state.in_(wanted))
        found += [instance_record(record.name, row) for row in session.rows(query)]
    return found


def instance(session: Session, task: int, name: str, index: int) -> Instance | None:
    """Return an instance of a task by its key and name; None where there is none of that index."""
    query = Table.select(*_INSTANCE).where((Table.task == task) & (Table.idx == index))
    row = session.first(query)
    return None if row is None else instance_record(name, row)


def result_of(session: Session, key: int) -> RecordedResult | None:
    """Return how the result of a key came about; None where there is none."""
    row = session.first(_results().where(Table.id == key))
    return None if row is None else recorded_result(row)


def result_at(session: Session, task: int, index: int) -> RecordedResult | None:
    """Return what is recorded of an element of a task, by the task's key; None where there is none.

    Of one that took over a result: what is recorded of the element itself.
    """
    row = session.first(_results().where((Table.task == task) & (Table.idx == index)))
    return None if row is None else recorded_result(row)


def _results() -> Query:
    columns = [getattr(Table, column) for column in RESULT_COLUMNS]
    return (
        Table.select(*columns, Task.name, Run.run_id, Run.uid)
        .join(Task, on=(Task.id == Table.task))
        .join(Run, on=(Run.id == Task.run))
    )


def sources(session: Session, task: int) -> dict[str, int]:
    """Count the elements of a task by the run whose result they took over, most of them first."""
    source, number = Table.alias(), fn.COUNT(Table.idx)
    query = (
        Table.select(Run.run_id, number)
        .join(source, on=(source.id == Table.source))
        .join(Task, on=(Task.id == source.task))
        .join(Run, on=(Run.id == Task.run))
        .where(Table.task == task)
        .group_by(Run.run_id)
        .order_by(number.desc(), Run.run_id)
    )
    return {plain(run_id): counted for run_id, counted in session.rows(query)}


def chosen(session: Session, run_id: str, task: str | None) -> list[tuple[int, TaskRecord]]:
    """Return the tasks of a run, or the one of that name, with the keys of their rows."""
    if task is None:
        return runs.tasks(session, run_id)
    return [runs.task(session, run_id, task)]


def outputs(session: Session, task: int, after: int, size: int) -> list[Row]:
    """Return index, output and paths of at most `size` SUCCESS instances behind index `after`.

    In index order; output and paths are the instance's own, or those that it took over.
    """
    source = Table.alias()
    return list(
        session.rows(
            Table.select(
                Table.idx,
                fn.COALESCE(Table.output, source.output),
                fn.COALESCE(Table.paths, source.paths),
            )
            .join(source, LEFT, on=(source.id == Table.source))
            .where((Table.task == task) & (Table.idx > after) & (Table.state == "SUCCESS"))
            .order_by(Table.idx)
            .limit(size)
        )
    )


def durations(session: Session, workflow: str, task: str) -> Durations | None:
    """Return how long elements of a task took in its newest runs; None where none is known."""
    newest = (
        Task.select(Task.id)
        .join(Run, on=(Run.id == Task.run))
        .where((Run.workflow == workflow) & (Task.name == task))
        .order_by(Task.id.desc())
        .limit(_RUNS)
    )
    query = Table.select(Table.started_at, Table.ended_at).where(
        Table.task.in_([row[0] for row in session.rows(newest)])
        & (Table.state == "SUCCESS")
        & Table.started_at.is_null(False)
        & Table.ended_at.is_null(False)
    )
    seconds = [max(0.0, end - start) for start, end in session.rows(query.limit(_ELEMENTS))]
    return Durations(sum(seconds) / len(seconds), max(seconds)) if seconds else None


def log_of(session: Session, task: int, index: int) -> str | None:
    """Return the log of an instance's last attempt, relative to the run directory."""
    query = Table.select(Table.log).where((Table.task == task) & (Table.idx == index))
    row = session.first(query)
    return plain(row[0]) if row and row[0] else None


def output_keys(session: Session, task: int) -> list[int]:
    """Return the output keys of SUCCESS instances, computed or taken over, ascending."""
    key = fn.COALESCE(Table.source, Table.id)
    query = Table.select(key).where((Table.task == task) & (Table.state == "SUCCESS"))
    return [row[0] for row in session.rows(query.order_by(key))]


def output(session: Session, key: int) -> str:
    """Return the stored output of a key. Raises `NotFoundError` when there is none."""
    row = session.first(Table.select(Table.output).where(Table.id == key))
    if row is None or row[0] is None:
        raise NotFoundError(f"The store holds no output with key {key}")
    return plain(row[0])


class AttemptPage(NamedTuple):
    """The tries of neighbouring instances of a task."""

    attempts: list[Attempt]
    until: int
    """The last index that was looked at."""
    is_last: bool


def attempts(session: Session, task: int, name: str, after: int, size: int) -> AttemptPage:
    """Return the tries of at most `size` instances of a task behind index `after`.

    A success stands in the row of its instance, every other try in a row of its own.
    """
    indexes = Table.select(Table.idx).where((Table.task == task) & (Table.idx > after))
    found = [row[0] for row in session.rows(indexes.order_by(Table.idx).limit(size))]
    if not found:
        return AttemptPage([], after, True)
    rows: list[Row] = []
    for table in (Earlier, Table):
        query = table.select(*(getattr(table, column) for column in ATTEMPT_COLUMNS))
        query = query.where((table.task == task) & table.idx.between(found[0], found[-1]))
        if table is Table:
            computed = Table.source.is_null() & (Table.attempt > 0)
            query = query.where((Table.state == "SUCCESS") & computed)
        rows += session.rows(query)
    rows.sort(key=lambda row: row[:2])
    return AttemptPage([attempt_record(name, row) for row in rows], found[-1], len(found) < size)
