from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import UsageError
from reflow.report.plain import plain_json

Point = namedtuple("Point", "x y")


class Colour(Enum):
    RED = 3


@dataclass
class Fit:
    slope: float
    at: Path


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        (float("nan"), None),
        (float("-inf"), None),
        ("Ω\udcff", "Ω\udcff"),
        (b"\x00\xff", "AP8="),
        ([1, (2, 3)], [1, [2, 3]]),
        (range(3), [0, 1, 2]),
        ({1: "a", "b": {2}}, {"1": "a", "b": [2]}),
        ({(1, 2): 3}, {"[1, 2]": 3}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Fit(0.5, Path("/a")), {"slope": 0.5, "at": "/a"}),
        (Colour.RED, 3),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (timedelta(minutes=1.5), 90.0),
        (complex(1, float("inf")), [1.0, None]),
        (Decimal("1.10"), "1.10"),
    ],
)
def test_values_become_json_that_any_program_reads(value: Any, plain: Any) -> None:
    assert plain_json(value) == plain
    json.dumps(plain_json(value), allow_nan=False)


def test_values_of_libraries_become_json_by_their_own_methods() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    assert plain_json(numpy.float64(0.5)) == 0.5
    assert plain_json(numpy.array([[1.0, numpy.nan], [2.0, 3.0]])) == [[1.0, None], [2.0, 3.0]]
    assert plain_json(numpy.ma.array([1, 2], mask=[0, 1])) == [1, None]
    assert plain_json(numpy.datetime64("2026-01-02")) == "2026-01-02"
    frame = pandas.DataFrame({"a": [1, 2], "t": pandas.to_datetime(["2026-01-02"] * 2)})
    assert plain_json(frame) == {"a": [1, 2], "t": ["2026-01-02T00:00:00"] * 2}
    assert plain_json(frame["a"]) == [1, 2]


def test_what_has_no_json_is_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match=r"object cannot be written as JSON.*-o FILE\.pkl"):
        plain_json([object()])
