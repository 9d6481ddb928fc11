"""Queries on the tries of instances."""

from __future__ import annotations

from typing import NamedTuple

from reflow.model.attempts import Attempt
from reflow.stores.database import Session
from reflow.stores.models import Attempt as Earlier
from reflow.stores.models import Instance
from reflow.stores.orm import Row
from reflow.stores.rows import ATTEMPT_COLUMNS, attempt_record


class Page(NamedTuple):
    """The tries of neighbouring instances of a task."""

    attempts: list[Attempt]
    until: int
    """The last index that was looked at."""
    is_last: bool


def page(session: Session, task: int, name: str, after: int, size: int) -> Page:
    """Return the tries of at most `size` instances of a task behind index `after`.

    A success stands in the row of its instance, every other try in a row of its own.
    """
    indexes = Instance.select(Instance.idx).where((Instance.task == task) & (Instance.idx > after))
    found = [row[0] for row in session.rows(indexes.order_by(Instance.idx).limit(size))]
    if not found:
        return Page([], after, True)
    rows: list[Row] = []
    for table in (Earlier, Instance):
        query = table.select(*(getattr(table, column) for column in ATTEMPT_COLUMNS))
        query = query.where((table.task == task) & table.idx.between(found[0], found[-1]))
        if table is Instance:
            computed = Instance.source.is_null() & (Instance.attempt > 0)
            query = query.where((Instance.state == "SUCCESS") & computed)
        rows += session.rows(query)
    rows.sort(key=lambda row: row[:2])
    return Page([attempt_record(name, row) for row in rows], found[-1], len(found) < size)
