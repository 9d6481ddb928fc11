"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

from reflow.errors import StoreError
from reflow.stores import orm
from reflow.stores.database import Dialect, Session
from reflow.stores.orm import Handle, Query
from reflow.stores.url import PostgresUrl

try:
    import psycopg
except ImportError as error:
    raise StoreError(
        "A store on PostgreSQL needs a driver that is not installed; run "
        "`pip install 'reflow-core[postgres]'`"
    ) from error

CONNECT_SECONDS = 20

MIGRATION_LOCK = 0x7265_666C_6F77
"""The key of the advisory lock under which tables are changed."""


class PostgresDialect(Dialect):
    """A database on a server."""

    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    begin_writing = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    errors = (psycopg.Error,)

    def __init__(self, url: PostgresUrl) -> None:
        self._url = url
        self.shown = f"The manifest {url.shown}"

    def connect(self) -> Handle:
        """Connect; prepared statements stay off, which connection pools need."""
        handle = orm.postgres_handle(
            self._url.text,
            prepare_threshold=None,
            client_encoding="UTF8",
            connect_timeout=CONNECT_SECONDS,
            application_name="reflow",
        )
        handle.connect()
        encoding = orm.run_sql(handle, "SHOW server_encoding")[0][0]
        if encoding != "UTF8":
            handle.close()
            raise StoreError(
                f"{self.shown} has the encoding {encoding}, which cannot hold every text. Create "
                f"a database with ENCODING 'UTF8' and name that one"
            )
        return handle

    def serialise(self, session: Session) -> None:
        """An advisory lock, which ends with the transaction."""
        session.sql("SELECT pg_advisory_xact_lock(?)", (MIGRATION_LOCK,))

    def kept(self, query: Query) -> Query:
        """A row lock."""
        return query.for_update()

    def statement(self, sql: str) -> str:
        """The driver's style is `%s`."""
        return sql.replace("?", "%s")

    def usable(self, handle: Handle) -> bool:
        """Whether the server has not hung up."""
        return bool(handle.is_connection_usable())

    def check(self, handle: Handle) -> None:
        """A server tells by itself."""

    def explain(self, error: BaseException) -> str:
        """In the server's own words, which never hold the password."""
        words = " ".join(self._url.without_secrets(str(error)).split())
        if isinstance(error, psycopg.errors.UniqueViolation):
            return f"{self.shown} already holds a record of that name or number: {words}"
        return (
            f"{self.shown} could not be used: {words}. See whether the server runs and lets you "
            f"in, or choose another store with REFLOW_STORE"
        )
