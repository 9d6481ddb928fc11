"""Spans of time, against a count second by second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.runs.reporting.spans import Occupancy, length, merged, without

SPANS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 10)).map(lambda pair: (pair[0], sum(pair)))
)


def seconds_of(spans: list[tuple[int, int]]) -> set[int]:
    return {second for start, end in spans for second in range(start, end)}


@given(SPANS)
def test_merged_spans_cover_each_second_once(spans: list[tuple[int, int]]) -> None:
    assert length(merged(spans)) == len(seconds_of(spans))


@given(SPANS, SPANS)
def test_what_others_cover_is_left_out(
    spans: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    left = without(merged(spans), merged(others))
    assert length(left) == len(seconds_of(spans) - seconds_of(others))


@given(SPANS, st.integers(1, 9))
def test_means_of_bins_add_up_to_the_time_covered(spans: list[tuple[int, int]], bins: int) -> None:
    whole = 60
    occupancy = Occupancy(bins, whole / bins)
    for start, end in spans:
        occupancy.add(start, end)
    covered = sum(occupancy.means()) * whole / bins
    assert covered == pytest.approx(sum(end - start for start, end in spans), abs=0.1)


def test_what_lies_beyond_the_axis_is_cut() -> None:
    occupancy = Occupancy(4, 1.0)
    occupancy.add(-5, 1)
    occupancy.add(3.5, 99)
    assert occupancy.means() == (1.0, 0.0, 0.0, 0.5)
