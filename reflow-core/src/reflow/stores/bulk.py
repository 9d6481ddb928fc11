"""Writes of many rows at once, column by column.

Binding a value costs as much as writing it, and in most bulk writes most columns hold one value
throughout: such a value is written into the statement instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from reflow.stores import orm

T = TypeVar("T")

Cells: TypeAlias = Mapping[str, Sequence[Any]]
"""The values of every column, all of one length, at least one."""

CHUNK = 10_000
"""Rows written at once, which bounds the memory that a large write takes."""

_FEW = 8
"""With fewer rows than this, constants are not worth a statement of their own."""

_SAFE = re.compile(r"[A-Za-z0-9_.-]*")
"""Text that needs no escaping in an SQL literal of any dialect."""


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield `items` in pieces of at most `CHUNK`."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows to be written; a column holds one constant, or a value per row."""

    table: type[orm.Table]
    constants: Mapping[str, str]
    """By column, an SQL literal."""
    bound: Cells
    lasting: Sequence[str]
    """Columns of text that an update leaves as they are where its own value is empty."""

    @property
    def name(self) -> str:
        """The table's name."""
        return orm.table_name(self.table)

    def written(self, column: str, cell: str) -> str:
        """Return the SQL expression that an update writes to a column for the new value."""
        if column in self.lasting:
            return f'COALESCE(NULLIF({cell}, \'\'), "{self.name}"."{column}")'
        return cell


def batch(
    table: type[orm.Table],
    cells: Cells,
    keys: Sequence[str] = (),
    lasting: Sequence[str] = (),
) -> Batch:
    """Make a batch of rows; the columns of `keys` are always bound row by row."""
    constants: dict[str, str] = {}
    bound: dict[str, Sequence[Any]] = {}
    for column, values in cells.items():
        literal = None if column in keys or len(values) < _FEW else _literal(values)
        if literal is None:
            bound[column] = values
        else:
            constants[column] = literal
    return Batch(table, constants, bound, lasting)


def constant(values: Sequence[Any]) -> bool:
    """Tell whether all values are equal."""
    return values.count(values[0]) == len(values)


def _literal(values: Sequence[Any]) -> str | None:
    first = values[0]
    if not constant(values):
        return None
    if first is None:
        return "NULL"
    if type(first) is str:
        return f"'{first}'" if _SAFE.fullmatch(first) else None
    return repr(first) if type(first) in (int, float) else None


def marks(values: Sequence[object]) -> str:
    """Return a parameter for each value."""
    return ", ".join("?" * len(values))
