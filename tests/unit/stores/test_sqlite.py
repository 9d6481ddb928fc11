"""SQLite files: where they may lie, and what is said when they cannot be used."""

# ruff: noqa: PT012 - what breaks a transaction off happens inside it.

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import StoreError
from reflow.model.records import Instance, Lease, Look, StoredOutput
from reflow.stores import reuse, sqlite
from reflow.stores.filesystem import Mount
from reflow.stores.sql import SqlStore
from reflow.testing.stores import RUN, new_run, plain_and_array, taker

from tests.unit.stores.files import LOCAL, NETWORK, refused
from tests.unit.stores.files import on as on
from tests.unit.stores.files import store as store


def journal(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    finally:
        connection.close()


def pragma(store: SqlStore, name: str) -> object:
    with store._database.reading() as session:
        return session.sql(f"PRAGMA {name}")[0][0]


BLIND = Mount(Path("/data"), "fuse.sshfs", frozenset({"rw"}))


def test_a_file_whose_locks_other_hosts_do_not_see_is_not_opened(
    on: Callable[[Mount | None], None], store: SqlStore, tmp_path: Path
) -> None:
    on(BLIND)
    with pytest.raises(StoreError, match=r"/data is fuse\.sshfs.*REFLOW_STORE"):
        store.create_run(new_run(), [])
    assert not (tmp_path / "m.db").exists()


# -- the journal ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mount", "expected"), [(LOCAL, "wal"), (NETWORK, "delete"), (None, "delete")]
)
def test_a_new_file_has_a_write_ahead_log_only_where_one_host_writes(
    on: Callable[[Mount | None], None],
    mount: Mount | None,
    expected: str,
    store: SqlStore,
    tmp_path: Path,
) -> None:
    on(mount)
    store.create_run(new_run(), [])
    store.close()
    assert journal(tmp_path / "m.db") == expected


def test_a_write_ahead_log_is_given_up_on_a_network_file_system(
    on: Callable[[Mount | None], None], store: SqlStore, tmp_path: Path
) -> None:
    on(LOCAL)
    store.create_run(new_run(), [])
    store.close()
    on(NETWORK)
    assert store.run(RUN) == new_run()
    store.close()
    assert journal(tmp_path / "m.db") == "delete"


def test_the_journal_is_changed_once_nobody_else_uses_the_file(
    on: Callable[[Mount | None], None], store: SqlStore, tmp_path: Path
) -> None:
    on(LOCAL)
    store.create_run(new_run(), [])
    store.close()
    other = sqlite3.connect(tmp_path / "m.db", check_same_thread=False)
    other.execute("SELECT count(*) FROM sqlite_master").fetchone()
    on(NETWORK)
    # SQLite itself does not wait for others here.
    leaving = threading.Timer(0.3, other.close)
    leaving.start()
    try:
        assert store.run(RUN) == new_run()
    finally:
        leaving.join()
    store.close()
    assert journal(tmp_path / "m.db") == "delete"


def test_a_file_without_one_is_never_given_a_write_ahead_log(
    on: Callable[[Mount | None], None], store: SqlStore, tmp_path: Path
) -> None:
    on(NETWORK)
    store.create_run(new_run(), [])
    store.close()
    on(LOCAL)
    assert store.run(RUN) == new_run()
    store.close()
    assert journal(tmp_path / "m.db") == "delete"


@pytest.mark.parametrize("mount", [LOCAL, NETWORK])
def test_a_commit_survives_a_crash_of_the_machine(
    on: Callable[[Mount | None], None], mount: Mount, store: SqlStore
) -> None:
    on(mount)
    assert pragma(store, "synchronous") == 2


def test_readers_are_not_held_up_by_a_writer(store: SqlStore, tmp_path: Path) -> None:
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    reader = SqlStore(store.url)
    with store.fenced(lease) as write:
        write.add_instances([Instance(task="work", index=0)])
        assert reader.instances(RUN) == []
    assert len(reader.instances(RUN)) == 1
    reader.close()


# -- files ---------------------------------------------------------------------------------------


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    SqlStore(f"{tmp_path}/new/m.db").close()
    assert not (tmp_path / "new").exists()


def test_missing_folders_are_made(tmp_path: Path) -> None:
    store = SqlStore(f"{tmp_path}/some/new/m.db")
    assert store.list_runs() == []
    store.close()
    assert (tmp_path / "some" / "new" / "m.db").is_file()


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_follow_the_umask_and_let_nobody_else_write(
    umask: int, mode: int, tmp_path: Path
) -> None:
    store = SqlStore(f"{tmp_path}/m.db")
    before = os.umask(umask)
    try:
        store.create_run(new_run(), [])
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("m.db*")}
    store.close()
    assert set(modes) >= {"m.db"}
    assert set(modes.values()) == {mode}


@pytest.mark.parametrize("name", ["a b?mode=memory.db", "ü%41.db", "\udcff.db", "-m.db"])
def test_a_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    store = SqlStore(f"{tmp_path}/{name}")
    store.create_run(new_run(), [])
    store.close()
    assert (tmp_path / name).is_file()
    again = SqlStore(store.url)
    assert again.run(RUN) == new_run()
    again.close()


def test_two_stores_in_one_process_do_not_disturb_each_other(tmp_path: Path) -> None:
    stores = [SqlStore(f"{tmp_path}/{name}.db") for name in "ab"]
    for number, each in enumerate(stores):
        each.create_run(new_run(message=f"store {number}"), plain_and_array()[:number])
    leases = [store.acquire(RUN, {}) for store in stores]
    first, second = stores
    assert isinstance(leases[0], Lease)
    with first.fenced(leases[0]):
        # Each has a transaction of its own.
        assert second.acquire(RUN, {}, second.lease(RUN)) is not None
    first.close()
    assert second.run(RUN).message == "store 1"
    assert len(second.tasks(RUN)) == 1
    assert first.run(RUN).message == "store 0"
    for each in stores:
        each.close()


# -- use ------------------------------------------------------------------------------------------


def test_writing_inside_a_transaction_is_refused_at_once(store: SqlStore) -> None:
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    with (
        pytest.raises(StoreError, match="inside another transaction"),
        store.fenced(lease) as write,
    ):
        write.set_task_size("work", 5)
        store.heartbeat(lease)
    assert store.tasks(RUN)[1].size is None


def test_reading_inside_a_transaction_sees_what_it_wrote(store: SqlStore) -> None:
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    with store.fenced(lease) as write:
        write.set_task_size("work", 5)
        assert store.tasks(RUN)[1].size == 5
    assert store.heartbeat(lease) is False


def test_a_store_is_not_closed_inside_a_transaction(store: SqlStore) -> None:
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    with pytest.raises(StoreError, match="closed"), store.fenced(lease):
        store.close()
    assert store.heartbeat(lease) is False


def test_a_store_that_is_dropped_lets_go_of_its_file(tmp_path: Path) -> None:
    store = SqlStore(f"{tmp_path}/m.db")
    store.create_run(new_run(), [])

    def open_files() -> list[str]:
        found = (os.path.realpath(entry) for entry in Path("/proc/self/fd").iterdir())
        return [path for path in found if path.startswith(f"{tmp_path}/m.db")]

    assert open_files()
    del store
    gc.collect()
    assert open_files() == []


# -- what can go wrong ----------------------------------------------------------------------------


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "m.db").write_text("dear diary\n" * 100)
    refused(tmp_path / "m.db", "is not an SQLite database", "REFLOW_STORE", lasting=True)
    assert (tmp_path / "m.db").read_text().startswith("dear diary")


def test_the_database_of_another_program(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "m.db")
    other.execute("CREATE TABLE photos (name)")
    other.close()
    before = (tmp_path / "m.db").read_bytes()
    refused(tmp_path / "m.db", "another program", "photos", "REFLOW_STORE", lasting=True)
    assert (tmp_path / "m.db").read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "m.db").touch()
    store = SqlStore(f"{tmp_path}/m.db")
    assert store.create_run(new_run(), [])
    store.close()


def test_a_damaged_file(store: SqlStore, tmp_path: Path) -> None:
    store.create_run(new_run(), [])
    store.close()
    path = tmp_path / "m.db"
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xaa" * 4000 + content[4100:])
    refused(path, "is damaged", "Restore it", lasting=True)


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "m.db").mkdir()
    refused(tmp_path / "m.db", "cannot be opened", "REFLOW_STORE")


def test_a_file_in_the_place_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    refused(tmp_path / "folder" / "m.db", "cannot be created", "REFLOW_STORE")


def test_a_file_kept_locked(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 0.1)
    store.create_run(new_run(), [])
    other = sqlite3.connect(tmp_path / "m.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"m\.db was kept locked by another process") as caught:
        store.request_wakeup(RUN)
    assert not caught.value.lasting
    assert store.run(RUN) == new_run()
    other.execute("ROLLBACK")
    other.close()
    store.request_wakeup(RUN)
    assert store.lease(RUN).wakeup


def test_a_file_removed_under_way(store: SqlStore, tmp_path: Path) -> None:
    store.create_run(new_run(), [])
    (tmp_path / "m.db").rename(tmp_path / "gone.db")
    with pytest.raises(StoreError, match=r"m\.db was removed or replaced"):
        store.request_wakeup(RUN)
    (tmp_path / "gone.db").rename(tmp_path / "m.db")
    store.request_wakeup(RUN)


def test_a_file_replaced_under_way(store: SqlStore, tmp_path: Path) -> None:
    store.create_run(new_run(), [])
    other = SqlStore(f"{tmp_path}/other.db")
    other.list_runs()
    other.close()
    (tmp_path / "other.db").rename(tmp_path / "m.db")
    with pytest.raises(StoreError, match=r"m\.db was removed or replaced"):
        store.create_run(new_run("lost"), [])


class Planning:
    """A session that carries nothing out, and keeps how SQLite would do it."""

    most_parameters = 30_000

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.plan: list[str] = []

    def sql(self, statement: str, values: Sequence[object]) -> list[tuple[object, ...]]:
        rows = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        self.plan += [row[3] for row in rows]
        return []


def test_results_are_looked_up_by_an_index_and_read_in_its_order(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite://{tmp_path}/m.db")
    store.list_runs()
    seen = StoredOutput(key=1, identity="a", paths=None, bound_dir=None, run_id="one", order=(1, 1))
    with contextlib.closing(sqlite3.connect(tmp_path / "m.db")) as connection:
        session: Any = Planning(connection)
        reuse.previous(session, taker(uid=1), [(0, "a")])
        reuse.found(session, taker(uid=1), [Look(identity="a", limit=2)])
        reuse.found(session, taker(uid=1), [Look(identity="a", limit=2, after=seen)])
    store.close()
    ways = [step for step in session.plan if step.split()[1] == "i"]
    by_key = "SEARCH i USING INTEGER PRIMARY KEY (rowid=?)"
    by_index = "SEARCH i USING INDEX reflow_instance_"
    assert [way for way in ways if way != by_key] == [
        f"{by_index}had (<expr>=? AND idx=?)",
        f"{by_index}reusable (<expr>=?)",
        f"{by_index}reusable (<expr>=? AND task<?)",
    ]
    assert not [step for step in session.plan if "TEMP B-TREE" in step]
