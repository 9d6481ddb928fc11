from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.executors.batch.arrays import ArrayStyle, contiguous, index_list, parse_indices

FROM_ONE = ArrayStyle(base=1, variable="TASK", throttled="{first}-{last}%{throttle}")


def test_the_range_starts_at_the_schedulers_own_base() -> None:
    assert FROM_ONE.expression(10) == "1-10"
    assert FROM_ONE.expression(10, throttle=3) == "1-10%3"
    assert FROM_ONE.index(0) == 1


def test_a_scheduler_without_a_throttle_in_the_range_gets_the_plain_range() -> None:
    assert ArrayStyle(base=0, variable="TASK").expression(5, throttle=2) == "0-4"


def test_the_position_counts_from_zero_whatever_the_base() -> None:
    assert FROM_ONE.position == '"$((TASK - 1))"'
    assert ArrayStyle(base=0, variable="TASK").position == '"$TASK"'


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("[2-9%2]", list(range(2, 10))),
        ("1-7:3", [1, 4, 7]),
        ("6,8-9%3", [6, 8, 9]),
        ("00-02", [0, 1, 2]),
    ],
)
def test_every_form_of_a_list_is_read(text: str, numbers: list[int]) -> None:
    assert [number for run in parse_indices(text) for number in run] == numbers


@pytest.mark.parametrize(
    "text", ["2-3,5,7...", "2-3,5,", "", "a", "1-", "N/A", "1--2", "...", "-1"]
)
def test_a_list_that_is_cut_or_malformed_is_no_answer(text: str) -> None:
    with pytest.raises(ValueError, match="is not a complete list of indices"):
        parse_indices(text)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_written_list_reads_as_the_same_numbers(numbers: set[int]) -> None:
    read = {number for run in parse_indices(index_list(numbers)) for number in run}
    assert read == numbers


@given(st.lists(st.integers(0, 60)))
def test_contiguous_ranges_hold_each_number_once_and_never_touch(numbers: list[int]) -> None:
    runs = list(contiguous(numbers))
    assert [number for run in runs for number in run] == sorted(set(numbers))
    assert all(left.stop < right.start for left, right in itertools.pairwise(runs))


def test_elements_are_named_by_runs_of_indices() -> None:
    style = ArrayStyle(base=1, variable="INDEX", element="{job}.{indices}")
    assert list(style.element_ids("24", [0, 1, 2, 6])) == ["24.1-3", "24.7"]
