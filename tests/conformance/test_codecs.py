"""The built-in codecs, through the kit that authors of codecs are given."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from reflow.codecs.builtin import builtin_codecs
from reflow.codecs.contract import Codec
from reflow.testing.codecs import CodecConformance

from tests.unit.codecs.shapes import Colour, Level, Pair, Point, same

HERE = dt.timezone(dt.timedelta(hours=1), "Here")
# Of numbers, texts and dicts only those come to a codec that JSON would not bring back.
VALUES: dict[str, list[Any]] = {
    "int": [10**700, -(10**700)],
    "float": [math.inf, -math.inf, math.nan],
    "complex": [1j, complex(-0.0, 0.0), complex(0.0, -0.0), complex(math.inf, math.nan)],
    "str": ["\ud83d\ude00", "a\ud83d\ude00"],
    "bytes": [b"", b"\x00\xff", b"x" * 10_000],
    "tuple": [(), (1,), (1, "1"), ((1,),)],
    "range": [range(0), range(3), range(3, 10**30, 2), range(3, 0, -1)],
    "slice": [slice(None), slice(1, None, -1), slice("a", (1, 2))],
    "ellipsis": [...],
    "dict": [{1: 2}, {"b": 1, "a": 2}, {"$x": 1}, {(1,): {2}}],
    "set": [set(), {1}, {1, "1"}],
    "frozenset": [frozenset(), frozenset({1}), frozenset({(1, 2)})],
    "path": [Path(), Path("a"), Path("/a b/\udcff")],
    "pureposixpath": [PurePosixPath("a"), PurePosixPath("/a")],
    "purewindowspath": [PureWindowsPath("a"), PureWindowsPath("c:/a")],
    "datetime": [
        dt.datetime(2026, 11, 22, 12),
        dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    ],
    "date": [dt.date.min, dt.date(2026, 11, 22)],
    "time": [dt.time(12), dt.time(12, fold=1), dt.time(12, tzinfo=HERE)],
    "timedelta": [dt.timedelta(0), dt.timedelta(microseconds=-1)],
    "timezone": [dt.UTC, HERE, dt.timezone(dt.timedelta(hours=1))],
    "zoneinfo": [ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")],
    "uuid": [uuid.UUID(int=0), uuid.UUID(int=1)],
    "decimal": [Decimal("1.0"), Decimal("1.00"), Decimal("-0"), Decimal("Infinity")],
    "fraction": [Fraction(1, 3), Fraction(-(10**700), 7)],
    "enum": [Colour.RED, Level.LOW],
    "dataclass": [Point(1, 2), Point(2, 1)],
    "namedtuple": [Pair(1, "x"), Pair(2, "x")],
}


OF_VALUES = [codec for codec in builtin_codecs() if codec.name not in ("file", "pickled")]
"""All but those of references to files and of what annotations pickle: no class has them."""


class TestBuiltinCodecs(CodecConformance):
    @pytest.fixture(params=OF_VALUES, ids=lambda codec: str(codec.name))
    def codec(self, request: pytest.FixtureRequest) -> Codec:
        codec: Codec = request.param
        return codec

    @pytest.fixture
    def values(self, codec: Codec) -> Sequence[Any]:
        return VALUES[codec.name]

    @pytest.fixture
    def annotation(self) -> Any:
        return Colour | Level | Point | Pair

    def same(self, value: Any, back: Any) -> bool:
        return same(value, back)
