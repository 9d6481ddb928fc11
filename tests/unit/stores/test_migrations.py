"""Tables of older and newer versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.errors import StoreError, StoreVersionError
from reflow.model.records import RequestKind
from reflow.stores import orm
from reflow.stores.database import Database, Session
from reflow.stores.migrations import STEPS, Step, migrate
from reflow.stores.models import Schema
from reflow.stores.postgres import PostgresDialect
from reflow.stores.sql import SqlStore
from reflow.stores.sqlite import SqliteDialect
from reflow.stores.url import PostgresUrl, parse_url
from reflow.testing.stores import RUN, new_run, plain_and_array


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


def add_place(session: Session) -> None:
    session.sql('ALTER TABLE "reflow_run" ADD COLUMN "place" TEXT')


def fill_place(session: Session) -> None:
    session.sql('UPDATE "reflow_run" SET "place" = \'sea\'')


def break_off(session: Session) -> None:
    session.sql('CREATE TABLE "reflow_half" ("id" INTEGER)')
    raise RuntimeError("broken off")


def version(database: Database) -> int:
    with database.reading() as session:
        row = session.first(Schema.select(Schema.version))
        assert row is not None
        return int(row[0])


def test_an_older_version_is_brought_up_to_date_with_what_it_holds(
    url: str, versions: Versions
) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), plain_and_array())
    database = versions.database(*STEPS, add_place, fill_place)
    with database.reading() as session:
        assert session.sql('SELECT "run_id", "place" FROM "reflow_run"') == [(RUN, "sea")]
    assert version(database) == len(STEPS) + 2
    store.close()


def test_a_database_of_the_first_version_can_be_used(url: str, versions: Versions) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), plain_and_array())
    store.close()
    with versions.database(*STEPS).writing() as session:
        session.sql('DROP TABLE "reflow_note"')
        session.sql('ALTER TABLE "reflow_run" DROP COLUMN "uid"')
        session.sql('ALTER TABLE "reflow_request" DROP COLUMN "uid"')
        session.sql('ALTER TABLE "reflow_request" DROP COLUMN "options"')
        session.execute(Schema.update(version=1))
    assert store.notes(RUN) == []
    assert store.run(RUN) == new_run()
    store.add_request(RUN, RequestKind.CANCEL)
    assert [request.options for request in store.requests(RUN)] == [{}]
    assert version(versions.database(*STEPS)) == len(STEPS)
    store.close()


def test_a_version_in_between_gets_only_the_steps_it_lacks(versions: Versions) -> None:
    versions.database(*STEPS, add_place).close()
    assert version(versions.database(*STEPS, add_place)) == len(STEPS) + 1
    assert version(versions.database(*STEPS, add_place, fill_place)) == len(STEPS) + 2


def test_a_step_that_breaks_off_leaves_the_old_version(url: str, versions: Versions) -> None:
    store = SqlStore(url)
    store.create_run(new_run(), [])
    with pytest.raises(RuntimeError, match="broken off"):
        version(versions.database(*STEPS, add_place, break_off))
    store.close()
    assert store.run(RUN) == new_run()
    assert version(versions.database(*STEPS, add_place)) == len(STEPS) + 1
    store.close()


def test_a_newer_version_is_refused_and_left_alone(url: str, versions: Versions) -> None:
    store = SqlStore(url)
    newer = versions.database(*STEPS, add_place)
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
