"""The dialect of SQLite, and how its files are opened safely on shared file systems."""

# ruff: noqa: S608 - what is put into statements here are names and constants of this package.

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from reflow.errors import StoreError
from reflow.model.cleaning import StoreSize
from reflow.permissions import make_folder
from reflow.stores import orm
from reflow.stores.bulk import Batch
from reflow.stores.database import Dialect, Session
from reflow.stores.filesystem import STORE_ELSEWHERE, mount_of
from reflow.stores.models import SCHEMA_TABLE
from reflow.stores.orm import Handle, Query

PATIENCE = 30.0
"""Seconds to wait for a file that another process has locked."""

CACHE_KIB = 32_768
"""Pages kept in memory, so that a large transaction is written once."""


PAGE_BYTES = 16_384
"""Rows grow when their outcome is recorded; large pages are split less often."""

_INCREMENTAL = 2
"""The mode of a file that can be cut while others use it; only a new file can be given it."""


class SqliteDialect(Dialect):
    """A file, written by any number of processes on one host or, without a WAL, on several."""

    begin_reading = "BEGIN"
    begin_writing = "BEGIN IMMEDIATE"
    errors = (sqlite3.Error,)
    # An immediate transaction locks the whole database.
    locked_free = locked_present = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.shown = f"The manifest {path}"
        self._file: tuple[int, int] | None = None

    def connect(self) -> Handle:
        """Open the file, creating it and its folder, with the journal its file system allows."""
        mount = mount_of(self._path)
        if mount is not None and mount.blind_locks:
            raise StoreError(f"{self.shown} is not opened: {mount.blind_locks}. {STORE_ELSEWHERE}")
        try:
            make_folder(self._path.parent)
        except OSError as error:
            raise StoreError(
                f"{self.shown} cannot be created: {error.strerror}: {error.filename}. "
                "Change the permissions of its folder, or choose another place with REFLOW_STORE"
            ) from error
        handle = orm.sqlite_handle(str(self._path), PATIENCE)
        try:
            handle.connect()
            self._set_up(handle, local=mount is not None and mount.local)
            # A commit that has returned must survive a crash of the machine.
            orm.run_sql(handle, "PRAGMA synchronous = FULL")
            orm.run_sql(handle, f"PRAGMA cache_size = -{CACHE_KIB}")
            self._file = self._file_now()
        except BaseException:
            handle.close()
            raise
        return handle

    def serialise(self, session: Session) -> None:
        """Do nothing: an immediate transaction locks the whole database."""

    def kept(self, query: Query) -> Query:
        """Do nothing: an immediate transaction locks the whole database."""
        return query

    def statement(self, sql: str) -> str:
        """Write parameters as `?`, as SQLite does."""
        return sql

    def most_parameters(self, handle: Handle) -> int:
        """Return the limit that the library was built with: 999 before 3.32."""
        limit = handle.connection().getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        return int(limit)

    def insert(self, handle: Handle, batch: Batch) -> None:
        """Run one statement, which the driver repeats for each row."""
        cells = {**batch.constants, **dict.fromkeys(batch.bound, "?")}
        columns = ", ".join(f'"{column}"' for column in cells)
        orm.run_many(
            handle,
            f'INSERT INTO "{batch.name}" ({columns}) VALUES ({", ".join(cells.values())})',
            list(zip(*batch.bound.values(), strict=True)),
        )

    def update(self, handle: Handle, batch: Batch, keys: Sequence[str], condition: str) -> int:
        """Run one statement, which the driver repeats for each row."""
        bound = [column for column in batch.bound if column not in keys]
        cells = {**batch.constants, **dict.fromkeys(bound, "?")}
        written = [f'"{column}" = {batch.written(column, cell)}' for column, cell in cells.items()]
        found = " AND ".join([*(f'"{key}" = ?' for key in keys), condition])
        return orm.run_many(
            handle,
            f'UPDATE "{batch.name}" SET {", ".join(written)} WHERE {found}',
            list(zip(*(batch.bound[column] for column in (*bound, *keys)), strict=True)),
        )

    def size(self, session: Session) -> StoreSize:
        """Count the pages of the file."""
        page, pages, unused, mode = (
            session.sql(f"PRAGMA {name}")[0][0]
            for name in ("page_size", "page_count", "freelist_count", "auto_vacuum")
        )
        return StoreSize(total=page * pages, free=page * unused, shrinks=mode == _INCREMENTAL)

    def shrink(self, session: Session, most: int) -> int:
        """Move pages from the end of the file to unused ones, and cut it off."""
        before = self.size(session)
        if not before.shrinks or not before.free:
            return 0
        # Python's driver takes one step of such a statement, which frees one page.
        for _ in range(min(max(1, most // PAGE_BYTES), before.free // PAGE_BYTES)):
            orm.run_sql(session.handle, "PRAGMA incremental_vacuum(1)")
        return before.total - self.size(session).total

    def settle(self, handle: Handle) -> None:
        """Copy what stands in a write-ahead log into the file, as far as nobody reads it there."""
        orm.run_sql(handle, "PRAGMA wal_checkpoint(PASSIVE)")

    def usable(self, handle: Handle) -> bool:
        """Return True: a file has no connection that could be lost."""
        return not handle.is_closed()

    def check(self, handle: Handle) -> None:
        """Raise `StoreError` where the file was removed: writes to it would be lost."""
        present = self._file_now()
        if present is None or present != self._file:
            raise StoreError(
                f"{self.shown} was removed or replaced while it was in use. Put it back, then "
                f"start the command again"
            )

    def may_pass(self, error: BaseException) -> bool:
        """Tell whether the file was locked or away, or its disk full."""
        name = str(getattr(error, "sqlite_errorname", ""))
        return bool(name) and not name.startswith(_LASTING)

    def explain(self, error: BaseException) -> str:
        """Explain an error by SQLite's result code."""
        name = str(getattr(error, "sqlite_errorname", ""))
        for prefix, sentence in _SENTENCES.items():
            if name.startswith(prefix):
                return f"{self.shown} {sentence}"
        return f"{self.shown} could not be used: {error}"

    def _file_now(self) -> tuple[int, int] | None:
        with suppress(OSError):
            found = os.stat(self._path)  # noqa: PTH116
            return found.st_dev, found.st_ino
        return None

    def _set_up(self, handle: Handle, *, local: bool) -> None:
        """Check that the file is a manifest, and choose the settings that stay in it for good.

        A write-ahead log needs memory that all writers share, so one host. An existing file is
        never changed to it: other hosts may use a file that is local here.
        """
        names = {row[0] for row in orm.run_sql(handle, "SELECT name FROM sqlite_master")}
        new = not names
        if names and SCHEMA_TABLE not in names:
            raise StoreError(
                f"{self.shown} is the SQLite database of another program; it holds "
                f"{min(names)!r}. Choose another store with REFLOW_STORE",
                lasting=True,
            )
        present = orm.run_sql(handle, "PRAGMA journal_mode")[0][0]
        if new:
            orm.run_sql(handle, f"PRAGMA page_size = {PAGE_BYTES}")
            orm.run_sql(handle, f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        if local and new and present != "wal":
            _change_journal(handle, "wal")
        elif not local and present == "wal":
            _change_journal(handle, "delete")


def _change_journal(handle: Handle, mode: str) -> None:
    """Change the journal once no other process uses the file.

    Where two processes open a new file at once, SQLite may refuse one of them without waiting.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            orm.run_sql(handle, f"PRAGMA journal_mode = {mode}")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


_SENTENCES = {
    "SQLITE_NOTADB": "is not an SQLite database. Move the file away, or choose another store with "
    "REFLOW_STORE",
    "SQLITE_CORRUPT": "is damaged. Restore it from a copy, or move it away to start with an empty "
    "one; results in the run directories stay",
    "SQLITE_FULL": "cannot be written: the disk is full. Free some space, then run the command "
    "again",
    "SQLITE_READONLY": "cannot be written by you, or is on a read-only file system. "
    "Change its permissions, or choose another store with REFLOW_STORE",
    "SQLITE_CANTOPEN": "cannot be opened or created. Check that its folder exists and that you "
    "may write to it, or choose another store with REFLOW_STORE",
    "SQLITE_PERM": "may not be opened by you. Change its permissions, or choose another store with "
    "REFLOW_STORE",
    "SQLITE_BUSY": f"was kept locked by another process for {PATIENCE:.0f} s. Find the process "
    "that holds it (with `fuser`), then run the command again",
    "SQLITE_PROTOCOL": "could not be locked. If it is on a network file system, check that its "
    "lock service runs, or choose another store with REFLOW_STORE",
    "SQLITE_IOERR": "could not be read or written: the file system reported an error. See whether "
    "your quota or the disk is full, then run the command again",
    "SQLITE_NOMEM": "could not be used: there is not enough memory. Run the command again where "
    "there is more",
    "SQLITE_TOOBIG": "cannot hold a value that large. Write it to a file and return its path",
    "SQLITE_CONSTRAINT": "already holds a record of that name or number; nothing was written",
}

_LASTING = (
    "SQLITE_ERROR",
    "SQLITE_NOTADB",
    "SQLITE_CORRUPT",
    "SQLITE_TOOBIG",
    "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH",
    "SQLITE_MISUSE",
    "SQLITE_RANGE",
)
"""Errors that trying again does not end: what was asked, or the file, is at fault."""
