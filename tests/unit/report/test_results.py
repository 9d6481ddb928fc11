from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from reflow.report.results import MOST_PARTS, WIDEST_VALUE, cache_line, result_lines


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Summary:
    low: float
    place: Path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (66, ["publish returned 66"]),
        ("published 3", ["publish returned published 3"]),
        ("", ["publish returned "]),
        ([], ["publish returned []"]),
        ([7], ["publish returned [7]"]),
        ({}, ["publish returned {}"]),
        ({"a": 1, "long": "x"}, ["publish returned", "  a     1", "  long  x"]),
        (["a", 2], ["publish returned", "  [0]  a", "  [1]  2"]),
        (Point(1, 2), ["publish returned", "  x  1", "  y  2"]),
        (Summary(0.5, Path("/x/y")), ["publish returned", "  low    0.5", "  place  /x/y"]),
        ("two\nlines", ["publish returned two lines"]),
    ],
)
def test_a_result_is_shown_in_few_lines(value: Any, expected: list[str]) -> None:
    assert [line.plain.rstrip() for line in result_lines("publish", value)] == [
        line.rstrip() for line in expected
    ]


def test_a_path_is_shown_from_the_working_directory(tmp_path: Path) -> None:
    (line,) = result_lines("publish", tmp_path / "runs" / "table.csv")
    assert line.plain == "publish returned runs/table.csv"


def test_long_results_are_cut() -> None:
    lines = result_lines("publish", list(range(100)))
    assert len(lines) == MOST_PARTS + 2
    assert lines[-1].plain == f"  and {100 - MOST_PARTS} more"
    (line,) = result_lines("publish", "x" * 10000)
    assert len(line.plain) <= WIDEST_VALUE + len("publish returned ")


@pytest.mark.parametrize(
    ("cached", "expected"),
    [
        (3, "3 of 5 results came from the cache"),
        (5, "all 5 results came from the cache; --force computes them again"),
    ],
)
def test_what_came_from_the_cache_is_said(cached: int, expected: str) -> None:
    assert cache_line(cached, 5) == expected


def test_a_table_or_an_array_of_many_lines_is_shown_by_its_shape() -> None:
    (line,) = result_lines("publish", np.zeros((20, 3)))
    assert line.plain.rstrip() == "publish returned ndarray of shape (20, 3)"
    (line,) = result_lines("publish", np.arange(3))
    assert line.plain.rstrip() == "publish returned array([0, 1, 2])"
