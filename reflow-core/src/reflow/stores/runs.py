"""Queries on runs, their tasks and their leases."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from reflow.errors import LeaseLostError, NotFoundError, ReflowWarning
from reflow.model.json import Json
from reflow.model.notes import Note
from reflow.model.records import Lease, LeaseRecord, RunRecord, TaskRecord
from reflow.model.states import RunState
from reflow.stores.bulk import batch
from reflow.stores.database import Session
from reflow.stores.models import Note as NoteTable
from reflow.stores.models import Run, Task
from reflow.stores.orm import Row
from reflow.stores.rows import (
    LEASE_COLUMNS,
    RUN_COLUMNS,
    TASK_COLUMNS,
    lease_record,
    moment,
    run_record,
    run_row,
    task_record,
    task_row,
    to_json,
)
from reflow.stores.text import plain, stored
from reflow.suggest import did_you_mean

_RUN = [getattr(Run, column) for column in RUN_COLUMNS]
_TASK = [getattr(Task, column) for column in TASK_COLUMNS]
_LEASE = [getattr(Run, column) for column in LEASE_COLUMNS]

_RECENT = 1_000
"""Runs that are searched for the one that a mistyped id probably means."""


def create(session: Session, run: RunRecord, tasks: Sequence[TaskRecord]) -> bool:
    """Insert a run and its tasks; return False, with nothing written, when the id is taken."""
    values = dict(zip(RUN_COLUMNS, run_row(run), strict=True))
    lease = {"epoch": 0, "heartbeat": 0, "wakeup": 0}
    if not session.execute(Run.insert(**values, **lease).on_conflict_ignore()):
        return False
    key = key_of(session, run.run_id)
    if tasks:
        columns = zip(*map(task_row, tasks), strict=True)
        cells = dict(zip(TASK_COLUMNS, columns, strict=True))
        session.insert(batch(Task, {**cells, "run": [key] * len(tasks)}))
    return True


def key_of(session: Session, run_id: str) -> int:
    """Return the key of a run's row. Raises `NotFoundError`."""
    found = session.sql('SELECT "id" FROM "reflow_run" WHERE "run_id" = ?', (stored(run_id),))
    if not found:
        raise unknown(session, run_id)
    return int(found[0][0])


def unknown(session: Session, run_id: str) -> NotFoundError:
    """Make the error for a run that does not exist, with the id that was probably meant."""
    recent = session.rows(Run.select(Run.run_id).order_by(Run.created_at.desc()).limit(_RECENT))
    guess = did_you_mean(run_id, [plain(row[0]) for row in recent])
    return NotFoundError(f"there is no run {run_id!r}{guess or '; `reflow runs` lists all runs'}")


def find(session: Session, run_id: str) -> RunRecord:
    """Return the record of a run."""
    row = session.first(Run.select(*_RUN).where(Run.run_id == stored(run_id)))
    if row is None:
        raise unknown(session, run_id)
    return run_record(row)


def listed(
    session: Session,
    graph_name: str | None,
    limit: int | None,
    since: datetime | None,
    until: datetime | None,
    status: RunState | None,
) -> list[RunRecord]:
    """Return runs, newest first; `since` is inclusive, `until` exclusive."""
    query = Run.select(*_RUN).order_by(Run.created_at.desc(), Run.id.desc())
    if graph_name is not None:
        query = query.where(Run.workflow == stored(graph_name))
    if since is not None:
        query = query.where(Run.created_at >= moment(since))
    if until is not None:
        query = query.where(Run.created_at < moment(until))
    if status is not None:
        query = query.where(Run.state == status.value)
    if limit is not None:
        query = query.limit(limit)
    return list(_readable(session.rows(query)))


def _readable(rows: Iterable[Row]) -> Iterator[RunRecord]:
    """Yield the runs of rows; a row that cannot be read is left out with a warning."""
    for row in rows:
        try:
            yield run_record(row)
        except (LookupError, ValueError, TypeError, AttributeError, OverflowError):
            warnings.warn(
                f"the database has a run {row[0]!r} that reflow did not write; it is left out",
                ReflowWarning,
                stacklevel=2,
            )


def tasks(session: Session, run_id: str) -> list[tuple[int, TaskRecord]]:
    """Return the tasks of a run in topological order, with the keys of their rows."""
    query = Task.select(Task.id, *_TASK).where(Task.run == key_of(session, run_id))
    return [(row[0], task_record(row[1:])) for row in session.rows(query.order_by(Task.ordinal))]


def task(session: Session, run_id: str, name: str) -> tuple[int, TaskRecord]:
    """Return a task of a run, with the key of its row. Raises `NotFoundError`."""
    there = tasks(session, run_id)
    for key, record in there:
        if record.name == name:
            return key, record
    guess = did_you_mean(name, [record.name for _, record in there])
    raise NotFoundError(f"Run {run_id} has no task {name!r}{guess}")


def notes(session: Session, run_id: str) -> list[Note]:
    """Return the notes on a run, in the order in which they were written."""
    query = NoteTable.select(NoteTable.task, NoteTable.key, NoteTable.text)
    query = query.where(NoteTable.run == key_of(session, run_id)).order_by(NoteTable.id)
    return [
        Note(task=plain(task), key=plain(key), text=plain(text))
        for task, key, text in session.rows(query)
    ]


def lease(session: Session, run_id: str) -> LeaseRecord:
    """Return the lease of a run, which names its dispatcher."""
    row = session.first(Run.select(*_LEASE).where(Run.run_id == stored(run_id)))
    if row is None:
        raise unknown(session, run_id)
    return lease_record(row)


def acquire(
    session: Session, run_id: str, owner: Mapping[str, Json], seen: LeaseRecord | None
) -> Lease | None:
    """Take the lease if it is free, or still as seen."""
    to_be_had = Run.owner.is_null()
    if seen is not None:
        to_be_had |= (Run.epoch == seen.epoch) & (Run.heartbeat == seen.heartbeat)
    taken = session.execute(
        Run.update(epoch=Run.epoch + 1, heartbeat=0, owner=to_json(dict(owner))).where(
            (Run.run_id == stored(run_id)) & to_be_had
        )
    )
    present = lease(session, run_id)
    return Lease(run_id, present.epoch) if taken else None


def held(session: Session, held_lease: Lease) -> int:
    """Return the key of the run and lock its row. Raises `LeaseLostError` where it is not held."""
    key, present = _kept(session, held_lease.run_id)
    if present.epoch != held_lease.epoch or present.owner is None:
        raise _lost(held_lease)
    return key


def heartbeat(session: Session, held_lease: Lease) -> bool:
    """Write a heartbeat; return whether a wakeup was requested."""
    key = held(session, held_lease)
    session.execute(Run.update(heartbeat=Run.heartbeat + 1).where(Run.id == key))
    return lease(session, held_lease.run_id).wakeup


def set_wakeup(session: Session, key: int, wakeup: bool) -> None:
    """Request or clear a wakeup."""
    session.execute(Run.update(wakeup=int(wakeup)).where(Run.id == key))


def release(session: Session, held_lease: Lease) -> bool:
    """Release the lease unless a wakeup was requested. Releasing it twice does no harm."""
    key, present = _kept(session, held_lease.run_id)
    if present.epoch != held_lease.epoch:
        raise _lost(held_lease)
    if present.wakeup and present.owner is not None:
        return False
    session.execute(Run.update(owner=None).where(Run.id == key))
    return True


def _kept(session: Session, run_id: str) -> tuple[int, LeaseRecord]:
    row = session.kept(Run.select(Run.id, *_LEASE).where(Run.run_id == stored(run_id)))
    if row is None:
        raise unknown(session, run_id)
    return row[0], lease_record(row[1:])


def _lost(held_lease: Lease) -> LeaseLostError:
    return LeaseLostError(
        f"Run {held_lease.run_id} is dispatched by another process now; nothing was written. It "
        f"goes on there; `reflow status {held_lease.run_id}` shows it"
    )
