"""Statements for many rows at once.

Binding a value costs as much as writing it, and in most bulk writes most columns hold one value
throughout: such a value is written into the statement instead.
"""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

import re
from collections.abc import Sequence

from reflow.stores.database import Session
from reflow.stores.orm import Row

CHUNK = 10_000
"""Rows handed over at once, which bounds the memory that a large write takes."""

_FEW = 8
"""Below this many rows a statement of their own is not worth while."""

_SAFE = re.compile(r"[A-Za-z0-9_.-]*")
"""Text that means itself in every dialect."""


def insert_many(session: Session, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Insert rows; a column that is left out gets its default."""
    names = ", ".join(f'"{column}"' for column in columns)
    for chunk in _chunks(rows):
        written, varying = _condense(chunk)
        session.many(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(written)})', varying)


def update_many(
    session: Session,
    table: str,
    columns: Sequence[str],
    keys: Sequence[str],
    rows: Sequence[Row],
    where: str = "",
) -> int:
    """Update rows that hold the columns' values and then the keys'; how many were found."""
    found = 0
    for chunk in _chunks(rows):
        written, varying = _condense(chunk)
        setters = ", ".join(
            f'"{column}" = {value}' for column, value in zip(columns, written, strict=False)
        )
        conditions = " AND ".join(
            f'"{key}" = {value}' for key, value in zip(keys, written[len(columns) :], strict=True)
        )
        found += session.many(f'UPDATE "{table}" SET {setters} WHERE {conditions}{where}', varying)
    return found


def _chunks(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def _condense(rows: Sequence[Row]) -> tuple[list[str], list[Row]]:
    """What stands for each column in the statement, and the rows of what is still to be bound."""
    if len(rows) < _FEW:
        return ["?"] * len(rows[0]), list(rows)
    columns = list(zip(*rows, strict=True))
    written = [_constant(column) for column in columns]
    bound = [column for column, value in zip(columns, written, strict=True) if value == "?"]
    return written, list(zip(*bound, strict=True)) if bound else [()] * len(rows)


def _constant(column: Row) -> str:
    first = column[0]
    if first is not None and type(first) not in (int, float, str):
        return "?"
    if column.count(first) < len(column):
        return "?"
    if first is None:
        return "NULL"
    if isinstance(first, str):
        return f"'{first}'" if _SAFE.fullmatch(first) else "?"
    return repr(first)
