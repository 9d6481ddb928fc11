"""Connections and transactions, the same for every database."""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from reflow.errors import ReflowError, StoreError
from reflow.model.cleaning import StoreSize
from reflow.stores import orm
from reflow.stores.bulk import Batch
from reflow.stores.orm import Handle, Query, Row


class Dialect(ABC):
    """What differs between databases."""

    begin_reading: str
    """Begins a transaction that sees one state of the database throughout."""
    begin_writing: str
    """Begins a transaction that may write."""
    shown: str
    """What messages about the database begin with; without passwords."""
    errors: tuple[type[Exception], ...]
    """The exceptions that the driver raises."""
    locked_free: str
    """Ends a query for rows that are to be deleted: it locks them, and leaves out locked ones."""
    locked_present: str
    """Ends a query for rows that must not be deleted before this transaction ends."""

    @abstractmethod
    def connect(self) -> Handle:
        """Open and set up a connection."""

    @abstractmethod
    def serialise(self, session: Session) -> None:
        """Wait until no other process changes the tables, and keep others out."""

    @abstractmethod
    def kept(self, query: Query) -> Query:
        """Return the query with a lock: other transactions wait before they write its rows."""

    @abstractmethod
    def statement(self, sql: str) -> str:
        """Translate a statement with `?` for its parameters into the driver's style."""

    @abstractmethod
    def most_parameters(self, handle: Handle) -> int:
        """Return how many parameters one statement takes."""

    @abstractmethod
    def insert(self, handle: Handle, batch: Batch) -> None:
        """Insert many rows."""

    @abstractmethod
    def update(self, handle: Handle, batch: Batch, keys: Sequence[str], condition: str) -> int:
        """Update many rows in the order given; return how many were found."""

    @abstractmethod
    def size(self, session: Session) -> StoreSize:
        """Return how large the tables are."""

    @abstractmethod
    def shrink(self, session: Session, most: int) -> int:
        """Give at most so many bytes of unused space back; return how many it were."""

    @abstractmethod
    def settle(self, handle: Handle) -> None:
        """Do now, outside of any transaction, what other writers would do for this one later."""

    @abstractmethod
    def usable(self, handle: Handle) -> bool:
        """Tell whether the connection still works."""

    @abstractmethod
    def check(self, handle: Handle) -> None:
        """Raise `StoreError` when writes would be lost."""

    @abstractmethod
    def may_pass(self, error: BaseException) -> bool:
        """Tell whether an error of the driver may be over when the same is tried again later."""

    @abstractmethod
    def explain(self, error: BaseException) -> str:
        """Say in two sentences what went wrong with which database, and what to do."""


class Session:
    """One transaction. It must not be used after its end."""

    def __init__(self, dialect: Dialect, handle: Handle) -> None:
        self._dialect = dialect
        self._open_handle: Handle | None = handle

    @property
    def handle(self) -> Handle:
        """The connection, for as long as the transaction lasts."""
        if self._open_handle is None:
            raise StoreError(
                "This transaction is over; nothing more can be read or written through it",
                lasting=True,
            )
        return self._open_handle

    def end(self) -> None:
        """Make every later use of this session an error."""
        self._open_handle = None

    @property
    def dialect(self) -> Dialect:
        """What differs between databases."""
        return self._dialect

    @property
    def most_parameters(self) -> int:
        """How many parameters one statement takes."""
        return self._dialect.most_parameters(self.handle)

    def execute(self, query: Query) -> int:
        """Run a query; return how many rows it touched."""
        return orm.run_query(self.handle, query)

    def rows(self, query: Query) -> Iterator[Row]:
        """Yield the rows of a query while they are read."""
        return orm.rows_of(self.handle, query)

    def first(self, query: Query) -> Row | None:
        """Return the first row of a query, if it has any."""
        return next(iter(list(self.rows(query.limit(1)))), None)

    def kept(self, query: Query) -> Row | None:
        """Return the first row and lock it until this transaction ends."""
        return next(iter(list(self.rows(self._dialect.kept(query)))), None)

    def sql(self, statement: str, values: Row = ()) -> list[Row]:
        """Run a statement with `?` for its parameters; return its rows, if it has any."""
        return orm.run_sql(self.handle, self._dialect.statement(statement), values)

    def insert(self, batch: Batch) -> None:
        """Insert many rows; a column that is left out gets its default."""
        self._dialect.insert(self.handle, batch)

    def update(self, batch: Batch, keys: Sequence[str], condition: str = "TRUE") -> int:
        """Update the rows with those keys that meet the condition; return how many there were.

        The condition names columns with their table.
        """
        return self._dialect.update(self.handle, batch, keys, condition)


@dataclass
class _Own:
    """The connection and transaction of one process."""

    pid: int = field(default_factory=os.getpid)
    lock: threading.RLock = field(default_factory=threading.RLock)
    handle: Handle | None = None
    session: Session | None = None


_inherited: list[_Own] = []
"""Connections of a parent process. Closing them here would harm the parent, so they are kept."""


class Database:
    """One connection, opened when it is needed, shared by threads, never by processes."""

    def __init__(self, dialect: Dialect, prepare: Callable[[Dialect, Handle], None]) -> None:
        """Keep `prepare`, which is called with every new connection before any other use."""
        self._dialect = dialect
        self._prepare = prepare
        self._state = _Own()

    def __del__(self, python_ends: Callable[[], bool] = sys.is_finalizing) -> None:
        # A store that is garbage-collected rather than closed leaves no connection open. When
        # Python ends there is none anyway, and imported modules may be gone already.
        if not python_ends() and self._state.pid == os.getpid():
            self._discard(self._state)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that only reads, or join the one that this thread has open."""
        own = self._own()
        with own.lock:
            if own.session is not None:
                yield own.session
                return
            with self._transaction(own, self._dialect.begin_reading) as session:
                try:
                    yield session
                except ReflowError:
                    raise
                except (LookupError, ValueError, TypeError, AttributeError, OverflowError) as error:
                    raise StoreError(
                        f"{self._dialect.shown} contains data that reflow did not write: {error}",
                        lasting=True,
                    ) from error

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a transaction that writes. An exception in the block rolls everything back."""
        own = self._own()
        with own.lock:
            if own.session is not None:
                raise StoreError(
                    "Something was to be written to the manifest inside another transaction; "
                    "write it before or after, or through the transaction's own writer",
                    lasting=True,
                )
            with self._transaction(own, self._dialect.begin_writing) as session:
                self._dialect.check(session.handle)
                yield session

    def settle(self) -> None:
        """Do now what the next writers would have to do for what was written here."""
        own = self._own()
        with own.lock:
            if own.session is None and own.handle is not None:
                with suppress(orm.PeeweeError, *self._dialect.errors):
                    self._dialect.settle(own.handle)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        own = self._own()
        with own.lock:
            if own.session is not None:
                raise StoreError(
                    "The store cannot be closed inside one of its transactions", lasting=True
                )
            self._discard(own)

    def _own(self) -> _Own:
        if self._state.pid != os.getpid():
            _inherited.append(self._state)
            self._state = _Own()
        return self._state

    @contextmanager
    def _transaction(self, own: _Own, begin: str) -> Iterator[Session]:
        try:
            try:
                handle = self._begun(own, begin)
                own.session = Session(self._dialect, handle)
                yield own.session
                if own.pid == os.getpid():
                    orm.run_sql(handle, "COMMIT")
            except BaseException:
                self._roll_back(own)
                raise
            finally:
                self._end_session(own)
        except (orm.PeeweeError, *self._dialect.errors) as error:
            cause = orm.cause_of(error)
            raise StoreError(
                self._dialect.explain(cause), lasting=not self._dialect.may_pass(cause)
            ) from error

    def _begun(self, own: _Own, begin: str) -> Handle:
        handle = self._connected(own)
        try:
            orm.run_sql(handle, begin)
        except (orm.PeeweeError, *self._dialect.errors):
            if self._dialect.usable(handle):
                raise
            # The server has gone away since. Nothing was sent yet, so open a new connection.
            self._discard(own)
            handle = self._connected(own)
            orm.run_sql(handle, begin)
        return handle

    def _connected(self, own: _Own) -> Handle:
        if own.handle is None:
            handle = self._dialect.connect()
            try:
                self._prepare(self._dialect, handle)
            except BaseException:
                handle.close()
                raise
            own.handle = handle
        return own.handle

    def _end_session(self, own: _Own) -> None:
        if own.session is not None:
            own.session.end()
            own.session = None

    def _roll_back(self, own: _Own) -> None:
        if own.handle is None or own.pid != os.getpid():
            return  # A forked copy of a transaction belongs to the parent process.
        try:
            orm.run_sql(own.handle, "ROLLBACK")
        except (orm.PeeweeError, *self._dialect.errors):
            # There may be none: SQLite ends it by itself when the disk is full.
            self._discard(own)

    def _discard(self, own: _Own) -> None:
        handle, own.handle = own.handle, None
        if handle is not None:
            with suppress(orm.PeeweeError, *self._dialect.errors):
                handle.close()
