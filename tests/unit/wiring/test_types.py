"""Types compared as types."""

# mypy: disable-error-code="valid-type"

from __future__ import annotations

import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path, PurePath
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypedDict,
    TypeVar,
    Union,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.wiring.types import element_of, equal, fits, parts_of, show, takes_lists
from typing_extensions import TypeAliasType

T = TypeVar("T")
Number = TypeVar("Number", bound=int)
UserId = NewType("UserId", int)
Files = NewType("Files", list[str])


class Point(NamedTuple):
    x: int
    y: int


class Settings(TypedDict):
    name: str


class Numbers(list[int]):
    pass


class Table(list[T], Generic[T]):
    pass


class Keyed(dict[str, T], Generic[T]):
    pass


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (list[int], typing.List[int]),  # noqa: UP006
        (list, list[Any]),
        (Optional[int], int | None),  # noqa: UP045
        (Union[int, str], str | int),  # noqa: UP007
        (Annotated[int, "metres"], int),
        (list[Annotated[int, "metres"]], list[int]),
        (typing.Dict[str, int], dict[str, int]),  # noqa: UP006
        (None, type(None)),
        (Number, int),
        (list[Number], list[int]),
    ],
)
def test_types_are_equal_however_they_are_spelt(one: Any, other: Any) -> None:
    assert equal(one, other)
    assert equal(other, one)


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (bool, int),
        (int, float),
        (int, complex),
        (Path, PurePath),
        (int, int | None),
        (int | None, int | None | str),
        (Literal["a"], str),
        (Literal["a"], Literal["a", "b"]),
        (UserId, int),
        (int, T),
        (Point, tuple[int, int]),
        (Point, tuple),
        (Settings, dict[str, Any]),
        (Numbers, list[int]),
        (Table[int], list[int]),
        (Table[int], Sequence[int]),
        (Keyed[int], Mapping[str, int]),
        (dict[str, int], Iterable[str]),
        (tuple[int, ...], Sequence[int]),
        (tuple[int, bool], Sequence[int]),
        (tuple[int, int], tuple[int, ...]),
        (tuple[int, str], tuple[int, str]),
        (set[int], Collection[int]),
        (list[list[bool]], Sequence[Sequence[int]]),
        (list[int], object),
        (str, str),
        (str, typing.Hashable),
        (list[str], list),
        (list, list[str]),
        (type(None), None),
        (Callable[[int], int], Callable[[int], int]),
    ],
)
def test_what_fits(produced: Any, wanted: Any) -> None:
    assert fits(produced, wanted)


@pytest.mark.parametrize(
    ("produced", "wanted"),
    [
        (int, bool),
        (float, int),
        (int, str),
        (str, Path),
        (int | None, int),
        (str, Literal["a"]),
        (Literal["a", "b"], Literal["a"]),
        (Literal[1], Literal[True]),
        (Literal["a"], int),
        (int, UserId),
        (list[int], list[str]),
        (Numbers, list[str]),
        (Table[int], list[str]),
        (Keyed[int], Mapping[int, int]),
        (Sequence[int], list[int]),
        (list[int], tuple[int, ...]),
        (tuple[int, ...], tuple[int, int]),
        (tuple[int, str], tuple[int, ...]),
        (tuple[int, int], tuple[int]),
        (dict[str, int], Iterable[int]),
        (str, Sequence[str]),
        (bytes, Iterable[int]),
        (set[int], Sequence[int]),
        (dict[str, Any], Settings),
    ],
)
def test_what_does_not_fit(produced: Any, wanted: Any) -> None:
    assert not fits(produced, wanted)


@pytest.mark.parametrize(
    ("produced", "element"),
    [
        (list[int], int),
        (list, Any),
        (typing.List[str], str),  # noqa: UP006
        (list[list[int]], list[int]),
        (Numbers, int),
        (Table[str], str),
        (Files, str),
        (Sequence[int], None),
        (tuple[int, ...], None),
        (list[int] | None, None),
        (Any, None),
        (str, None),
    ],
)
def test_what_a_list_is_a_list_of(produced: Any, element: Any) -> None:
    assert element_of(produced) == element


@pytest.mark.parametrize(
    ("produced", "part"),
    [
        (list[int], int),
        (Numbers, int),
        (list[int] | None, int),
        (tuple[int, ...], int),
        (tuple[int, ...] | None, int),
        (Sequence[int], int),
        (dict[str, int], tuple[str, int]),
        (Mapping[str, int], tuple[str, int]),
        (Keyed[int], tuple[str, int]),
        (Settings, None),
        (tuple[int, int], None),
        (tuple[()], None),
        (tuple, None),
        (Point, None),
        (set[int], None),
        (Iterable[int], None),
        (list[int] | tuple[int, ...], None),
        (str, None),
        (bytes, None),
        (None, None),
        (Any, None),
    ],
)
def test_what_a_value_can_be_taken_apart_into(produced: Any, part: Any) -> None:
    assert parts_of(produced) == part


@pytest.mark.parametrize("wanted", [list, list[int], Sequence[int], list[int] | None, Files])
def test_what_takes_lists_as_such(wanted: Any) -> None:
    assert takes_lists(wanted)


@pytest.mark.parametrize("wanted", [Any, object, int, str, tuple[int, ...], dict[str, int], T])
def test_what_does_not_take_lists_as_such(wanted: Any) -> None:
    assert not takes_lists(wanted)


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (int, "int"),
        (None, "None"),
        (type(None), "None"),
        (list[int], "list[int]"),
        (Optional[list[int]], "list[int] | None"),  # noqa: UP045
        (dict[str, Path], "dict[str, Path]"),
        (Sequence[Colour], "Sequence[Colour]"),
        (tuple[int, ...], "tuple[int, ...]"),
        (Literal["a", 1], "Literal['a', 1]"),
        (Any, "Any"),
        (UserId, "UserId"),
        (T, "T"),
        (Annotated[int, "metres"], "int"),
        (Callable[[int], str], "Callable[[int], str]"),
        (list, "list"),
    ],
)
def test_a_type_reads_as_one_would_write_it(kind: Any, shown: str) -> None:
    assert show(kind) == shown


def types() -> st.SearchStrategy[Any]:
    leaves = st.sampled_from([int, bool, float, str, Path, Point, None, Any, Colour, UserId])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(lambda kind: list[kind]),
            inner.map(lambda kind: Sequence[kind]),
            inner.map(lambda kind: dict[str, kind]),
            inner.map(lambda kind: tuple[kind, ...]),
            inner.map(lambda kind: Optional[kind]),  # noqa: UP045
            st.tuples(inner, inner).map(lambda kinds: Union[kinds]),  # noqa: UP007
        ),
        max_leaves=5,
    )


@given(types())
def test_every_type_fits_itself_and_anything(kind: Any) -> None:
    assert equal(kind, kind)
    assert fits(kind, kind)
    assert fits(kind, Any)
    assert fits(kind, Optional[kind])  # noqa: UP045


@given(types(), types())
def test_fitting_carries_over_to_lists(one: Any, other: Any) -> None:
    assert fits(list[one], list[other]) == fits(one, other)


# -- names of `type` statements (Python 3.12), as typing_extensions makes them before that --------
K = TypeVar("K")
Pair = TypeAliasType("Pair", tuple[T, T], type_params=(T,))
Swapped = TypeAliasType("Swapped", dict[K, T], type_params=(T, K))
Same = TypeAliasType("Same", T, type_params=(T,))
Maybe = TypeAliasType("Maybe", T | None, type_params=(T,))
Rows = TypeAliasType("Rows", list[int])
Named = TypeAliasType("Named", Rows)


@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        (Rows, list[int]),
        (Named, list[int]),
        (Pair[int], tuple[int, int]),
        (Swapped[int, str], dict[str, int]),
        (Same[Path], Path),
        (Same[Pair[int]], tuple[int, int]),
        (Maybe[int], int | None),
    ],
    ids=str,
)
def test_an_alias_stands_for_its_type_with_its_parameters_filled_in(alias: Any, kind: Any) -> None:
    assert equal(alias, kind)
    assert fits(alias, kind)
    assert fits(kind, alias)
