from __future__ import annotations

import collections
import datetime as dt
import enum
import io
import json
import math
import sys
import uuid
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import Annotated, Any, Literal, NewType, Optional, TypedDict, TypeVar, Union
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reflow.codecs.builtin import builtin_codecs
from reflow.codecs.codecs import Codecs
from reflow.codecs.contract import Codec, CodecContext
from reflow.codecs.self_contained import SelfContained
from reflow.errors import PluginError, StoredValueError, UnstorableValueError
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json

from tests.unit.codecs.shapes import (
    Box,
    Colour,
    Doubling,
    Frozen,
    Level,
    Mode,
    Old,
    Pair,
    Point,
    Right,
    Word,
    same,
)

ALL_SHAPES = (
    Colour | Level | Word | Right | Mode | Point | Frozen | Doubling | Box[Any] | Pair | Old
)
codecs = Codecs()


def there_and_back(value: Any, annotation: Any = ALL_SHAPES) -> Any:
    text = dumps(codecs.encode(value, annotation))
    assert text.isascii()
    return codecs.decode(loads(text), annotation)


any_text = st.text(st.characters(exclude_categories=[])) | st.sampled_from(
    ["$path", "$", "\ud83d\ude00", "\ud800", "😀", "\x00"]
)
zones = st.none() | st.sampled_from(
    [
        dt.UTC,
        dt.timezone(dt.timedelta(hours=-3, minutes=-30)),
        dt.timezone(dt.timedelta(hours=1), "Here"),
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("America/New_York"),
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.fractions()
    | st.builds(range, st.integers(), st.integers(), st.integers(min_value=1))
    | st.just(...)
    | any_text
    | st.binary()
    | st.decimals().filter(lambda number: not number.is_snan())  # it has no hash
    | st.uuids()
    | st.dates()
    | st.times(timezones=zones)
    | st.datetimes(timezones=zones)
    | st.timedeltas()
    | any_text.map(PurePosixPath)
    | any_text.map(PureWindowsPath)
    | any_text.map(Path)
    | st.sampled_from([*Colour, *Level, *Word, Right.READ | Right.WRITE, Right(0), Mode(5)])
)
hashables = st.recursive(
    scalars,
    lambda part: (
        st.lists(part, max_size=3).map(tuple)
        | st.frozensets(part, max_size=3)
        | st.builds(Pair, part, part)
        | st.builds(Frozen, part)
    ),
    max_leaves=4,
)
values = st.recursive(
    hashables,
    lambda part: (
        st.lists(part, max_size=3)
        | st.lists(part, max_size=3).map(tuple)
        | st.dictionaries(any_text, part, max_size=3)
        | st.dictionaries(hashables, part, max_size=3)
        | st.sets(hashables, max_size=3)
        | st.builds(Point, part, part)
        | st.builds(Old, part, part)
        | st.builds(Box, part)
        | st.slices(9)
    ),
    max_leaves=12,
)


@settings(max_examples=150)
@given(values)
def test_every_value_comes_back_equal_type_included(value: Any) -> None:
    assert same(there_and_back(value), value)


@settings(max_examples=50)
@given(values)
def test_what_encoding_writes_can_itself_be_a_value(value: Any) -> None:
    disguised = codecs.encode(value, ALL_SHAPES)
    assert same(there_and_back(disguised), disguised)


@settings(max_examples=50)
@given(st.lists(values, max_size=4))
def test_a_list_is_an_array_of_its_encoded_items(items: Any) -> None:
    assert codecs.encode(items, ALL_SHAPES) == [codecs.encode(item, ALL_SHAPES) for item in items]


@settings(max_examples=50)
@given(values)
def test_encoding_the_value_read_back_gives_the_same_text(value: Any) -> None:
    text = dumps(codecs.encode(value, ALL_SHAPES))
    assert dumps(codecs.encode(there_and_back(value), ALL_SHAPES)) == text


@pytest.mark.parametrize(
    "value",
    [
        [1, True, 1.0, 0, False, -0.0],
        {1: "int", "1": "str"},
        {True: "bool"},
        {(1, (2.0, None)): {frozenset({b"x"}): set()}},
        {"z": 1, "a": 2, "m": 3},
        {"$path": "/etc/passwd"},
        {"$dict": []},
        {"$": 1, "a": 2},
        {"": {"": ""}},
        [[], (), {}, set(), frozenset(), "", b"", None],
        "\ud83d\ude00",
        {"\ud83d\ude00": "\ud83d", "😀": "\ude00"},
        Path("\ud83d\ude00/\udcff"),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.datetime(2026, 10, 25, 2, 30, fold=1),
        dt.time(2, 30, fold=1),
        dt.timezone(dt.timedelta(hours=1), "UTC+01:00"),
        dt.timezone(dt.timedelta(hours=1), "x"),
        ZoneInfo("UTC"),
        dt.timedelta.max,
        Decimal("1.00"),
        Decimal("-sNaN123"),
        Colour.CRIMSON,
        {Level.HIGH: Level.LOW},
    ],
    ids=lambda value: type(value).__name__,
)
def test_awkward_values_come_back_as_they_were(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_an_integer_longer_than_python_prints_comes_back() -> None:
    for value in (2**2000 - 1, 2**2000, -(2**2001), 10**10_000):
        assert there_and_back(value) == value


def test_plain_dicts_stay_plain_objects() -> None:
    assert codecs.encode({"a": 1, "b": {"c": [None]}}) == {"a": 1, "b": {"c": [None]}}


def test_the_order_of_a_dict_survives_although_objects_are_sorted() -> None:
    assert list(there_and_back({"b": 1, "a": 2})) == ["b", "a"]


# -- what cannot be stored -----------------------------------------------------------------------
class MyStr(str):
    __slots__ = ()


class MyInt(int):
    pass


class Plain:
    pass


@dataclass
class ListLike(list[Any]):
    name: str = ""


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (MyStr("x"), "MyStr"),
        (MyInt(1), "MyInt"),
        (collections.OrderedDict(a=1), "collections.OrderedDict"),
        (collections.defaultdict(int), "collections.defaultdict"),
        (bytearray(b"x"), "bytearray"),
        (collections.deque([1]), "collections.deque"),
        (object(), "object"),
        (Plain(), "Plain"),
        (Plain, "type"),
        (len, "builtin_function_or_method"),
        (iter([]), "list_iterator"),
        (ListLike("x"), "ListLike"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_type_is_refused_by_name_never_turned_into_its_base(value: Any, named: Any) -> None:
    with pytest.raises(UnstorableValueError, match=named.replace(".", r"\.")):
        codecs.encode(value, ListLike)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([0, 1, 2, {"x": Plain()}], "[3]['x']"),
        ({"b": 1, "a": ({1: Plain()},)}, "['a'][0][1]"),
        (Point(1, [Plain()]), ".y[0]"),
        (Pair(Plain()), ".left"),
        ({"a": {MyStr("k"): 1}}, "['a'](key 'k')"),
        ([{MyStr("k")}], "[0]{'k'}"),
    ],
)
def test_the_error_says_where_in_the_value_the_part_sits(value: Any, where: Any) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        codecs.encode(value, Point | Pair)
    assert f" in {where}" in str(caught.value)


def test_a_part_at_the_top_has_no_place_to_name() -> None:
    with pytest.raises(UnstorableValueError, match=r"a value of type list_iterator; "):
        codecs.encode(iter([]))


class OwnZone(dt.tzinfo):
    """Stands for zones of other libraries, such as dateutil's."""

    def utcoffset(self, at: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    def dst(self, at: dt.datetime | None) -> None:
        return None

    def tzname(self, at: dt.datetime | None) -> str:
        return "here"


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (io.StringIO(), "return the Path of the file"),
        (dt.datetime(2026, 1, 1, tzinfo=OwnZone()), r"use zoneinfo\.ZoneInfo"),
        ({1: 2}.items(), r"annotate it as list\[\.\.\.\]"),
        (MappingProxyType({1: 2}), r"annotate it as dict\[\.\.\.\]"),
        (iter([]), r"return list\(\.\.\.\)"),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_is_refused_is_told_what_to_return_instead(value: Any, advice: str) -> None:
    with pytest.raises(UnstorableValueError, match=advice):
        codecs.encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = [circle]
    with pytest.raises(UnstorableValueError, match="contain itself"):
        codecs.encode(circle)


def test_what_is_stored_at_the_deepest_level_can_be_read_from_a_deep_stack() -> None:
    value: Any = 1
    for _ in range(49):
        value = Point([value])
    text = dumps(codecs.encode(value, Point))

    def deeper(levels: int) -> Any:
        return deeper(levels - 1) if levels else codecs.decode(loads(text), Point)

    assert deeper(150) == value


def test_a_zone_read_from_a_file_is_refused() -> None:
    with Path("/usr/share/zoneinfo/UTC").open("rb") as file:
        zone = ZoneInfo.from_file(file)
    with pytest.raises(UnstorableValueError, match="ZoneInfo without a key"):
        codecs.encode([dt.datetime(2026, 1, 1, tzinfo=zone)])


def test_a_zone_of_a_strangers_class_is_refused() -> None:
    class Zone(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=1)

        def dst(self, when: dt.datetime | None) -> None:
            return None

        def tzname(self, when: dt.datetime | None) -> str:
            return "mine"

    with pytest.raises(UnstorableValueError, match="Zone"):
        codecs.encode(dt.datetime(2026, 1, 1, tzinfo=Zone()))


def test_a_property_that_raises_is_an_unstorable_value_and_no_crash() -> None:
    @dataclass
    class Moody:
        x: int = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "x":
                raise ZeroDivisionError("not today")
            return super().__getattribute__(name)

    with pytest.raises(UnstorableValueError, match="not today"):
        codecs.encode(Moody(), Moody)


# -- classes are found through the annotation ---------------------------------------------------
Alias = list[Point | None]
Id = NewType("Id", Point)
Bound = TypeVar("Bound", bound=Point)
Either = TypeVar("Either", Point, Colour)


class Row(TypedDict):
    point: Point


@dataclass
class Node:
    value: Any
    next: Node | None = None
    colours: dict[str, list[Colour]] | None = None


@dataclass
class HalfResolvable:
    unknown: NoSuchName  # type: ignore[name-defined]  # noqa: F821
    point: Point


@pytest.mark.parametrize(
    "annotation",
    [
        Point,
        list[Point],
        dict[str, list[Point]],
        tuple[int, ...] | dict[str, Point],
        Optional[Point],  # noqa: UP045
        Union[Point, None],  # noqa: UP007
        Point | None,
        Annotated[list[Point], "anything", []],
        Alias,
        Id,
        Bound,
        Either,
        Row,
        Box[Point],
        Box[list[Box[Point]]],
        Frozen,
        HalfResolvable,
        Annotated[Point, {}],
    ],
    ids=str,
)
def test_a_class_is_reached_through_any_annotation_that_leads_to_it(annotation: Any) -> None:
    assert there_and_back([Point(1, 2)], annotation) == [Point(1, 2)]


def test_several_annotations_may_name_the_classes_together() -> None:
    value = [Point(1), Colour.RED]
    assert there_and_back(value, (list[Any], Point, dict[str, Colour])) == value


def test_a_literal_leads_to_the_enum_of_its_members() -> None:
    assert there_and_back(Colour.RED, Literal[Colour.RED, 1]) is Colour.RED


def test_a_class_that_refers_to_itself_is_followed_once() -> None:
    node = Node(1, Node(2, None, {"a": [Colour.GREEN]}))
    assert there_and_back(node, Node) == node


@pytest.mark.parametrize("annotation", [Any, None, list[str], object, Colour])
def test_a_class_that_the_annotation_does_not_name_is_refused_with_what_to_do(
    annotation: Any,
) -> None:
    with pytest.raises(UnstorableValueError) as caught:
        codecs.encode([Point(1)], annotation)
    assert "shapes.Point in [0]" in str(caught.value)
    assert "write Point into it" in str(caught.value)


def test_a_subclass_of_the_class_named_is_refused() -> None:
    @dataclass
    class Special(Point):
        pass

    with pytest.raises(UnstorableValueError, match="Special"):
        codecs.encode(Special(1), Point)


def test_a_value_is_read_back_only_under_an_annotation_that_names_its_class() -> None:
    data = codecs.encode(Point(1), Point)
    with pytest.raises(StoredValueError, match="Point"):
        codecs.decode(data, Any)


def test_nothing_named_in_stored_data_is_imported(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "booby_trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    hostile: list[Json] = [
        {"$dataclass": ["booby_trap:Point", {"x": 1}]},
        {"$enum": ["booby_trap.Colour", "RED"]},
        {"$booby_trap": [None, 1]},
    ]
    for data in hostile:
        with pytest.raises(StoredValueError):
            codecs.decode(data, Any)
    assert "booby_trap" not in sys.modules


def test_two_classes_of_one_name_in_one_file_cannot_be_told_apart() -> None:
    def make() -> Any:
        return enum.Enum("Twin", "A")

    one, other = make(), make()
    with pytest.raises(UnstorableValueError, match="rename"):
        codecs.encode(one.A, one | other)


# -- dataclasses, named tuples, enums -----------------------------------------------------------
def test_reading_a_dataclass_back_calls_no_constructor() -> None:
    made = Doubling(3, 5)
    back = there_and_back(made)
    assert (back.size, back.area, back.note) == (15, 225, "made with 5")


def test_a_cached_property_is_left_out() -> None:
    made = Doubling(3)
    assert made.perimeter == 24
    back = there_and_back(made)
    assert "perimeter" not in vars(back)
    assert back.perimeter == 24


def test_the_fields_of_a_dataclass_come_back_in_their_order() -> None:
    @dataclass
    class Size:
        wide: int
        high: int

    back = codecs.decode(loads(dumps(codecs.encode(Size(1, 2), Size))), Size)
    assert list(vars(back)) == ["wide", "high"]


def test_a_dataclass_whose_fields_changed_is_not_read_back() -> None:
    @dataclass
    class Point:
        x: int
        z: int

    with pytest.raises(StoredValueError, match="y, z"):
        codecs.decode({"$dataclass": [Point.__qualname__, {"x": 1, "y": 2}]}, Point)


def test_a_field_that_is_not_set_is_refused() -> None:
    point = Point(1)
    del point.x
    with pytest.raises(UnstorableValueError, match="'x' is not set"):
        codecs.encode(point, Point)


def test_a_member_that_is_gone_is_not_read_back() -> None:
    with pytest.raises(StoredValueError, match="BLUE"):
        codecs.decode({"$enum": ["Colour", "BLUE"]}, Colour)


def test_a_named_tuple_with_attributes_of_its_own_is_refused() -> None:
    class Carrying(Pair):
        more: Any

    value = Carrying(1)
    assert there_and_back(value, Carrying) == value
    value.more = 1
    with pytest.raises(UnstorableValueError, match="more than its named fields"):
        codecs.encode(value, Carrying)


@pytest.mark.parametrize(
    "data",
    [
        {"$tuple": 3},
        {"$int": "zz"},
        {"$bytes": "!"},
        {"$enum": "RED"},
        {"$enum": ["Colour"]},
        {"$dataclass": ["Colour", {}]},
        {"$dataclass": ["Point", 3]},
        {"$namedtuple": ["Point", {}]},
        {"$enum": ["Point", "x"]},
        {"$zoneinfo": "Nowhere/At_All"},
        {"$dict": [[{"$set": []}, 1]]},
        {"$datetime": "yesterday"},
        {"$no-such-codec": [None, 1]},
    ],
    ids=json.dumps,
)
def test_damaged_data_is_an_error_of_ours(data: Any) -> None:
    with pytest.raises(StoredValueError):
        codecs.decode(data, Colour | Point)


# -- codecs of plugins --------------------------------------------------------------------------
class DequeCodec(SelfContained):
    name = "deque"

    def handles(self, kind: type) -> bool:
        return kind is deque

    def encode(self, value: deque[Any], context: CodecContext) -> Json:
        return ["items", context.encode(list(value))]

    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        return deque(context.decode(data[1], Any))


class ShelfCodec(SelfContained):
    """For classes that need their class and hold parts of any type."""

    name = "shelf"

    def handles(self, kind: type) -> bool:
        return issubclass(kind, Shelf)

    def encode(self, value: Any, context: CodecContext) -> Json:
        return context.encode(value.parts)

    def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
        return kind(context.decode(data, Any))


class Shelf:
    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts


class Wide(Shelf):
    colour: Colour


def with_plugins(*plugins: Any) -> Codecs:
    return Codecs(lambda: plugins)


def test_a_plugin_adds_a_type_with_or_without_an_annotation() -> None:
    codecs = with_plugins(DequeCodec())
    for annotation in (Any, deque, list[deque[Any]]):
        data = loads(dumps(codecs.encode([deque([1])], annotation)))
        for reader in (annotation, Any, deque):
            assert codecs.decode(data, reader) == [deque([1])]


def test_a_plugin_is_given_the_class_that_the_annotation_names() -> None:
    codecs = with_plugins(ShelfCodec())
    data = codecs.encode([Wide([Shelf([(1,)]), Colour.RED])], list[Wide | Shelf])
    (back,) = codecs.decode(data, list[Wide | Shelf])
    assert type(back) is Wide
    assert type(back.parts[0]) is Shelf
    assert back.parts[0].parts == [(1,)]
    assert back.parts[1] is Colour.RED


def test_plugins_are_looked_for_once_and_only_for_types_that_no_built_in_codec_knows() -> None:
    calls = []

    def find() -> list[Codec]:
        calls.append(1)
        return [DequeCodec()]

    codecs = Codecs(find)
    for value in (1, "x", {(1,): Path("x")}, dt.datetime.now(), uuid.uuid4(), Colour.RED):
        codecs.decode(codecs.encode(value, Colour), Colour)
    assert calls == []
    codecs.encode(deque([1]))
    codecs.encode([deque([1])])
    assert calls == [1]
    with pytest.raises(StoredValueError, match="no installed plugin"):
        codecs.decode({"$other": [None, 1]})
    assert calls == [1]


def test_the_built_in_codecs_may_come_from_the_provider_too() -> None:
    codecs = with_plugins(*builtin_codecs(), DequeCodec())
    assert codecs.decode(codecs.encode([(1,), deque([1])]))[0] == (1,)


@pytest.mark.parametrize("name", ["deque", "path"])
def test_two_codecs_of_one_name_are_an_error(name: Any) -> None:
    impostor = DequeCodec()
    impostor.name = name
    with pytest.raises(PluginError, match=name):
        with_plugins(DequeCodec(), impostor).encode(deque([1]))


@pytest.mark.parametrize("returned", [(1, 2), {1: 2}, math.nan, [object()]])
def test_what_a_plugin_returns_must_come_back_from_json_as_it_was(returned: Any) -> None:
    class Careless(DequeCodec):
        def encode(self, value: Any, context: CodecContext) -> Any:
            return returned

    with pytest.raises(UnstorableValueError, match=r"deque in \[0\]"):
        with_plugins(Careless()).encode([deque([1])])


def test_an_error_inside_a_plugin_names_the_type_and_the_place() -> None:
    class Broken(DequeCodec):
        def encode(self, value: Any, context: CodecContext) -> Json:
            raise KeyError("oops")

    with pytest.raises(UnstorableValueError, match=r"deque in \['a'\].*'deque'.*oops"):
        with_plugins(Broken()).encode({"a": deque([1])})


def test_a_codec_is_given_the_folder_for_its_files(tmp_path: Any) -> None:
    class Filing(DequeCodec):
        def encode(self, value: Any, context: CodecContext) -> Json:
            assert context.directory is not None
            file = context.directory / "number"
            file.write_text(value[0])
            return str(file)

        def decode(self, data: Any, kind: type, context: CodecContext) -> Any:
            return deque([Path(data).read_text()])

    codecs = with_plugins(Filing())
    data = codecs.encode(deque(["a"]), directory=tmp_path)
    assert codecs.decode(data) == deque(["a"])
