"""Queries that remove records of runs, a little in each transaction.

A result may be removed while another run is about to take it over. Two checks keep either from
harm. Who removes rows looks, in the transaction that does, for instances that have taken one, and
leaves that one alone. Who takes a result over looks, in the transaction that records it, whether
its row is there (`results.require`), and else records nothing. On PostgreSQL, where both may happen
at once, each locks the rows: those that somebody takes right now are passed over.
"""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from reflow.errors import NotReadyError
from reflow.model.cleaning import Extent, RowPosition, RunContents
from reflow.model.records import Lease, SubmissionState
from reflow.model.states import RunState
from reflow.stores import runs
from reflow.stores.bulk import marks
from reflow.stores.database import Session
from reflow.stores.models import Instance, Note, Request, Run, Submission, Task
from reflow.stores.orm import fn
from reflow.stores.rows import moment
from reflow.stores.text import plain, stored

_FIRST = -(2**63)
"""No index is smaller."""
_PAGE = 5_000

_TAKEN = 'EXISTS (SELECT 1 FROM "reflow_instance" AS k WHERE k."source" = i."id")'
_OFFERED = 'i."reusable" = 1'
_LAST_CLAIM = (
    '(i."source" IS NOT NULL AND EXISTS (SELECT 1 FROM "reflow_instance" AS s '
    'JOIN "reflow_task" AS t ON t."id" = ABS(s."task") JOIN "reflow_run" AS r ON r."id" = t."run" '
    f'WHERE s."id" = i."source" AND r."extent" <> \'{Extent.FILES.value}\'))'
)
"""The instance has a result of a run whose other results were removed: nothing else keeps it."""
_NEEDED = {
    Extent.FILES: f"({_TAKEN} OR {_OFFERED} OR {_LAST_CLAIM})",
    Extent.RESULTS: _TAKEN,
    Extent.RUN: _TAKEN,
}


def contents(session: Session, run_id: str) -> RunContents:
    """Count what there is of a run."""
    keys = _tasks(session, runs.key_of(session, run_id))
    instances = results = 0
    for key in keys:
        counted = session.sql(
            'SELECT COUNT(*), SUM(CASE WHEN "reusable" = 1 THEN 1 ELSE 0 END) '
            'FROM "reflow_instance" WHERE "task" = ?',
            (key,),
        )
        instances += int(counted[0][0])
        results += int(counted[0][1] or 0)
    return RunContents(instances, results)


def instance_counts(session: Session, run_ids: Sequence[str]) -> dict[str, int]:
    """Count the instances of each of some runs, without reading them."""
    rows = session.rows(
        Run.select(Run.run_id, fn.COUNT(Instance.idx))
        .join(Task, on=(Task.run == Run.id))
        .join(Instance, on=(Instance.task == Task.id))
        .where(Run.run_id.in_(list(map(stored, run_ids))))
        .group_by(Run.run_id)
    )
    return {plain(run_id): int(number) for run_id, number in rows}


def begin(session: Session, lease: Lease, extent: Extent) -> None:
    """Record that a run is being cleaned up, from when on its results may not be offered.

    Raises `NotReadyError` where something of the run may still happen.
    """
    key = runs.held(session, lease)
    record = runs.find(session, lease.run_id)
    if record.state is RunState.RUNNING:
        raise NotReadyError("it is running")
    open_ones = Submission.select(Submission.id).where(
        (Submission.run == key) & (Submission.state != SubmissionState.OVER.value)
    )
    if session.first(open_ones):
        raise NotReadyError("the scheduler may still have jobs of it")
    if session.first(Request.select(Request.id).where(Request.run == key)):
        raise NotReadyError("a request of a user waits to be carried out")
    session.execute(
        Run.update(
            cleaned_at=moment(record.cleaned_at or datetime.now(UTC)),
            extent=extent.value,
            cleaning=1,
        ).where(Run.id == key)
    )


def remove(
    session: Session, lease: Lease, extent: Extent, position: RowPosition, most: int
) -> RowPosition | None:
    """Look at about `most` records of a run and delete those that nothing needs.

    Return where to go on; None at the end.
    """
    key = runs.held(session, lease)
    # Instances that were replaced stand under the negative key of their task.
    places = [place for task in _tasks(session, key) for place in (task, -task)]
    place, after = position.place, position.after
    while most > 0:
        if place == len(places):
            return position if _remove_submissions(session, key, most) else None
        low = _FIRST if after is None else after
        number, high = session.sql(
            'SELECT COUNT(*), MAX("idx") FROM (SELECT "idx" FROM "reflow_instance" '
            'WHERE "task" = ? AND "idx" > ? ORDER BY "idx" LIMIT ?) AS p',
            (places[place], low, most),
        )[0]
        if number:
            _remove_instances(session, extent, places[place], low, high)
        if number < most:
            place, after = place + 1, None
        else:
            after = high
        most -= max(1, number)
        position = RowPosition(place, after)
    return position


def _remove_instances(session: Session, extent: Extent, task: int, low: int, high: int) -> None:
    free = session.sql(
        f'SELECT i."id" FROM "reflow_instance" AS i WHERE i."task" = ? AND i."idx" > ? '
        f'AND i."idx" <= ? AND NOT {_NEEDED[extent]}{session.dialect.locked_free}',
        (task, low, high),
    )
    keys = [key for (key,) in free]
    if task > 0:
        session.sql(
            'DELETE FROM "reflow_attempt" WHERE "task" = ? AND "idx" > ? AND "idx" <= ?',
            (task, low, high),
        )
    for start in range(0, len(keys), session.most_parameters):
        some = keys[start : start + session.most_parameters]
        # Asked again: on PostgreSQL one may have been taken before it was locked.
        session.sql(
            f'DELETE FROM "reflow_instance" WHERE "id" IN ({marks(some)}) AND NOT EXISTS '
            '(SELECT 1 FROM "reflow_instance" AS k WHERE k."source" = "reflow_instance"."id")',
            tuple(some),
        )


def _remove_submissions(session: Session, run: int, most: int) -> int:
    some = 'SELECT "id" FROM "reflow_submission" WHERE "run" = ? ORDER BY "number" LIMIT ?'
    keys = [key for (key,) in session.sql(some, (run, min(most, session.most_parameters)))]
    if keys:
        for table, column in (("reflow_native_id", "submission"), ("reflow_submission", "id")):
            session.sql(f'DELETE FROM "{table}" WHERE "{column}" IN ({marks(keys)})', tuple(keys))
    return len(keys)


def result_paths(
    session: Session, run_id: str, position: RowPosition
) -> tuple[list[str], RowPosition | None]:
    """Return what is recorded of the files of some results of a run, and where to go on."""
    keys = _tasks(session, runs.key_of(session, run_id))
    places = [place for task in keys for place in (task, -task)]
    if position.place >= len(places):
        return [], None
    low = _FIRST if position.after is None else position.after
    rows = session.sql(
        'SELECT "idx", "paths" FROM "reflow_instance" WHERE "task" = ? AND "idx" > ? '
        'ORDER BY "idx" LIMIT ?',
        (places[position.place], low, _PAGE),
    )
    further = RowPosition(position.place + 1)
    if len(rows) == _PAGE:
        further = RowPosition(position.place, rows[-1][0])
    return [plain(paths) for _, paths in rows if paths is not None], further


def end(session: Session, lease: Lease) -> bool:
    """Record that a run is cleaned up, and release its lease; return whether it is gone."""
    key = runs.held(session, lease)
    for table in (Note, Request):
        session.execute(table.delete().where(table.run == key))
    removed = runs.find(session, lease.run_id).extent is Extent.RUN
    tasks = _tasks(session, key)
    signed = [place for task in tasks for place in (task, -task)]
    left = session.first(Instance.select(Instance.id).where(Instance.task.in_(signed)))
    if removed and left is None:
        session.execute(Task.delete().where(Task.run == key))
        session.execute(Run.delete().where(Run.id == key))
        return True
    session.execute(Run.update(cleaning=0, owner=None, wakeup=0).where(Run.id == key))
    return False


def _tasks(session: Session, run: int) -> list[int]:
    rows = session.rows(Task.select(Task.id).where(Task.run == run).order_by(Task.ordinal))
    return [key for (key,) in rows]
