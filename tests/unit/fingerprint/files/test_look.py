from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reflow.fingerprint.files import fresh, trees
from reflow.fingerprint.files import look as looking
from reflow.fingerprint.files.contents import Contents, OwnMemory
from reflow.fingerprint.files.states import State

from tests.unit.fingerprint.looks import look_at, looks, set_time, tree

NOON = 10**18


def touch(folder: Path) -> None:
    set_time(folder / "a/x", NOON + 10**9)


def point_elsewhere(folder: Path) -> None:
    (folder / "link").unlink()
    (folder / "link").symlink_to("b")


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is added": lambda folder: (folder / "a/new").write_text("1"),
    "a file is removed": lambda folder: (folder / "a/x").unlink(),
    "a file grows": lambda folder: (folder / "a/x").write_text("longer"),
    "a file is touched": touch,
    "a file is renamed": lambda folder: (folder / "a/x").rename(folder / "a/z"),
    "a file is moved": lambda folder: (folder / "a/x").rename(folder / "b/x"),
    "an empty folder is added": lambda folder: (folder / "c").mkdir(),
    "a link leads elsewhere": point_elsewhere,
    "a fifo is added": lambda folder: os.mkfifo(folder / "pipe"),
}


def sample(folder: Path) -> Path:
    tree(folder, a__x="1234", a__y="12", b__z="123")
    (folder / "link").symlink_to("a")
    return folder


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_folder_counts_by_all_that_is_below_it(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    folder = sample(tmp_path / "data")
    before = look_at(folder)
    change(folder)
    after = look_at(folder)
    assert not after.agrees_with(before)
    assert after.counts_by() != before.counts_by()
    assert after.difference(before)


def touch_folders(folder: Path) -> None:
    set_time(folder, 0)
    set_time(folder / "a", 0)


def lock_and_unlock(folder: Path) -> None:
    (folder / "lock").touch()
    (folder / "lock").unlink()


STAYS: dict[str, Callable[[Path], object]] = {
    "times of folders": touch_folders,
    "a lock file made and removed": lock_and_unlock,
    "what a link leads to": lambda folder: (folder.parent / "outside").mkdir(),
    "compiled modules": lambda folder: tree(folder / "__pycache__", x="1"),
    "what NFS keeps of open files": lambda folder: (folder / "a/.nfs0001").touch(),
}


@pytest.mark.parametrize("change", STAYS.values(), ids=STAYS)
def test_what_does_not_count_changes_nothing(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    folder = sample(tmp_path / "data")
    (folder / "out").symlink_to("../outside")
    before = look_at(folder)
    change(folder)
    after = look_at(folder)
    assert after.agrees_with(before)
    assert after.counts_by() == before.counts_by()


def test_a_folder_is_told_in_numbers(tmp_path: Path) -> None:
    state = look_at(sample(tmp_path / "data"))
    assert (state.kind, state.entries, state.size, state.newest) == ("folder", 6, 9, NOON)


def test_a_file_counts_by_size_and_time(tmp_path: Path) -> None:
    path = tree(tmp_path / "data", x="1234") / "x"
    set_time(path, NOON + 1)
    state = look_at(path)
    assert (state.kind, state.size, state.newest) == ("file", 4, NOON + 1)
    set_time(path, NOON + 2)
    assert not look_at(path).agrees_with(state)


def test_runs_and_their_logs_do_not_count(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="1", out__mine="2")
    tree(folder / "out", **{".reflow__r1__run": "1", "logs__r1__t": "2"})
    before = look_at(folder)
    tree(folder / "out", **{".reflow__r2__run": "1", "logs__r2__t": "2"})
    tree(folder / "new", **{".reflow__r2__run": "1", "logs__r2__t": "2"})
    assert look_at(folder).agrees_with(before)
    (folder / "out" / "result").touch()
    assert not look_at(folder).agrees_with(before)


def test_logs_outside_of_run_directories_count(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", logs__a="1")
    before = look_at(folder)
    tree(folder, logs__b="1")
    assert not look_at(folder).agrees_with(before)


def test_a_stores_own_files_do_not_count_there_and_only_there(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="1", a__y="1")
    (tmp_path / "link").symlink_to("data")
    options = {"store_files": [str(tmp_path / "link" / "m.db")]}
    before = look_at(folder, **options)
    for suffix in ("", "-wal", "-shm", "-journal"):
        (folder / f"m.db{suffix}").touch()
    assert look_at(folder, **options).agrees_with(before)
    (folder / "a" / "m.db").touch()
    assert not look_at(folder, **options).agrees_with(before)


@pytest.mark.parametrize(
    ("pattern", "name", "ignored"),
    [
        ("*.lock", "a/x.lock", True),
        ("*.lock", "x.locks", False),
        ("tmp", "tmp/deep/x", True),
        ("a/*.tmp", "a/x.tmp", True),
        ("a/*.tmp", "b/x.tmp", False),
        ("cache[0-9]", "b/cache7/x", True),
    ],
)
def test_what_is_ignored_does_not_count(
    tmp_path: Path, pattern: str, name: str, ignored: bool
) -> None:
    folder = tree(tmp_path / "data", a__x="1", b__x="1")
    before = look_at(folder, ignore=[pattern])
    tree(folder, **{name.replace("/", "__"): "1"})
    assert look_at(folder, ignore=[pattern]).agrees_with(before) is ignored


def test_names_may_be_anything(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="1")
    states = [look_at(folder)]
    for name in (b"new\nline", b"\xff\xfe", "ä".encode(), b"ends "):
        (folder / os.fsdecode(name)).touch()
        states.append(look_at(folder))
        assert State.from_json(states[-1].as_json()) == states[-1]
    assert len({state.digest for state in states}) == len(states)


@pytest.mark.parametrize("missing", ["gone", "file/below", "x" * 300, "a\0b", "\udfff\ud800"])
def test_what_is_not_there_is_missing(tmp_path: Path, missing: str) -> None:
    (tmp_path / "file").touch()
    state = look_at(tmp_path / missing)
    assert state.kind == "missing"
    assert state.agrees_with(state)


@pytest.mark.parametrize("opening", [False, True])
def test_nothing_is_waited_for(tmp_path: Path, opening: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    assert look_at(tmp_path, opening=opening).entries == 2
    assert look_at(tmp_path / "fifo", opening=opening).kind == "other"
    assert look_at(tmp_path / "socket", opening=opening).kind == "other"
    assert look_at(Path("/dev/null"), opening=opening).kind == "other"


def test_a_fifo_is_no_socket(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "it")
    before = look_at(tmp_path / "it")
    (tmp_path / "it").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "it"))
    assert not look_at(tmp_path / "it").agrees_with(before)


def test_each_place_is_looked_at_once(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="1")
    eyes = looks(tmp_path)
    before = eyes.state(str(folder))
    tree(folder, y="1")
    assert eyes.state(str(folder)) is before
    assert eyes.anew(str(folder)).entries == 2


def test_a_large_tree_is_left_and_equals_nothing(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="1", y="1", z="1")
    assert look_at(folder, at_most=3).kind == "folder"
    state = look_at(folder, at_most=2)
    assert state.kind == "large"
    assert not state.agrees_with(state)
    assert look_at(folder, at_most=2).counts_by() != state.counts_by()


def test_what_is_ignored_hides_nothing_else_in_a_large_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tree(tmp_path / "data", **{f"x{number}": "1" for number in range(30)})
    monkeypatch.setattr(looking, "MANY", 10)
    names = [path.name for path in folder.iterdir()]
    state = look_at(folder, ignore=names[:11])
    assert state.entries == 19


def test_opening_sees_the_same(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    assert look_at(folder, opening=True) == look_at(folder)
    assert look_at(folder / "a/x", opening=True) == look_at(folder / "a/x")


def test_large_trees_count_as_small_ones_do_and_progress_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample(tmp_path / "data")
    small = look_at(folder)
    monkeypatch.setattr(looking, "MANY", 2)
    told: list[int] = []
    assert look_at(folder, progress=told.append) == small
    assert told == sorted(told)
    assert told[-1] == 6


def test_the_file_server_is_asked_for_the_first_entries_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tree(tmp_path / "data", **{f"x{number}": "1" for number in range(30)})
    asked: list[str] = []

    def ask(name: str, **given: int) -> os.stat_result:
        asked.append(name)
        return os.lstat(name, **given)

    monkeypatch.setattr(fresh, "asked", ask)
    monkeypatch.setattr(looking, "MANY", 10)
    assert look_at(folder).entries == 30
    inside = [name for name in asked if "/" not in name]
    assert inside == sorted(path.name for path in folder.iterdir())[:10]


def test_a_look_at_many_files_keeps_little_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tree(tmp_path / "data")
    for number in range(10_000):
        (folder / str(number)).touch()
    monkeypatch.setattr(trees, "_BATCH", 500)
    tracemalloc.start()
    try:
        look_at(folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A status alone takes 600 bytes; a million files are not to take a gigabyte.
    assert peak / 10_000 < 400


def test_only_whether_there_is_anything_may_count(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    before = look_at(folder, mode="exists")
    tree(folder, new="1")
    assert look_at(folder, mode="exists").agrees_with(before)
    assert not look_at(folder).agrees_with(before)


@pytest.fixture
def locked() -> Iterator[Path]:
    """A tree of somebody who has locked a folder and a file of it, seen by somebody else."""
    with tempfile.TemporaryDirectory() as name:
        public = Path(name)
        public.chmod(0o755)
        folder = tree(public / "data", a__x="1", b="1")
        (folder / "a").chmod(0)
        (folder / "b").chmod(0)
        with nobody():
            yield folder
        (folder / "a").chmod(0o755)


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user who may not read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.parametrize("opening", [False, True])
def test_what_cannot_be_read_is_unreadable_and_says_why(locked: Path, opening: bool) -> None:
    state = look_at(locked, opening=opening)
    assert state.kind == "unreadable"
    assert state.reason == f"Permission denied: '{locked}/a'"
    assert look_at(locked / "a" / "x", opening=opening).kind == "unreadable"
    assert not state.agrees_with(state)
    assert look_at(locked, opening=opening).counts_by() != state.counts_by()


def test_a_file_that_cannot_be_read_still_has_size_and_time(locked: Path) -> None:
    assert look_at(locked / "b", opening=True).kind == "file"
    assert look_at(locked, opening=True, ignore=["a"]).kind == "folder"
    contents = Contents(OwnMemory())
    assert look_at(locked / "b", mode="content", contents=contents).kind == "unreadable"


def test_what_vanishes_meanwhile_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample(tmp_path / "data")
    monkeypatch.setattr(looking, "MANY", 0)

    def remove(entries: int) -> None:
        shutil.rmtree(folder / "b", ignore_errors=True)

    seen = look_at(folder, progress=remove)
    assert seen == look_at(folder)
    assert seen.entries == 4


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_interrupted_look_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample(tmp_path / "data")
    monkeypatch.setattr(looking, "MANY", 0)
    interrupted = [KeyboardInterrupt]

    def interrupt(entries: int) -> None:
        if interrupted:
            raise interrupted.pop()

    before = open_files()
    eyes = looks(tmp_path, progress=interrupt)
    with pytest.raises(KeyboardInterrupt):
        eyes.state(str(folder))
    assert open_files() == before
    assert eyes.state(str(folder)) == look_at(folder)


def test_waiting_ends_when_what_is_late_has_come(tmp_path: Path) -> None:
    path = tree(tmp_path / "data", x="1") / "x"
    expected = look_at(path)
    path.unlink()
    writer = threading.Timer(0.05, lambda: tree(tmp_path / "data", x="1"))
    writer.start()
    assert looks(path.parent).wait_for(expected, 30).agrees_with(expected)
    writer.join()


def test_waiting_ends_with_what_is_there(tmp_path: Path) -> None:
    path = tree(tmp_path / "data", x="1") / "x"
    expected = look_at(path)
    path.write_text("123")
    assert looks(path.parent).wait_for(expected, 0.02).size == 3
