"""What is returned is stored as the annotation says, where nothing is lost by it."""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Complex, Integral, Real
from pathlib import Path, PosixPath
from types import MappingProxyType
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
    cast,
)

import numpy
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from reflow.codecs.codecs import Codecs
from reflow.errors import UnstorableValueError
from reflow.model.canonical import dumps, loads

from tests.unit.codecs.shapes import Colour, Level, Word, same

T = TypeVar("T")
Number = TypeVar("Number", bound=float)
Metres = NewType("Metres", float)
half = numpy.float64(0.5)
three = numpy.int64(3)


def kept(value: Any, annotation: Any) -> Any:
    codecs = Codecs()
    return codecs.decode(loads(dumps(codecs.encode(value, annotation))), annotation)


class MyStr(str):
    __slots__ = ()


class MyPath(PosixPath):
    pass


class Moment(dt.datetime):
    """As precise as pandas' own: two of them may differ by less than a microsecond."""

    nanosecond = 0

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) and self.nanosecond == getattr(other, "nanosecond", 0)

    __hash__ = dt.datetime.__hash__


class MyDataset(xr.Dataset):  # type: ignore[no-untyped-call]
    __slots__ = ()


A_DATASET = xr.Dataset({"x": ("t", [1.0])}, attrs={"title": "some"})


class Finer(Moment):
    nanosecond = 1


class Span(dt.timedelta):
    pass


class Row(NamedTuple):
    number: int
    weights: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Node:
    value: float
    next: Optional[Node] = None  # noqa: UP045
    tags: Annotated[list[str], "some"] = field(default_factory=list)


@dataclass
class Derived:
    size: float
    area: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.area = self.size**2
        self.note = "made"

    @cached_property
    def edge(self) -> float:
        return math.sqrt(self.area)


@dataclass
class Box(Generic[T]):
    content: T
    others: list[T]


class Point(TypedDict):
    x: Required[float]
    labels: NotRequired[list[str]]


@pytest.mark.parametrize(
    ("value", "annotation", "wanted"),
    [
        (half, float, 0.5),
        (numpy.float32(0.1), float, 0.10000000149011612),
        (numpy.float64("nan"), float, math.nan),
        (numpy.float64("-inf"), float, -math.inf),
        (numpy.float64(-0.0), float, -0.0),
        (numpy.longdouble(0.5), float, 0.5),
        (numpy.complex64(0.5 - 2j), complex, 0.5 - 2j),
        (half, complex, 0.5 + 0j),
        (-0.0, complex, complex(-0.0, 0.0)),
        (three, int | complex, 3),
        (numpy.complex128(1j), Complex, 1j),
        (three, int, 3),
        (numpy.uint64(2**64 - 1), int, 2**64 - 1),
        (numpy.float64(3), int, 3),
        (three, float, 3.0),
        (numpy.bool_(True), bool, True),
        (numpy.str_("x"), str, "x"),
        (numpy.bytes_(b"x"), bytes, b"x"),
        (numpy.array(0.5), float, 0.5),
        (half, float | None, 0.5),
        (half, Optional[float], 0.5),  # noqa: UP045
        (half, Union[str, float], 0.5),  # noqa: UP007
        (half, Annotated[float, "metres"], 0.5),
        (half, Metres, 0.5),
        (half, Number, 0.5),
        (half, Real, 0.5),
        (three, Integral, 3),
        (three, Literal[2, 3], 3),
        (numpy.str_("fast"), Literal["fast", "slow"], "fast"),
        ([half, None], list[float | None], [0.5, None]),
        ({"a": half}, dict[str, float], {"a": 0.5}),
        ({three: [half]}, dict[int, list[float]], {3: [0.5]}),
        ((three, half), tuple[int, float], (3, 0.5)),
        ((three, three), tuple[int, ...], (3, 3)),
        ({three}, set[int], {3}),
        (frozenset({three}), frozenset[int], frozenset({3})),
        ([three], Sequence[int], [3]),
        ((three,), Iterable[int], (3,)),
        ({"a": three}, Mapping[str, int], {"a": 3}),
        (numpy.arange(3), list[int], [0, 1, 2]),
        (numpy.eye(2), list[list[float]], [[1.0, 0.0], [0.0, 1.0]]),
        (Row(cast(Any, three), {"a": half}), Row, Row(3, {"a": 0.5})),
        ([Row(cast(Any, three))], list[Row], [Row(3)]),
        (Node(half, Node(half, None, [numpy.str_("a")])), Node, Node(0.5, Node(0.5, None, ["a"]))),
        (Box(half, [half]), Box[float], Box(0.5, [0.5])),
        ({"x": half, "labels": (numpy.str_("a"),)}, Point, {"x": 0.5, "labels": ["a"]}),
        (numpy.datetime64("2026-01-02", "ns"), dt.datetime, dt.datetime(2026, 1, 2)),
        (numpy.datetime64("2026-01-02"), dt.date, dt.date(2026, 1, 2)),
        (numpy.timedelta64(1500, "ms"), dt.timedelta, dt.timedelta(seconds=1.5)),
    ],
    ids=str,
)
def test_scalars_of_numpy_are_stored_as_pythons_own(
    value: Any, annotation: Any, wanted: Any
) -> None:
    assert same(kept(value, annotation), wanted)


@pytest.mark.parametrize(
    ("value", "annotation", "wanted"),
    [
        (Counter("aab"), dict[str, int], {"a": 2, "b": 1}),
        (Counter("aab"), dict, {"a": 2, "b": 1}),
        (Counter("aab"), Mapping[str, int], {"a": 2, "b": 1}),
        (defaultdict(int, a=1), dict[str, int], {"a": 1}),
        (OrderedDict(b=1, a=2), dict[str, int], {"b": 1, "a": 2}),
        (MappingProxyType({"a": three}), dict[str, int], {"a": 3}),
        ([Counter("a")], list[dict[str, int]], [{"a": 1}]),
        (range(3), list[int], [0, 1, 2]),
        (range(3), Sequence[int], [0, 1, 2]),
        (deque([1, 2]), list[int], [1, 2]),
        ({"a": 1}.keys(), list[str], ["a"]),
        ({"a": 1}.values(), list[int], [1]),
        ({"a": 1}.items(), list[tuple[str, int]], [("a", 1)]),
        ({"a": 1}.keys(), set[str], {"a"}),
        ((1, 2), list[int], [1, 2]),
        (((1,), (2,)), list[list[int]], [[1], [2]]),
        (Row(1), tuple[int, dict[str, float]], (1, {})),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        (frozenset({1}), set[int], {1}),
        (MyStr("x"), str, "x"),
        (Word.YES, str, "yes"),
        (Level.HIGH, int, 2),
        ({"a": Level.LOW}, dict[str, int], {"a": 1}),
        (True, int, 1),
        (bytearray(b"x"), bytes, b"x"),
        (MyPath("/a"), Path, Path("/a")),
        (Moment(2026, 1, 2, 3, 4), dt.datetime, dt.datetime(2026, 1, 2, 3, 4)),
        (Span(seconds=3), dt.timedelta, dt.timedelta(seconds=3)),
    ],
    ids=str,
)
def test_subclasses_are_stored_as_what_the_annotation_names(
    value: Any, annotation: Any, wanted: Any
) -> None:
    assert same(kept(value, annotation), wanted)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (Level.HIGH, Level),
        (Level.HIGH, int | Level),
        ([Word.YES, "yes"], list[str | Word]),
        (Row(1), Row | tuple[int, dict[str, float]]),
        (Colour.RED, Literal[Colour.RED, "r"]),
        ((1, 2), list[int] | tuple[int, ...]),
        ((1, 2), Sequence[int]),
        ((1, 2), Iterable[int]),
        (True, int | bool),
        (1, float | int),
        (dt.datetime(2026, 1, 2, 3), dt.date | dt.datetime),
    ],
    ids=str,
)
def test_a_value_of_a_class_that_is_named_stays_as_it_is(value: Any, annotation: Any) -> None:
    assert same(kept(value, annotation), value)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("x", int),
        (2.5, int),
        (3.0, int),
        (1, bool),
        (1, str),
        (2**53 + 1, float),
        (2**53 + 1, complex),
        ("1j", complex),
        ([1, 2, 3], tuple[int, int]),
        (["a", "b"], tuple[int, ...]),
        ({1, 2}, list[int]),
        ("ab", list[str]),
        ("ab", Sequence[str]),
        (dt.datetime(2026, 1, 2, 3), dt.date),
        ("x", Path),
        ((1, 2), Any),
        (1, object),
        (True, Any),
    ],
    ids=str,
)
def test_what_the_annotation_does_not_fit_is_kept_as_it_was_returned(
    value: Any, annotation: Any
) -> None:
    assert same(kept(value, annotation), value)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (numpy.float64(2.5), int),
        (numpy.int64(2**53 + 1), float),
        (numpy.float64(1), bool),
        (numpy.complex128(1j), float),
        (Finer(2026, 1, 2), dt.datetime),
        (numpy.datetime64("NaT", "s"), dt.datetime),
        (numpy.datetime64("2026-01-02T00:00:00.000000001"), dt.datetime),
        (Counter("a"), Any),
        ((number for number in range(3)), list[int]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_would_lose_something_is_refused(value: Any, annotation: Any) -> None:
    with pytest.raises(UnstorableValueError):
        kept(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (numpy.ma.masked, float),
        (numpy.ma.masked, bool),
        (numpy.ma.masked, float | None),
        (numpy.ma.array([1.0, 2.0], mask=True).mean(), float),
        (numpy.ma.array([1, 2], mask=True).sum(), int),
        (numpy.ma.array(1, mask=True), int),
        (numpy.ma.array([1.0, 2.0], mask=[True, False]), list[float]),
        (numpy.ma.array([1, 2], mask=[True, False]), Sequence[int]),
        (numpy.ma.array([(1, 2.0)], mask=[(True, False)], dtype="i4,f8"), list),
        ([numpy.ma.masked, 1.0], list[float]),
        ({"a": numpy.ma.masked}, dict[str, float]),
        ([numpy.ma.array([1, 2], mask=[False, True])], list[list[int]]),
    ],
    ids=range(12),
)
def test_what_a_mask_hides_becomes_no_number(value: Any, annotation: Any) -> None:
    with pytest.raises(UnstorableValueError):
        kept(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (A_DATASET, dict),
        (A_DATASET, dict[str, xr.DataArray]),
        (A_DATASET, Point),
        ([A_DATASET], list[dict[str, Any]]),
        (MyDataset({"x": ("t", [1.0])}), dict),
    ],
    ids=range(5),
)
def test_what_has_attributes_and_coordinates_is_not_stored_without_them(
    value: Any, annotation: Any
) -> None:
    with pytest.raises(UnstorableValueError):
        kept(value, annotation)


def test_who_promises_a_number_of_a_data_set_means_the_number() -> None:
    mean = xr.DataArray([0.5, 1.5], attrs={"units": "K"}).mean(keep_attrs=True)
    assert kept(mean, float) == 1.0
    assert kept({"a": mean}, dict[str, float]) == {"a": 1.0}


def test_a_masked_array_that_hides_nothing_is_as_good_as_a_list() -> None:
    assert same(kept(numpy.ma.array([1, 2], mask=[False, False]), list[int]), [1, 2])
    assert same(kept(numpy.ma.array(0.5), float), 0.5)


def test_an_integer_where_a_float_is_promised_counts_as_the_float_that_it_equals() -> None:
    codecs = Codecs()
    texts = {dumps(codecs.encode(value, float)) for value in (1, 1.0, numpy.int8(1), True)}
    assert texts == {"1.0"}


def test_in_a_union_the_nearest_member_is_taken_not_the_first() -> None:
    assert same(kept(three, float | int), 3)
    assert same(kept(numpy.float64(3), int | float), 3.0)
    assert same(kept(numpy.bool_(True), int | bool), True)
    assert same(kept([half], list[str] | list[float]), [0.5])


def test_one_part_that_does_not_fit_leaves_the_others_converted() -> None:
    assert same(kept([half, "x"], list[float]), [0.5, "x"])
    assert same(kept({"a": half, "b": "x"}, dict[str, float] | None), {"a": 0.5, "b": "x"})


def test_a_returned_value_is_never_changed_in_place() -> None:
    inner: list[Any] = [half]
    value = Derived(half)
    codecs = Codecs()
    codecs.encode([inner], list[list[float]])
    codecs.encode(value, Derived)
    assert type(inner[0]) is numpy.float64
    assert type(value.size) is numpy.float64


def test_a_dataclass_keeps_what_is_not_among_its_fields() -> None:
    value = Derived(numpy.float64(3))
    assert value.edge == 3
    back = kept(value, Derived)
    assert (type(back.size), type(back.area), back.area) == (float, float, 9.0)
    assert back.note == "made"


def test_a_value_that_contains_itself_is_refused_under_an_annotation_too() -> None:
    circle: list[Any] = [half]
    circle.append(circle)
    with pytest.raises(UnstorableValueError):
        kept(circle, list[list[float]])


def test_a_mapping_that_cannot_be_gone_through_is_unstorable_and_no_crash() -> None:
    class Broken(dict[str, int]):
        def keys(self) -> Any:
            raise ZeroDivisionError("not today")

    with pytest.raises(UnstorableValueError, match="Broken"):
        kept(Broken(a=1), dict[str, int])


plain = st.recursive(
    st.integers() | st.text() | st.booleans() | st.none(),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(), part, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(plain)
def test_plain_values_pass_unchanged_under_annotations_that_name_their_classes(value: Any) -> None:
    names: Any = int | str | bool | None
    for _ in range(4):  # as deep as the values above
        names = names | list[names] | dict[str, names]
    assert same(kept(value, names), value)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (Counter("a"), r"annotate it as dict\[str, int\]"),
        (iter([1]), r"return list\(...\)"),
        (object(), "install a plugin with a codec"),
    ],
)
def test_a_value_without_an_annotation_is_refused_with_what_to_write(
    value: Any, advice: str
) -> None:
    with pytest.raises(UnstorableValueError, match=advice):
        kept([value], Any)


@pytest.mark.parametrize("choices", [Literal[1, True], Literal[True, 1]])
def test_of_choices_that_are_equal_the_one_of_its_own_class_comes_back(choices: Any) -> None:
    assert kept(True, choices) is True
    assert type(kept(1, choices)) is int


@pytest.mark.parametrize(
    ("value", "annotation", "names"),
    [
        (numpy.zeros(1), int, "numpy.ndarray; the annotation promises int"),
        ([1], numpy.ndarray, "list; the annotation promises numpy.ndarray"),
        (pd.DataFrame(), numpy.ndarray, "pandas.DataFrame; .* promises numpy.ndarray"),
        (pd.Series([1]), list[int], r"pandas.Series; .* promises list\[int\]"),
        ([half, numpy.zeros(1)], list[float], r"numpy.ndarray in \[1\]; .* list\[float\]"),
        ({"a": pd.Series([1])}, dict[str, numpy.ndarray], r"pandas.Series in \['a'\]"),
        (pd.Series([1]), list[int], r"list\[int\]: return its \.tolist\(\)$"),
        (xr.DataArray([1], dims="x"), list[int], r"return its \.values\.tolist\(\)$"),
        (numpy.zeros(2), tuple[float, float], r"return tuple\(\.\.\.\) of its \.tolist\(\)$"),
        ([numpy.zeros(1)], tuple[float, ...], r"numpy.ndarray in \[0\]; .*\.\.\.\]$"),
        (numpy.longdouble(1) / 3, float, r"return float\(\.\.\.\) of it, which rounds it$"),
        ([numpy.clongdouble(1) / 3], list[complex], r"return complex\(\.\.\.\) of it"),
        ("x", numpy.ndarray | float, "str; the annotation promises numpy.ndarray"),
    ],
)
def test_a_value_of_a_library_that_is_not_promised_is_refused_with_both_names(
    value: Any, annotation: Any, names: str
) -> None:
    with pytest.raises(UnstorableValueError, match=names):
        kept(value, annotation)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (pd.Timestamp("2026-01-01 00:00:00.000000001"), r"pandas\.Timestamp"),
        (pd.array([1]), "IntegerArray"),
    ],
    ids=["Timestamp", "IntegerArray"],
)
def test_a_value_that_pandas_cannot_store_here_is_named_and_not_the_series_made_of_it(
    value: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UnstorableValueError, match=f"{name}; install"):
        kept(value, Any)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (numpy.ma.zeros(1), numpy.ndarray),
        (numpy.zeros(1), numpy.ndarray | None),
        (None, numpy.ndarray | None),
        (numpy.float32(1), numpy.floating),
        (pd.Series([1]), pd.Series | pd.DataFrame),
        (pd.Timestamp("2026-01-01 00:00:00.000000001"), dt.datetime),
        (numpy.zeros(1), object),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_of_a_library_that_is_promised_stays_one(value: Any, annotation: Any) -> None:
    assert type(kept(value, annotation)) is type(value)
