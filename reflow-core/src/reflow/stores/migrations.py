"""The versions of the tables, and the migration from each to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from reflow.errors import StoreVersionError
from reflow.stores import orm
from reflow.stores.database import Dialect, Session
from reflow.stores.models import HAD, REUSABLE, SCHEMA_TABLE, TABLES, TAKEN, Attempt, Note, Schema
from reflow.stores.orm import Handle

Step: TypeAlias = Callable[[Session], None]


def _create_tables(session: Session) -> None:
    """Create the tables in their newest form; the other steps are for older databases only."""
    orm.create_tables(session.handle, TABLES)
    session.execute(Schema.insert(version=0))


def _to_2(session: Session) -> None:
    """Add notes, the users of submissions, runs and requests, and the results that indexes had."""
    orm.create_tables(session.handle, (Note,))
    for table, column, kind in (
        ("reflow_run", "uid", "BIGINT"),
        ("reflow_run", "lineage", "TEXT NOT NULL DEFAULT ''"),
        ("reflow_run", "place", "TEXT NOT NULL DEFAULT ''"),
        ("reflow_request", "uid", "BIGINT"),
        ("reflow_request", "options", "TEXT NOT NULL DEFAULT '{}'"),
    ):
        session.sql(f'ALTER TABLE "{table}" ADD COLUMN "{column}" {kind}')
    session.sql('DROP INDEX "reflow_instance_reusable"')
    for index in (REUSABLE, HAD):
        session.execute(index)


def _to_3(session: Session) -> None:
    """Give columns the words that the code and the documentation use."""
    for table, old, new in (
        ("reflow_run", "beat", "heartbeat"),
        ("reflow_run", "mark", "wakeup"),
        ("reflow_instance", "counted", "retries_used"),
        ("reflow_instance", "uncounted", "node_losses"),
    ):
        session.sql(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"')


def _to_4(session: Session) -> None:
    """Add earlier attempts, the tags of runs, and what cleaning up needs.

    That is how far a run is cleaned up, and an index that tells which results are in use. Of
    instances that failed, the last attempt is known, and becomes one of the earlier attempts.
    """
    orm.create_tables(session.handle, (Attempt,))
    columns = (
        "task, idx, attempt, state, wave, cause, native_id, mem_scale, time_scale, host, log, "
        "started_at, ended_at, peak_memory, cpu_time, error"
    )
    session.sql(
        f"INSERT INTO reflow_attempt ({columns}) SELECT {columns} FROM reflow_instance "  # noqa: S608
        "WHERE state = 'FAILED' AND attempt > 0"
    )
    for column, kind in (
        ("tags", "TEXT NOT NULL DEFAULT '[]'"),
        ("cleaned_at", "BIGINT"),
        ("extent", "TEXT"),
        ("cleaning", "INTEGER NOT NULL DEFAULT 0"),
    ):
        session.sql(f'ALTER TABLE "reflow_run" ADD COLUMN "{column}" {kind}')
    session.execute(TAKEN)


STEPS: Sequence[Step] = (_create_tables, _to_2, _to_3, _to_4)
"""Step n makes version n + 1 out of version n; step 0 makes the newest version in an empty
database. A released step never changes."""


def migrate(dialect: Dialect, handle: Handle, steps: Sequence[Step] = STEPS) -> None:
    """Bring the tables to the newest version, all steps in one transaction or none.

    Any number of processes may do this at once. Raises `StoreVersionError` when the tables are
    newer than this code.
    """
    session = Session(dialect, handle)
    if _version(session) == len(steps):
        return
    orm.run_sql(handle, dialect.begin_writing)
    try:
        dialect.serialise(session)
        _carry_out(session, dialect, steps)
        orm.run_sql(handle, "COMMIT")
    except BaseException:
        with suppress(*dialect.errors):
            orm.run_sql(handle, "ROLLBACK")
        raise


def _carry_out(session: Session, dialect: Dialect, steps: Sequence[Step]) -> None:
    version = _version(session)
    if version > len(steps):
        raise StoreVersionError(
            f"{dialect.shown} was written by a newer reflow: its tables have version {version}, "
            f"this reflow knows them up to {len(steps)}. Run `pip install --upgrade reflow-core`, "
            f"or choose another store with REFLOW_STORE"
        )
    if version == 0:
        _create_tables(session)
        version = len(STEPS)
    for step in steps[version:]:
        step(session)
    session.execute(Schema.update(version=len(steps)))


def _version(session: Session) -> int:
    if not session.handle.table_exists(SCHEMA_TABLE):
        return 0
    row = session.first(Schema.select(Schema.version))
    return int(row[0]) if row else 0
