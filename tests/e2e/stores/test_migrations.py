"""Tables of older and newer versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.errors import StoreError, StoreVersionError
from reflow.model.records import Instance, Look, RequestKind
from reflow.model.states import RunState, TaskState
from reflow.stores import orm
from reflow.stores.database import Database, Session
from reflow.stores.migrations import STEPS, Step, migrate
from reflow.stores.models import Schema
from reflow.stores.postgres import PostgresDialect
from reflow.stores.sql import SqlStore
from reflow.stores.sqlite import SqliteDialect
from reflow.stores.url import PostgresUrl, parse_url
from reflow.testing.stores import RUN, failure, new_run, plain_and_array, taker

from tests.e2e.support import SECONDS, FlowFile


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite://{tmp_path}/m.db"


class Versions:
    """Databases of one URL, opened by code that knows so many steps."""

    def __init__(self, url: str) -> None:
        parsed = parse_url(url)
        self._dialect = (
            PostgresDialect(parsed)
            if isinstance(parsed, PostgresUrl)
            else SqliteDialect(parsed.path)
        )
        self._open: list[Database] = []

    def database(self, *steps: Step) -> Database:
        database = Database(self._dialect, lambda dialect, handle: migrate(dialect, handle, steps))
        self._open.append(database)
        return database

    def close(self) -> None:
        for database in self._open:
            database.close()


@pytest.fixture
def versions(url: str) -> Iterator[Versions]:
    opened = Versions(url)
    yield opened
    opened.close()


def add_harbour(session: Session) -> None:
    session.sql('ALTER TABLE "reflow_run" ADD COLUMN "harbour" TEXT')


def fill_harbour(session: Session) -> None:
    session.sql('UPDATE "reflow_run" SET "harbour" = \'sea\'')


def break_off(session: Session) -> None:
    session.sql('CREATE TABLE "reflow_half" ("id" INTEGER)')
    raise RuntimeError("broken off")


def version(database: Database) -> int:
    with database.reading() as session:
        row = session.first(Schema.select(Schema.version))
        assert row is not None
        return int(row[0])


def indexes(database: Database) -> set[str]:
    with database.reading() as session:
        return {index.name for index in session.handle.get_indexes("reflow_instance")}


RENAMED = (
    ("run", "beat", "heartbeat"),
    ("run", "mark", "wakeup"),
    ("instance", "counted", "retries_used"),
    ("instance", "uncounted", "node_losses"),
)
"""What columns of tables were called in version 2, and are called since."""


def make_version_3(session: Session) -> None:
    """Give a database of the newest version the form that version 3 had."""
    session.sql('DROP TABLE "reflow_attempt"')
    session.sql('DROP INDEX "reflow_instance_taken"')
    for column in ("tags", "cleaned_at", "extent", "cleaning"):
        session.sql(f'ALTER TABLE "reflow_run" DROP COLUMN "{column}"')
    session.execute(Schema.update(version=3))


def make_version_2(session: Session) -> None:
    """Give a database of the newest version the form that version 2 had."""
    make_version_3(session)
    for table, old, new in RENAMED:
        session.sql(f'ALTER TABLE "reflow_{table}" RENAME COLUMN "{new}" TO "{old}"')
    session.execute(Schema.update(version=2))


def test_an_older_version_is_brought_up_to_date_with_what_it_holds(
    url: str, versions: Versions
) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), plain_and_array())
    database = versions.database(*STEPS, add_harbour, fill_harbour)
    with database.reading() as session:
        assert session.sql('SELECT "run_id", "harbour" FROM "reflow_run"') == [(RUN, "sea")]
    assert version(database) == len(STEPS) + 2
    store.close()


def test_a_database_of_the_first_version_can_be_used(url: str, versions: Versions) -> None:
    with versions.database(*STEPS).writing() as session:
        make_version_2(session)
        session.sql('DROP TABLE "reflow_note"')
        session.sql('ALTER TABLE "reflow_request" DROP COLUMN "uid"')
        session.sql('ALTER TABLE "reflow_request" DROP COLUMN "options"')
        for index in ("reusable", "had"):
            session.sql(f'DROP INDEX "reflow_instance_{index}"')
        session.sql(
            'CREATE INDEX "reflow_instance_reusable" ON "reflow_instance" ("identity") '
            'WHERE "reusable" = 1'
        )
        for column in ("uid", "lineage", "place"):
            session.sql(f'ALTER TABLE "reflow_run" DROP COLUMN "{column}"')
        session.sql(
            'INSERT INTO "reflow_run" ("run_id", "workflow", "state", "run_dir", "created_at", '
            '"executor", "parameters", "message", "epoch", "beat", "mark") '
            "VALUES ('old', 'tide', 'RUNNING', '/scratch/tide', 0, '', '{}', '', 0, 0, 0)"
        )
        session.execute(Schema.update(version=1))
    store = SqlStore(url)
    old = store.run("old")
    assert (old.uid, old.lineage, old.place) == (None, "", "")
    assert store.notes("old") == []
    store.add_request("old", RequestKind.CANCEL)
    assert [request.options for request in store.requests("old")] == [{}]
    assert store.find_outputs(taker(), [Look(identity="a", limit=1)]) == {}
    assert version(versions.database(*STEPS)) == len(STEPS)
    new = new_run(uid=1000, lineage="old/t/0,", place="t/0,")
    store.create_run(new, [])
    assert store.run(RUN) == new
    assert indexes(versions.database(*STEPS)) >= {
        "reflow_instance_reusable",
        "reflow_instance_had",
        "reflow_instance_taken",
    }
    store.close()


def test_a_database_of_the_second_version_keeps_leases_and_tries(
    url: str, versions: Versions
) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {"host": "h"})
    assert lease is not None
    store.heartbeat(lease)
    store.request_wakeup(RUN)
    with store.fenced(lease) as writer:
        writer.add_instances([Instance(task="prepare", index=0, retries_used=2, node_losses=3)])
    before = store.lease(RUN), store.instances(RUN)
    store.close()
    with versions.database(*STEPS).writing() as session:
        make_version_2(session)

    assert (store.lease(RUN), store.instances(RUN)) == before
    assert store.heartbeat(lease) is True
    assert version(versions.database(*STEPS)) == len(STEPS)
    store.close()


def test_a_database_of_the_third_version_keeps_attempts_from_the_last_failures_on(
    url: str, versions: Versions
) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    with store.fenced(lease) as writer:
        writer.add_instances([Instance(task="prepare", index=0, attempt=2)])
        writer.record_outcomes([failure(task="prepare", attempt=2, host="n1")])
    store.close()
    with versions.database(*STEPS).writing() as session:
        make_version_3(session)

    assert store.run(RUN) == new_run()
    (kept,) = store.attempts(RUN)
    assert (kept.outcome.attempt, kept.outcome.state) == (2, TaskState.FAILED)
    assert (kept.outcome.host, kept.outcome.error) == ("n1", failure().error)
    tagged = new_run("tagged", tags=("paper", "figure 3"))
    store.create_run(tagged, [])
    assert store.run("tagged") == tagged
    store.close()


def test_a_run_in_a_database_of_the_second_version_can_be_continued(
    url: str, versions: Versions, flow_file: Callable[..., FlowFile]
) -> None:
    flow = flow_file("""
        wf = Workflow("tide")

        @wf.job()
        def first() -> int:
            did("first")
            return 1

        @wf.job()
        def second(x: Annotated[int, Result(step="first")]) -> int:
            did("second")
            if not os.path.exists("{here}/mended"):
                raise ValueError("not yet")
            return x + 1
    """)
    run = flow.run("background", store=url)
    assert run.state is RunState.FAILED
    run.store.close()
    with versions.database(*STEPS).writing() as session:
        make_version_2(session)
    assert run.state is RunState.FAILED
    (flow.folder / "mended").touch()

    run.retry()
    run.wait(timeout=SECONDS)

    assert run.result("second") == 2
    assert flow.calls == {"first": 1, "second": 2}
    run.store.close()


def test_a_version_in_between_gets_only_the_steps_it_lacks(versions: Versions) -> None:
    versions.database(*STEPS, add_harbour).close()
    assert version(versions.database(*STEPS, add_harbour)) == len(STEPS) + 1
    assert version(versions.database(*STEPS, add_harbour, fill_harbour)) == len(STEPS) + 2


def test_a_step_that_breaks_off_leaves_the_old_version(url: str, versions: Versions) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), [])
    with pytest.raises(RuntimeError, match="broken off"):
        version(versions.database(*STEPS, add_harbour, break_off))
    store.close()
    assert store.run(RUN) == new_run()
    assert version(versions.database(*STEPS, add_harbour)) == len(STEPS) + 1
    store.close()


def test_a_newer_version_is_refused_and_left_alone(url: str, versions: Versions) -> None:
    store = SqlStore(url)
    newer = versions.database(*STEPS, add_harbour)
    assert version(newer) == len(STEPS) + 1
    with pytest.raises(StoreVersionError, match=r"newer reflow.*pip install --upgrade"):
        store.list_runs()
    assert version(newer) == len(STEPS) + 1
    store.close()


def test_the_tables_of_the_models_are_those_of_the_steps(versions: Versions) -> None:
    from reflow.stores.models import TABLES

    with versions.database(*STEPS).reading() as session:
        for table in TABLES:
            columns = {column.name for column in session.handle.get_columns(orm.table_name(table))}
            assert columns == set(table._meta.columns)


def test_a_database_that_cannot_be_prepared_is_opened_anew_the_next_time(
    versions: Versions,
) -> None:
    attempts: list[int] = []

    def late(session: Session) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise StoreError("not yet")

    database = versions.database(*STEPS, late)
    with pytest.raises(StoreError, match="not yet"):
        version(database)
    assert version(database) == len(STEPS) + 1
