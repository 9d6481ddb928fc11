"""PostgreSQL, through psycopg 3."""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reflow.errors import StoreError
from reflow.model.cleaning import StoreSize
from reflow.stores import orm
from reflow.stores.bulk import Batch, Cells
from reflow.stores.database import Dialect, Session
from reflow.stores.models import TABLES
from reflow.stores.orm import Handle, Query, Row
from reflow.stores.url import PostgresUrl

try:
    import psycopg
except ImportError as error:
    raise StoreError(
        "A store on PostgreSQL needs a driver that is not installed; run "
        "`pip install 'reflow-core[postgres]'`"
    ) from error

DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 20,
    "application_name": "reflow",
    # A network that is away breaks no connection: without these, a query waits for hours.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Settings of the connection, which the URL may override."""

if psycopg.pq.version() >= 120_000:
    DEFAULTS["tcp_user_timeout"] = 60_000  # milliseconds

PATIENCE = 30
"""Seconds to wait for a row that another process has locked, and to hold a lock while idle."""

MIGRATION_LOCK = 0x7265_666C_6F77
"""The key of the advisory lock that a migration holds."""


class PostgresDialect(Dialect):
    """A database on a server."""

    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    begin_writing = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    errors = (psycopg.Error,)
    locked_free = " FOR UPDATE OF i SKIP LOCKED"
    locked_present = " FOR KEY SHARE"

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        self.shown = f"The manifest {url.shown}"

    def connect(self) -> Handle:
        """Connect; prepared statements stay off, which connection pools need."""
        handle = orm.postgres_handle(
            self._url.text, client_encoding="UTF8", prepare_threshold=None, **self._defaults()
        )
        handle.connect()
        orm.run_sql(handle, f"SET lock_timeout = '{PATIENCE}s'")
        # A process that is stopped within a transaction must not keep its locks for ever.
        orm.run_sql(handle, f"SET idle_in_transaction_session_timeout = '{PATIENCE}s'")
        encoding = orm.run_sql(handle, "SHOW server_encoding")[0][0]
        if encoding != "UTF8":
            handle.close()
            raise StoreError(
                f"{self.shown} has the encoding {encoding}, which cannot hold every text. Create "
                f"a database with ENCODING 'UTF8' and name that one",
                lasting=True,
            )
        return handle

    def _defaults(self) -> dict[str, str | int]:
        try:
            asked = psycopg.conninfo.conninfo_to_dict(self._url.text)
        except psycopg.Error as error:
            raise StoreError(self.explain(error)) from error
        return {name: value for name, value in DEFAULTS.items() if name not in asked}

    def serialise(self, session: Session) -> None:
        """Take an advisory lock, which ends with the transaction."""
        session.sql("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))

    def kept(self, query: Query) -> Query:
        """Add a row lock to the query."""
        return query.for_update()

    def statement(self, sql: str) -> str:
        """Write parameters as `%s`, as psycopg does."""
        return sql.replace("?", "%s")

    def most_parameters(self, handle: Handle) -> int:
        """Return the limit of the protocol, which counts parameters in two bytes."""
        return 65_535

    def insert(self, handle: Handle, batch: Batch) -> None:
        """Insert with one statement; the rows are sent as one array per column."""
        cells = {**batch.constants, **{column: f'v."{column}"' for column in batch.bound}}
        columns = ", ".join(f'"{column}"' for column in cells)
        orm.run_raw(
            handle,
            f'INSERT INTO "{batch.name}" ({columns}) SELECT {", ".join(cells.values())} '
            f"FROM {_arrays(handle, batch)}",
            tuple(map(list, _bound(handle, batch).values())),
        )

    def update(self, handle: Handle, batch: Batch, keys: Sequence[str], condition: str) -> int:
        """Update with one statement per occurrence of a key, so that the order of rows counts."""
        cells = {**batch.constants, **{column: f'v."{column}"' for column in batch.bound}}
        setters = ", ".join(
            f'"{name}" = {batch.written(name, cell)}' for name, cell in cells.items()
        )
        same = [f'"{batch.name}"."{key}" = v."{key}"' for key in keys]
        statement = (
            f'UPDATE "{batch.name}" SET {setters} FROM {_arrays(handle, batch)} '
            f"WHERE {' AND '.join([*same, condition])}"
        )
        return sum(
            orm.run_raw(handle, statement, values)
            for values in _rounds(_bound(handle, batch), keys)
        )

    def size(self, session: Session) -> StoreSize:
        """Ask the server, which uses the space of deleted rows again by itself."""
        names = ", ".join(f"'{orm.table_name(table)}'" for table in TABLES)
        found = session.sql(
            "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0) FROM pg_class AS c "
            f"WHERE c.relname IN ({names}) AND pg_table_is_visible(c.oid)"
        )
        return StoreSize(total=int(found[0][0]), free=0, shrinks=False)

    def shrink(self, session: Session, most: int) -> int:
        """Do nothing: the server's own autovacuum looks after that."""
        return 0

    def settle(self, handle: Handle) -> None:
        """Do nothing: the server does that by itself."""

    def usable(self, handle: Handle) -> bool:
        """Tell whether the server has kept the connection open."""
        return bool(handle.is_connection_usable())

    def check(self, handle: Handle) -> None:
        """Do nothing: a server reports writes that fail."""

    def may_pass(self, error: BaseException) -> bool:
        """Tell whether the server was away, full or busy: what was asked is not at fault."""
        return isinstance(
            error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.InternalError
        )

    def explain(self, error: BaseException) -> str:
        """Quote the server's own message, which never holds the password."""
        words = " ".join(self._url.without_secrets(str(error)).split())
        if isinstance(error, psycopg.errors.UniqueViolation):
            return (
                f"{self.shown} already holds a record of that name or number; nothing was "
                f"written: {words}"
            )
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return (
                f"{self.shown} was kept locked by another process for {PATIENCE} s. See which "
                f"one holds it (the view pg_stat_activity lists them), then run the command again"
            )
        end = "" if words.endswith((".", "?")) else "."
        return (
            f"{self.shown} could not be used: {words}{end} Check whether the server runs and lets "
            f"you in, or choose another store with REFLOW_STORE"
        )


def _arrays(handle: Handle, batch: Batch) -> str:
    types = [f"%s::{orm.column_type(handle, batch.table, column)}[]" for column in batch.bound]
    names = ", ".join(f'"{column}"' for column in batch.bound)
    return f"unnest({', '.join(types)}) AS v({names})"


def _bound(handle: Handle, batch: Batch) -> Cells:
    """Convert the bound columns to lists that the driver can send as arrays."""
    return {
        column: _floats(values)
        if orm.column_type(handle, batch.table, column) == "DOUBLE PRECISION"
        else values
        for column, values in batch.bound.items()
    }


def _rounds(bound: Cells, keys: Sequence[str]) -> Iterator[Row]:
    """Yield rows as arrays per column; a key that occurs again goes into a later round."""
    places: dict[Row, int] = {}
    rounds: list[list[int]] = []
    for row, key in enumerate(zip(*(bound[name] for name in keys), strict=True)):
        place = places[key] = places.get(key, -1) + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(row)
    for rows in rounds:
        yield tuple([column[row] for row in rows] for column in bound.values())


def _floats(column: Sequence[float | None]) -> Sequence[float | None]:
    # The driver takes no list that mixes whole numbers with others.
    return [None if value is None else float(value) for value in column]
