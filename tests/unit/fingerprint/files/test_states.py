from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.errors import StoredValueError
from reflow.fingerprint.files.states import PRECISIONS, State, digests_of_times, times_agree

from tests.unit.fingerprint.looks import look_at, set_time, tree

NOON = 10**18
LATE = NOON + 123_456_789


def file(**changes: object) -> State:
    values: dict[str, object] = {"size": 4, "newest": LATE, **changes}
    return State("/data/x", "stat", "file", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("unit", PRECISIONS)
def test_a_time_equals_itself_cut_to_a_precision(unit: int) -> None:
    cut = LATE // unit * unit
    assert times_agree(LATE, cut)
    assert times_agree(cut, LATE)


@pytest.mark.parametrize("other", [LATE + 1, LATE - 88, LATE + 10**9, NOON - 1, 0, None])
def test_other_times_are_other_times(other: int | None) -> None:
    assert not times_agree(LATE, other)


@pytest.mark.parametrize("unit", PRECISIONS)
def test_a_tree_equals_itself_with_times_cut(tmp_path: Path, unit: int) -> None:
    folder = tree(tmp_path / "data", x="1", y="2")
    times = {"x": LATE, "y": LATE + 10**9 + 1}
    looks = []
    for precision in (1, unit):
        for name, time in times.items():
            set_time(folder / name, time // precision * precision)
        looks.append(look_at(folder))
    assert looks[0].agrees_with(looks[1])
    assert looks[1].agrees_with(looks[0])


def test_a_tree_of_which_one_file_has_another_time_is_another(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", x="1", y="2")
    set_time(folder / "x", LATE)
    before = look_at(folder)
    set_time(folder / "x", LATE // 1000 * 1000)
    set_time(folder / "y", NOON + 10**9)
    assert not look_at(folder).agrees_with(before)


@given(st.lists(st.integers(-(10**20), 10**20), max_size=5))
def test_any_times_can_be_digested(times: list[int]) -> None:
    digests, precision = digests_of_times(times)
    assert len(digests) == len(PRECISIONS)
    assert all(time % PRECISIONS[precision] == 0 for time in times)


def test_a_state_is_the_same_after_json(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("data")
    tree(tmp_path / "data", x="1")
    for path in (tmp_path / "link", tmp_path / "data/x", tmp_path / "gone"):
        state = look_at(path)
        assert State.from_json(json.loads(json.dumps(state.as_json()))) == state


def test_a_state_is_small_whatever_the_tree(tmp_path: Path) -> None:
    folder = tree(tmp_path / "data", **{f"file_{number}": "1" for number in range(300)})
    assert len(json.dumps(look_at(folder).as_json())) < 600 + len(str(folder))


@pytest.mark.parametrize(
    "data",
    [
        None,
        "x",
        [],
        {},
        {"place": 1, "mode": "stat", "kind": "file"},
        {"place": "/x", "mode": "other", "kind": "file"},
        {"place": "/x", "mode": "stat", "kind": "nothing"},
        {"place": "/x", "mode": "stat", "kind": "file", "size": "1"},
        {"place": "/x", "mode": "stat", "kind": "file", "unknown": 1},
        {"place": "/x", "mode": "stat", "kind": "folder"},
        {"place": "/x", "mode": "stat", "kind": "file", "links": [1]},
    ],
)
def test_what_is_no_state_is_refused(data: object) -> None:
    with pytest.raises(StoredValueError, match="no state"):
        State.from_json(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 5},
        {"newest": LATE + 10**9},
        {"links": (("/data", "v2"),)},
    ],
)
def test_size_time_and_links_count(changes: dict[str, object]) -> None:
    assert not file(**changes).agrees_with(file())
    assert file(**changes).counts_by() != file().counts_by()


def test_another_mode_is_another_state() -> None:
    exists = State("/data/x", "exists", "file")
    assert not exists.agrees_with(file())
    assert exists.counts_by() != file().counts_by()


def test_what_is_unreadable_equals_not_even_itself() -> None:
    state = State("/data", "stat", "unreadable", digest="token", reason="Permission denied")
    assert not state.known
    assert not state.agrees_with(state)


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        (file(size=44), file(), "40 bytes more"),
        (file(size=3), file(), "1 byte fewer"),
        (State("/data/x", "stat", "missing"), file(), "nothing instead of a file"),
        (file(links=(("/data", "v2"),)), file(links=(("/data", "v1"),)), "/data leads to v2 inst"),
        (file(newest=NOON - 10**10), file(), "modified "),
        (file(newest=LATE + 1), file(newest=LATE), "40.123456790 instead of"),
        (State("/d", "stat", "unreadable", reason="Permission denied"), file(), "Permission deni"),
    ],
)
def test_differences_are_told_in_words(now: State, before: State, told: str) -> None:
    assert told in now.difference(before)
