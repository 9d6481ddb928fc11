"""PostgreSQL servers: what is said when one cannot be used, and servers that go away."""

# ruff: noqa: PT012 - what breaks a transaction off happens inside it.

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psycopg
import pytest
from reflow.errors import StoreError
from reflow.stores import postgres as module
from reflow.stores.sql import SqlStore
from reflow.testing.stores import RUN, new_run, plain_and_array


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    store = SqlStore(postgres_url)
    yield store
    store.close()


def end_sessions_of(url: str) -> None:
    """Let the server hang up on every store."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'reflow'"
        )


def test_a_server_that_hung_up_is_called_again(store: SqlStore, postgres: str) -> None:
    store.create_run(new_run(), [])
    end_sessions_of(postgres)
    assert store.run(RUN) == new_run()
    end_sessions_of(postgres)
    store.request_wakeup(RUN)
    assert store.lease(RUN).wakeup


def test_a_server_that_hangs_up_inside_a_transaction_has_written_nothing(
    store: SqlStore, postgres: str
) -> None:
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    with (
        pytest.raises(StoreError, match="could not be used") as caught,
        store.fenced(lease) as write,
    ):
        write.set_task_size("work", 5)
        end_sessions_of(postgres)
        write.set_task_size("work", 6)
    assert not caught.value.lasting
    assert store.tasks(RUN)[1].size is None
    assert store.heartbeat(lease) is False


def test_a_row_kept_locked(
    store: SqlStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 1)
    store.create_run(new_run(), [])
    with psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM reflow_run FOR UPDATE")
        with pytest.raises(StoreError, match="kept locked by another process for 1 s"):
            store.request_wakeup(RUN)
        # Who only reads does not wait.
        assert store.run(RUN) == new_run()
    store.request_wakeup(RUN)


def test_who_stops_inside_a_transaction_locks_nobody_out_for_ever(
    store: SqlStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    store.close()
    monkeypatch.setattr(module, "PATIENCE", 1)
    with pytest.raises(StoreError), store.fenced(lease) as write:
        write.set_task_size("work", 5)
        monkeypatch.setattr(module, "PATIENCE", 30)
        other = SqlStore(postgres_url)
        # Waits for the row until the server has given up on the one that does nothing.
        other.request_wakeup(RUN)
        other.close()
        write.set_task_size("work", 6)
    assert store.tasks(RUN)[1].size is None


def test_an_absent_server_is_named_without_the_password() -> None:
    store = SqlStore("postgresql://anna:s%40fe@127.0.0.1:1/team")
    with pytest.raises(StoreError) as caught:
        store.list_runs()
    said = str(caught.value)
    assert "127.0.0.1:1/team" in said
    assert "REFLOW_STORE" in said
    assert "s%40fe" not in said
    assert "s@fe" not in said
    assert "\n" not in said


def test_an_unknown_database_is_named(postgres: str) -> None:
    store = SqlStore(postgres.replace("/postgres?", "/nowhere?"))
    with pytest.raises(StoreError, match=r"nowhere.*does not exist"):
        store.list_runs()


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS narrow")
        connection.execute("CREATE DATABASE narrow ENCODING 'LATIN1' TEMPLATE template0")
    store = SqlStore(postgres.replace("/postgres?", "/narrow?"))
    with pytest.raises(StoreError, match=r"LATIN1.*UTF8"):
        store.list_runs()


def test_other_tables_of_the_database_are_left_alone(store: SqlStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE run (id int)")
        connection.execute("INSERT INTO run VALUES (7)")
        store.create_run(new_run(), [])
        assert connection.execute("SELECT id FROM run").fetchall() == [(7,)]


def test_whole_numbers_may_stand_among_others(store: SqlStore) -> None:
    from reflow.model.records import Instance

    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    instances = [
        Instance(task="work", index=index, not_before=index / 2 if index % 2 else index)
        for index in range(20)
    ]
    with store.fenced(lease) as write:
        write.add_instances(instances)
    assert store.instances(RUN) == instances


def test_a_missing_driver_is_named_with_what_to_install() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from reflow.stores.sql import SqlStore\n"
        "SqlStore('postgresql://anna@127.0.0.1/team')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'reflow-core[postgres]'" in done.stderr.splitlines()[-1]
