"""Queries on instances and their outputs."""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import TypeVar

from reflow.errors import NotFoundError
from reflow.model.records import FailedInstance, Instance, StoredOutput, TaskRecord
from reflow.model.states import TaskState
from reflow.stores import runs
from reflow.stores.database import Session
from reflow.stores.models import Instance as Table
from reflow.stores.models import Run, Task
from reflow.stores.orm import LEFT, Row, fn
from reflow.stores.rows import (
    FAILURE_COLUMNS,
    INSTANCE_COLUMNS,
    TASK_STATES,
    failed_instance,
    instance_record,
    stored_output,
)
from reflow.stores.text import plain, stored_column

T = TypeVar("T")

_INSTANCE = [getattr(Table, column) for column in ("idx", *INSTANCE_COLUMNS)]
_FAILURE = [getattr(Table, column) for column in FAILURE_COLUMNS]

_LOOKUP = 5_000
"""Rows looked up by one statement, where it takes as many parameters."""


def counts(session: Session, run_id: str) -> dict[str, dict[TaskState, int]]:
    """By task, how many instances are in each state."""
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
    """By task, why instances wait with the scheduler, and how many do."""
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
    """By task, how many instances took their result from an earlier run; absent where none."""
    there = dict(runs.tasks(session, run_id))
    query = (
        Table.select(Table.task, fn.COUNT(Table.idx))
        .where(Table.task.in_(list(there)) & Table.source.is_null(False))
        .group_by(Table.task)
    )
    return {there[key].name: number for key, number in session.rows(query)}


def failures(
    session: Session, run_id: str, task: str | None, limit: int | None
) -> list[FailedInstance]:
    """FAILED instances in order of task and index."""
    found: list[FailedInstance] = []
    for key, record in _chosen(session, run_id, task):
        query = Table.select(*_FAILURE).where((Table.task == key) & (Table.state == "FAILED"))
        query = query.order_by(Table.idx)
        if limit is not None:
            query = query.limit(limit - len(found))
        found += [failed_instance(record.name, record.array, row) for row in session.rows(query)]
    return found


def instances(
    session: Session, run_id: str, task: str | None, states: Iterable[TaskState] | None
) -> list[Instance]:
    """Instances in order of task and index."""
    wanted = None if states is None else [state.value for state in states]
    found: list[Instance] = []
    for key, record in _chosen(session, run_id, task):
        query = Table.select(*_INSTANCE).where(Table.task == key).order_by(Table.idx)
        if wanted is not None:
            query = query.where(Table.state.in_(wanted))
        found += [instance_record(record.name, row) for row in session.rows(query)]
    return found


def _chosen(session: Session, run_id: str, task: str | None) -> list[tuple[int, TaskRecord]]:
    if task is None:
        return runs.tasks(session, run_id)
    return [runs.task(session, run_id, task)]


def outputs(session: Session, task: int, after: int, size: int) -> list[Row]:
    """Index, output and paths of the SUCCESS instances behind an index, in index order.

    Output and paths are the instance's own, or else those it took over.
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


def log_of(session: Session, task: int, index: int) -> str | None:
    """The recorded log of an instance."""
    query = Table.select(Table.log).where((Table.task == task) & (Table.idx == index))
    row = session.first(query)
    return plain(row[0]) if row and row[0] else None


def reusable(session: Session, identities: Sequence[str]) -> dict[str, list[StoredOutput]]:
    """Reusable results by identity, newest first."""
    names = dict(zip(stored_column(identities), identities, strict=True))
    rows: list[Row] = []
    for chunk in _lookups(session, names):
        rows += session.sql(
            'SELECT "id", "identity", "paths", "bound_dir", "task", "recorded_at" '
            'FROM "reflow_instance" WHERE "reusable" = 1 '
            f'AND "identity" IN ({", ".join("?" * len(chunk))})',
            tuple(chunk),
        )
    # Sorted here, where there are seldom two of one identity.
    rows.sort(key=itemgetter(5, 0), reverse=True)
    run_ids = _run_ids(session, {row[4] for row in rows})
    found: dict[str, list[StoredOutput]] = {}
    for key, identity, paths, bound_dir, task, _ in rows:
        output = stored_output(key, names[identity], paths, bound_dir, run_ids[task])
        found.setdefault(output.identity, []).append(output)
    return found


def _run_ids(session: Session, tasks: Iterable[int]) -> dict[int, str]:
    found: dict[int, str] = {}
    for chunk in _lookups(session, tasks):
        query = Task.select(Task.id, Run.run_id).join(Run, on=(Run.id == Task.run))
        rows = session.rows(query.where(Task.id.in_(chunk)))
        found.update((task, plain(run_id)) for task, run_id in rows)
    return found


def _lookups(session: Session, wanted: Iterable[T]) -> Iterator[list[T]]:
    waiting = iter(wanted)
    while chunk := list(islice(waiting, min(_LOOKUP, session.most_parameters))):
        yield chunk


def output(session: Session, key: int) -> str:
    """The stored output of a key. Raises `NotFoundError`."""
    row = session.first(Table.select(Table.output).where(Table.id == key))
    if row is None or row[0] is None:
        raise NotFoundError(f"The store holds no output with key {key}")
    return plain(row[0])
