"""Annotations that can never be stored are refused before anything runs."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

import array
import enum
import importlib.util
import re
import threading
import typing
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Number
from os import PathLike
from pathlib import Path, PurePath
from types import EllipsisType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    Protocol,
    TypedDict,
    TypeVar,
)
from uuid import UUID

import numpy
import pandas as pd
import pytest
from reflow import Workflow
from reflow.codecs.contract import Codec, CodecContext
from reflow.codecs.registry import Registry
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.storable import unstorable
from reflow.errors import DefinitionError
from reflow.model.json import Json

from tests.unit.codecs.shapes import Box, Colour, Old, Pair
from tests.unit.codecs.shapes import Point as AnyPoint

T = TypeVar("T")
Bound = TypeVar("Bound", bound=bytearray)


class Thing:
    pass


class Frame:
    """As pandas and xarray have them."""


class Named(Protocol):
    name: str


class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...


class Base:
    pass


@dataclass
class Heir(Base):
    x: int = 0


@dataclass
class Holder:
    numbers: list[bytearray]


@dataclass
class Node:
    value: int
    next: Node | None = None
    unknown: NoSuchName | None = None  # type: ignore[name-defined]  # noqa: F821


class Pixels(NamedTuple):
    data: bytearray


class Table(TypedDict):
    frame: Frame


@dataclass
class Rows(list[int]):
    name: str = ""


@pytest.mark.parametrize(
    "annotation",
    [
        Any,
        None,
        object,
        T,
        "a name nobody knows",
        int,
        list,
        list[int],
        list[T],  # type: ignore[valid-type]
        dict[str, list[tuple[int, ...]]],
        tuple[()],
        set[str] | None,
        Literal["a", 1, Colour.RED, None],
        Annotated[float, "m"],
        NewType("Id", int),
        Path,
        PurePath,
        PathLike[str],
        Decimal,
        UUID,
        complex,
        Fraction,
        range,
        slice,
        EllipsisType,
        Number,
        Hashable,
        Iterable[int],
        Sequence[str],
        Mapping[str, Any],
        Colour,
        enum.Enum,
        AnyPoint,
        Node,
        Box[int],
        Pair,
        Old,
        Named,
        Shape,
        Base,
        numpy.ndarray,
        numpy.typing.NDArray[numpy.float64],
        numpy.ma.MaskedArray,
        numpy.float64,
        float | numpy.float64,
        int | numpy.integer,
        type(None),
    ],
    ids=str,
)
def test_what_may_be_storable_is_accepted(annotation: Any) -> None:
    assert unstorable(annotation, Registry(tuple)) is None


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (bytearray, bytearray),
        (Thing, Thing),
        (Frame, Frame),
        (list[bytearray], bytearray),
        (dict[str, list[Frame]], Frame),
        (tuple[int, bytearray], bytearray),
        (bytearray | None, bytearray),
        (Sequence[bytearray], bytearray),
        (Annotated[bytearray, "x"], bytearray),
        (NewType("Wave", bytearray), bytearray),
        (Bound, bytearray),
        (Holder, bytearray),
        (list[Pixels], bytearray),
        (Table, Frame),
        (Box[bytearray], bytearray),
        (Rows, Rows),
        (Counter[str], Counter),
        (defaultdict[str, int], defaultdict),
        (OrderedDict, OrderedDict),
        (deque[int], deque),
        (array.array, array.array),
        (re.Pattern[str], re.Pattern),
        (Callable[[int], int], typing.get_origin(Callable[[int], int])),
        (Iterator[int], typing.get_origin(Iterator[int])),
        (Generator[int, None, None], typing.get_origin(Generator[int, None, None])),
        (typing.IO[str], typing.IO),
        (type[int], type),
    ],
    ids=str,
)
def test_what_can_never_be_stored_is_found_wherever_it_stands(annotation: Any, kind: Any) -> None:
    found = unstorable(annotation, Registry(tuple))
    assert found is not None
    assert found.kind is kind


def workflow(annotation: Any) -> Workflow:
    wf = Workflow("promise")

    def make() -> None: ...

    make.__annotations__["return"] = annotation
    wf.job(make)
    return wf


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bytearray, "write bytes"),
        (Counter[str], r"write dict\[str, int\]"),
        (Iterator[int], r"return a list, and write list\[...\]"),
        (Thing, "Thing .* dataclasses"),
        (threading.Thread, "return what describes it"),
        (Holder, "whose field Holder.numbers"),
    ],
    ids=str,
)
def test_validate_names_the_task_and_says_what_to_write_instead(
    annotation: Any, words: str
) -> None:
    with pytest.raises(DefinitionError, match=f"task 'make' returns .*{words}"):
        workflow(annotation).validate()


@pytest.mark.parametrize("start", ["run_local", "submit", "describe"])
def test_it_is_refused_before_anything_runs(start: str, home: Path) -> None:
    with pytest.raises(DefinitionError, match="bytearray"):
        getattr(workflow(bytearray), start)()
    assert not Path("runs").exists()


def test_what_a_codec_needs_and_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DefinitionError, match=r"DataFrame can .*: install reflow-core\[pandas\]"):
        workflow(list[pd.DataFrame]).validate()


class ThingCodec(SelfContained):
    name = "thing"

    def handles(self, kind: type) -> bool:
        return kind is Thing

    def encode(self, value: Any, context: CodecContext) -> Json:
        return None

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        return Thing()


def test_what_a_plugin_stores_is_accepted_and_plugins_are_asked_about_nothing_else() -> None:
    asked: list[Codec] = []

    def plugins() -> Sequence[Codec]:
        asked.append(ThingCodec())
        return asked

    registry = Registry(plugins)
    for builtin in (int, list[Node], dict[str, Path], Colour):
        assert unstorable(builtin, registry) is None
    assert not asked
    assert unstorable(list[Thing], registry) is None
    assert asked
