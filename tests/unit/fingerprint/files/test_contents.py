from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.fingerprint.files import look as looking
from reflow.fingerprint.files.contents import Contents, FolderMemory, OwnMemory
from reflow.fingerprint.files.states import State

from tests.unit.fingerprint.looks import look_at, looks, set_time, tree

LATER = 2 * 10**18


def read(path: Path, **options: Any) -> State:
    return look_at(path, mode="content", contents=Contents(OwnMemory()), **options)


def glance(path: Path) -> State:
    """Look as a dispatcher does, who reads nothing."""
    return look_at(path, mode="content")


def sample(folder: Path) -> Path:
    tree(folder, a__x="1234", a__y="12", b__z="123")
    (folder / "link").symlink_to("a")
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)


def copy_over(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


STAYS: dict[str, Callable[[Path], None]] = {
    "touched": lambda path: set_time(path, LATER),
    "written again": lambda path: write(path, "1234"),
    "copied": copy_over,
    "made another's": lambda path: path.chmod(0o600),
}


@pytest.mark.parametrize("change", STAYS.values(), ids=STAYS)
def test_a_file_counts_by_its_contents(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = sample(tmp_path / "data")
    for path in (folder / "a/x", folder):
        before = read(path)
        change(folder / "a/x")
        after = read(path)
        assert after.agrees_with(before)
        assert after.counts_by() == before.counts_by()
        assert not glance(path).agrees_with(before)
        assert glance(path).may_agree_with(before)


def test_other_contents_of_the_same_size_and_time_count(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    for path, text in ((folder / "a/x", "1235"), (folder, "1236")):
        before = read(path)
        write(folder / "a/x", text)
        set_time(folder / "a/x", 10**18)
        after = read(path)
        assert not after.agrees_with(before)
        assert after.counts_by() != before.counts_by()
        assert not glance(path).agrees_with(before)


def test_contents_that_change_places_count(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="12", y="34")
    before = read(folder)
    write(folder / "x", "34")
    write(folder / "y", "12")
    assert not read(folder).agrees_with(before)


def test_a_look_that_reads_nothing_knows_what_has_not_been_touched(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    for path in (folder / "a/x", folder):
        assert glance(path).agrees_with(read(path))


def test_looks_that_read_nothing_do_not_agree_for_that(tmp_path: Path) -> None:
    path = sample(tmp_path / "data") / "a/x"
    before = glance(path)
    write(path, "1235")
    assert not glance(path).agrees_with(before)


@pytest.mark.parametrize("text", ["12345", "123"])
def test_what_has_another_size_cannot_agree(tmp_path: Path, text: str) -> None:
    folder = sample(tmp_path / "data")
    before = read(folder)
    write(folder / "a/x", text)
    assert not glance(folder).may_agree_with(before)


def memories(folder: Path) -> list[OwnMemory | FolderMemory]:
    return [OwnMemory(), FolderMemory(folder / "memory")]


def test_what_has_been_read_is_remembered(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    for memory in memories(tmp_path):
        for path in (folder / "a/x", folder):
            counts = []
            for _ in range(2):
                bytes_read: list[int] = []
                contents = Contents(memory, bytes_read.append)
                counts.append(looks(tmp_path, mode="content", contents=contents).state(str(path)))
            assert counts[0] == counts[1]
            assert bytes_read == []


def test_what_has_changed_is_read_again(tmp_path: Path) -> None:
    path = sample(tmp_path / "data") / "a/x"
    for memory in memories(tmp_path):
        eyes = looks(tmp_path, mode="content", contents=Contents(memory))
        before = eyes.state(str(path))
        write(path, "".join(reversed(path.read_text())))
        assert not eyes.anew(str(path)).agrees_with(before)


@pytest.mark.parametrize("damage", ["", "x", "[1]", '["a", "b", 1]', "\udcff", None])
def test_a_damaged_memory_is_only_slower(tmp_path: Path, damage: str | None) -> None:
    path = sample(tmp_path / "data") / "a/x"
    memory = tmp_path / "memory"
    contents = Contents(FolderMemory(memory))
    before = look_at(path, mode="content", contents=contents)
    (file,) = (each for each in memory.rglob("*") if each.is_file())
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(damage.encode("utf-8", "surrogateescape"))
    assert look_at(path, mode="content", contents=contents) == before


def test_a_memory_that_cannot_be_written_is_only_slower(tmp_path: Path) -> None:
    path = sample(tmp_path / "data") / "a/x"
    (tmp_path / "memory").touch()
    contents = Contents(FolderMemory(tmp_path / "memory"))
    assert look_at(path, mode="content", contents=contents) == read(path)


def test_many_files_and_large_ones_are_read_whole(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", **{f"f{number}": str(number) for number in range(2_500)})
    (folder / "large").write_bytes(b"x" * 3_000_000)
    before = read(folder)
    with (folder / "large").open("r+b") as file:
        file.seek(2_999_999)
        file.write(b"y")
    assert not read(folder).agrees_with(before)
    write(folder / "f2499", "2498")
    assert read(folder).size == before.size


def test_what_changes_while_it_is_read_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 2**21)

    def grow(done: int) -> None:
        with path.open("ab") as file:
            file.write(b"more")

    state = look_at(path, mode="content", contents=Contents(OwnMemory(), grow))
    assert state.kind == "unreadable"
    assert "changes while it is read" in state.reason


def readers() -> set[threading.Thread]:
    """The threads that read files; other tests have left threads of their own."""
    named = (each for each in threading.enumerate() if "ThreadPoolExecutor" in each.name)
    return set(named)


def test_threads_end_when_reading_is_interrupted(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")

    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    contents = Contents(OwnMemory(), interrupt)
    before = readers()
    with pytest.raises(KeyboardInterrupt):
        look_at(folder, mode="content", contents=contents)
    assert readers() <= before
    assert read(folder).kind == "folder"


def test_contents_of_large_trees_count_as_those_of_small_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sample(tmp_path / "data")
    small = read(folder)
    monkeypatch.setattr(looking, "MANY", 2)
    assert read(folder) == small


def test_no_fifo_is_read(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    os.mkfifo(folder / "fifo")
    assert read(folder).entries == 7
    assert read(folder / "fifo").kind == "other"


def test_a_content_state_is_the_same_after_json(tmp_path: Path) -> None:
    folder = sample(tmp_path / "data")
    for path in (folder, folder / "a/x"):
        assert State.from_json(read(path).as_json()) == read(path)
