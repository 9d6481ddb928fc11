"""What this package uses of peewee, whose types are loose: the only module that imports it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, TypeAlias

import peewee

Query: TypeAlias = Any
"""A peewee query that is bound to no database."""
Handle: TypeAlias = Any
"""A peewee database: one connection."""
Row: TypeAlias = tuple[Any, ...]

PeeweeError: type[Exception] = peewee.PeeweeException

Key = peewee.BigAutoField
Text = peewee.TextField
Int = peewee.IntegerField
BigInt = peewee.BigIntegerField
Real = peewee.DoubleField
Index = peewee.ModelIndex
fn = peewee.fn
LEFT = peewee.JOIN.LEFT_OUTER


def literal(value: int | str) -> Any:
    """Make a constant that is written into the statement, where a parameter is not allowed."""
    return peewee.SQL(repr(value))


def expression(sql: str) -> Any:
    """Make an SQL expression, for an index on something that is no column."""
    return peewee.SQL(sql)


def default(value: int | str) -> Any:
    """Make the database's own default for a column that an insert leaves out."""
    return peewee.SQL(f"DEFAULT {value!r}")


class Table(peewee.Model):
    """A table. Queries are built from it and run on a store's own connection."""

    class Meta:  # noqa: D106
        legacy_table_names = False


def sqlite_handle(path: str, wait: float) -> Handle:
    """Make a handle on a database file; a locked one is waited for at most `wait` seconds."""
    return peewee.SqliteDatabase(path, timeout=wait, thread_safe=False, check_same_thread=False)


def postgres_handle(url: str, **options: Any) -> Handle:
    """Make a handle on a database of a PostgreSQL server, through psycopg 3."""
    return peewee.PostgresqlDatabase(url, thread_safe=False, prefer_psycopg3=True, **options)


@contextmanager
def _carried_out(handle: Handle, statement: str, values: Sequence[Any]) -> Iterator[Any]:
    # Cursors are always closed: SQLite keeps a file open for as long as one is not.
    with closing(handle.cursor()) as cursor:
        cursor.execute(statement, values)
        yield cursor


def run_query(handle: Handle, query: Query) -> int:
    """Run a query; return how many rows it touched."""
    return run_raw(handle, *handle.get_sql_context().sql(query).query())


def rows_of(handle: Handle, query: Query) -> Iterator[Row]:
    """Yield the rows of a query while they are read."""
    with _carried_out(handle, *handle.get_sql_context().sql(query).query()) as cursor:
        yield from cursor


def run_sql(handle: Handle, statement: str, values: Row = ()) -> list[Row]:
    """Run a statement; return its rows, if it has any."""
    with _carried_out(handle, statement, values) as cursor:
        return list(cursor.fetchall()) if cursor.description else []


def create_tables(handle: Handle, tables: Iterable[type[Table]]) -> None:
    """Create tables and their indexes."""
    for table in tables:
        peewee.SchemaManager(table, database=handle).create_all(safe=False)


def run_many(handle: Handle, statement: str, rows: Sequence[Row]) -> int:
    """Run a statement for every row of values; return how many rows it touched.

    It goes to the driver directly: peewee's own bulk insert takes seven times as long.
    """
    with closing(handle.cursor()) as cursor:
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)


def run_raw(handle: Handle, statement: str, values: Sequence[Any] = ()) -> int:
    """Run a statement; return how many rows it touched."""
    with _carried_out(handle, statement, values) as cursor:
        return int(cursor.rowcount)


def table_name(table: type[Table]) -> str:
    """Return the name of a table in the database."""
    return str(table._meta.table_name)


def column_type(handle: Handle, table: type[Table], column: str) -> str:
    """Return the database's own name for the type of a column."""
    kind = table._meta.columns[column].field_type
    return str(handle.get_context_options()["field_types"].get(kind, kind))


def cause_of(error: BaseException) -> BaseException:
    """Return the driver's own exception behind one of peewee's."""
    return getattr(error, "orig", None) or error
