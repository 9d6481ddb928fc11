"""Queries on results that may be used again.

Whose results they are is looked up in their runs, row by row and in the order of an index, so that
no row is read that is not either returned or skipped.
"""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from reflow.model.cleaning import Extent
from reflow.model.lineage import Kin
from reflow.model.records import Look, StoredOutput, Taker
from reflow.stores.database import Session
from reflow.stores.models import SHORT
from reflow.stores.orm import Row
from reflow.stores.rows import STORED_OUTPUT_COLUMNS, stored_output
from reflow.stores.text import stored

T = TypeVar("T")

_AT_ONCE = 5_000
"""Rows looked up by one statement, where it takes that many parameters."""
_PAGES_AT_ONCE = 100
"""Identities with several results per statement; SQLite joins at most 500 queries."""

_RESULT = ", ".join(f'i."{column}"' for column in STORED_OUTPUT_COLUMNS) + ', r."run_id"'
_OF_RUNS = (
    '"reflow_instance" AS i CROSS JOIN "reflow_task" AS t CROSS JOIN "reflow_run" AS r '
    'WHERE t."id" = i."task" AND r."id" = t."run"'
)
"""Instances with their runs, read in this order by SQLite."""
_SHORT = {table: SHORT.replace('"identity"', f'{table}."identity"') for table in ("i", "w")}
_SAME = f'{_SHORT["i"]} = {_SHORT["w"]} AND i."identity" = w."identity"'
"""The condition that an instance has a wanted identity: its indexed part, and the whole."""
_HAD = (
    f'(SELECT COALESCE(i."source", i."id") FROM {_OF_RUNS} '
    f'AND {_SAME} AND i."idx" = w."idx" '
    'AND (i."reusable" = 1 OR i."source" IS NOT NULL) '
    'AND r."workflow" = ? AND r."place" = ? ORDER BY i."task" DESC LIMIT 1)'
)


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of SQL, and the values of its parameters."""

    sql: str
    values: Row


def previous(
    session: Session, taker: Taker, wanted: Sequence[tuple[int, str]]
) -> dict[int, StoredOutput]:
    """Return the result of each index in the newest run in which it had the wanted identity."""
    allowed = _allowed(taker)
    place = (stored(taker.workflow), stored(taker.place))
    found: dict[int, StoredOutput] = {}
    for chunk in _chunks(session, wanted, 2, len(place) + len(allowed.values)):
        rows = session.sql(
            f'WITH w("idx", "identity") AS (VALUES {_rows(chunk, "(?, ?)")}), '
            f'had AS (SELECT w."idx" AS "wanted", {_HAD} AS "key" FROM w) '
            f'SELECT had."wanted", {_RESULT} FROM had CROSS JOIN {_OF_RUNS} '
            f'AND i."id" = had."key" AND i."reusable" = 1 AND {allowed.sql}',
            (*_flat((i, stored(identity)) for i, identity in chunk), *place, *allowed.values),
        )
        found.update((row[0], stored_output(row[1:])) for row in rows)
    return dict(sorted(found.items()))


def found(session: Session, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
    """Return the reusable results of each look, by identity."""
    allowed = _allowed(taker)
    first = _firsts(session, allowed, [look.identity for look in looks if look.after is None])
    several = [
        look
        for look in looks
        if look.after is not None or (look.limit > 1 and look.identity in first)
    ]
    results = {identity: [output] for identity, output in first.items()}
    for look in several:
        results.pop(look.identity, None)
    for output in _pages(session, allowed, several):
        results.setdefault(output.identity, []).append(output)
    return results


def taken_by_kin(session: Session, taker: Taker) -> set[int]:
    """Return the keys of outputs that runs of the taker's kin have taken over."""
    no_kin = _no_kin_of(taker)
    rows = session.sql(
        'SELECT i."source" FROM "reflow_run" AS r CROSS JOIN "reflow_task" AS t '
        'CROSS JOIN "reflow_instance" AS i WHERE t."run" = r."id" AND i."task" = t."id" '
        f'AND i."source" IS NOT NULL AND NOT ({no_kin.sql})',
        no_kin.values,
    )
    return {key for (key,) in rows}


def _firsts(session: Session, allowed: _Part, identities: Sequence[str]) -> dict[str, StoredOutput]:
    """Return the first result of each identity that has one."""
    found: dict[str, StoredOutput] = {}
    first = (
        f'(SELECT i."id" FROM {_OF_RUNS} AND i."reusable" = 1 AND {_SAME} '
        f'AND {allowed.sql} ORDER BY i."task" DESC, i."idx" LIMIT 1)'
    )
    for chunk in _chunks(session, identities, 1, len(allowed.values)):
        rows = session.sql(
            f'WITH w("identity") AS (VALUES {_rows(chunk, "(?)")}), '
            f'first AS (SELECT {first} AS "key" FROM w) '
            f'SELECT {_RESULT} FROM first CROSS JOIN {_OF_RUNS} AND i."id" = first."key"',
            (*map(stored, chunk), *allowed.values),
        )
        found.update((output.identity, output) for output in map(stored_output, rows))
    return found


def _pages(session: Session, allowed: _Part, looks: Sequence[Look]) -> Iterator[StoredOutput]:
    """Yield the results of looks for more than one result, those of one look in their order."""
    pages = [_page(look, allowed) for look in looks]
    most = max(1, session.most_parameters // (len(allowed.values) + 6))
    for chunk in _groups(pages, min(_PAGES_AT_ONCE, most)):
        union = " UNION ALL ".join(f"SELECT * FROM ({page.sql}) AS p" for page in chunk)
        yield from map(stored_output, session.sql(union, _flat(page.values for page in chunk)))


def _page(look: Look, allowed: _Part) -> _Part:
    identity, behind = stored(look.identity), _Part("", ())
    if look.after is not None:
        task, index = look.after.order
        behind = _Part('AND i."task" <= ? AND (i."task" < ? OR i."idx" > ?) ', (task, task, index))
    return _Part(
        f'SELECT {_RESULT} FROM {_OF_RUNS} AND i."reusable" = 1 '
        # SQLite would replace a column by the constant that it equals, and then not use the index.
        f"AND {_SHORT['i']} = substr(?, 1, 16) AND i.\"identity\" || '' = ? {behind.sql}"
        f'AND {allowed.sql} ORDER BY i."task" DESC, i."idx" LIMIT ?',
        (identity, identity, *behind.values, *allowed.values, look.limit),
    )


def _allowed(taker: Taker) -> _Part:
    """Return the condition that the taker may take results of a run `r`.

    None are offered of a run whose results are being removed.
    """
    no_kin = _no_kin_of(taker)
    offered = f'{no_kin.sql} AND (r."cleaning" = 0 OR r."extent" = \'{Extent.FILES.value}\')'
    if taker.uid is None:
        return _Part(offered, no_kin.values)
    return _Part(f'{offered} AND (r."uid" = ? OR r."uid" IS NULL)', (*no_kin.values, taker.uid))


def _no_kin_of(taker: Taker) -> _Part:
    """Return the condition that a run `r` is none of the taker's kin."""
    parts = [_no_kin(kin) for kin in taker.kin]
    return _Part(" AND ".join(part.sql for part in parts), _flat(part.values for part in parts))


def _no_kin(kin: Kin) -> _Part:
    """Return the negation of `Kin.has` as SQL."""
    other = 'r."run_id" <> ? AND (substr(r."lineage", 1, ?) <> ?'
    below = stored(kin.below)
    values = (stored(kin.run_id), len(below), below)
    if kin.but is None:
        return _Part(f"{other})", values)
    but = stored(kin.but)
    return _Part(f'{other} OR substr(r."lineage", 1, ?) = ?)', (*values, len(but), but))


def _rows(items: Sequence[Any], row: str) -> str:
    return ", ".join([row] * len(items))


def _flat(rows: Iterable[Row]) -> Row:
    return tuple(value for row in rows for value in row)


def _chunks(session: Session, items: Sequence[T], each: int, more: int) -> Iterator[Sequence[T]]:
    """Yield items in groups that fit one statement: `each` parameters per item, and `more`."""
    return _groups(items, min(_AT_ONCE, (session.most_parameters - more) // each))


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
