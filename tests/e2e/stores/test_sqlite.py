"""SQLite files on disks that are full, in processes that fork, and at the end of Python."""

# ruff: noqa: PT012 - what breaks a transaction off happens inside it.

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.errors import StoreError
from reflow.model.cleaning import Extent, RowPosition
from reflow.model.records import Instance
from reflow.model.states import RunState
from reflow.stores.filesystem import Mount
from reflow.stores.sql import SqlStore
from reflow.testing.store_process import TASK
from reflow.testing.stores import RUN, new_run, plain_and_array, success

from tests.unit.stores.files import LOCAL, NETWORK, refused
from tests.unit.stores.files import on as on
from tests.unit.stores.files import store as store


def test_a_store_that_outlives_python_itself_is_let_go_in_silence(tmp_path: Path) -> None:
    code = (
        "import os, sys; from reflow.stores import database, sql; "
        "os.module, os.store = database, sql.SqlStore(sys.argv[1]); os.store.list_runs()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, f"{tmp_path}/m.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_fork_inside_a_transaction_does_not_end_it(store: SqlStore, tmp_path: Path) -> None:
    store.create_run(new_run(), plain_and_array())
    script = """
import os, sys
from reflow.stores.sql import SqlStore
store = SqlStore(sys.argv[1])
lease = store.acquire(sys.argv[2], {})
with store.fenced(lease) as write:
    write.set_task_size("work", 5)
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        write.set_task_size("work", 6)
if not child:
    assert store.tasks(sys.argv[2])[1].size is None
    os._exit(0)
assert store.tasks(sys.argv[2])[1].size == 6
"""
    command = [sys.executable, "-c", script, store.url, RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    # Lazily: a test that failed may hold files open, and must not disturb later ones.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("mount", [LOCAL, NETWORK])
def test_a_full_disk_and_then_room_again(
    small_disk: Path, on: Callable[[Mount | None], None], mount: Mount
) -> None:
    on(mount)
    store = SqlStore(f"{small_disk}/m.db")
    store.create_run(new_run(), [])
    ballast = small_disk / "ballast"
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(b"x" * 2_000_000)
    written = 0
    with pytest.raises(
        StoreError, match=rf"{small_disk}/m\.db cannot be written: the disk is full"
    ):
        for written in range(10_000):
            store.create_run(new_run(f"run-{written}", message="x" * 10_000), [])
    assert len(store.list_runs()) == written + 1
    ballast.unlink()
    assert store.create_run(new_run(f"run-{written}"), [])
    assert len(store.list_runs()) == written + 2
    store.close()


def test_a_full_disk_at_the_start(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(b"x" * 2_000_000)
    refused(small_disk / "m.db", "the disk is full", "Free some space")


def test_a_read_only_file_system(small_disk: Path) -> None:
    store = SqlStore(f"{small_disk}/m.db")
    store.create_run(new_run("there"), [])
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    refused(small_disk / "m.db", "cannot be", "REFLOW_STORE")
    refused(small_disk / "new" / "m.db", "cannot be created", "Read-only file system")


def test_a_file_is_cut_where_records_were_removed(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite://{tmp_path}/m.db")
    store.create_run(new_run(), plain_and_array())
    lease = store.acquire(RUN, {})
    assert lease is not None
    new = [Instance(task=TASK, index=index) for index in range(20)]
    big = [success(index, output='"' + "x" * 400_000 + '"') for index in range(20)]
    with store.fenced(lease) as writer:
        writer.add_instances(new)
        writer.record_outcomes(big)
        writer.set_run_state(RunState.SUCCESS)
    full = store.size().total
    store.begin_cleaning(lease, Extent.RUN)
    position: RowPosition | None = RowPosition()
    while position is not None:
        position = store.remove_records(lease, Extent.RUN, position, 10)
    assert store.end_cleaning(lease)
    assert store.size().free > 7_000_000

    first = store.shrink(1_000_000)

    assert 900_000 < first <= 1_000_000
    while store.shrink(4_000_000):
        pass
    assert store.size().free == 0
    assert store.size().total < full - 7_000_000
    store.close()
