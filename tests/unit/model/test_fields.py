from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from reflow.errors import StoredValueError
from reflow.model.fields import as_json, from_json


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Own:
    """Has a form of its own."""

    number: int

    def as_json(self) -> str:
        return f"#{self.number}"

    @classmethod
    def from_json(cls, data: Any) -> Own:
        if not isinstance(data, str):
            raise StoredValueError("no text")
        return cls(int(data[1:]))


@dataclass(frozen=True)
class Leaf:
    path: Path
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tree:
    leaf: Leaf
    leaves: tuple[Leaf, ...]
    by_name: Mapping[str, tuple[Own, ...]]
    time: timedelta | None
    colour: Colour = Colour.RED
    other: Leaf | None = None
    mode: Literal["a", "b"] | None = None
    free: Any = None
    more: Mapping[str, Any] = field(default_factory=dict)


TREE = Tree(
    leaf=Leaf(Path("/a"), ("x", "y")),
    leaves=(Leaf(Path("b")), Leaf(Path("c"))),
    by_name={"own": (Own(1), Own(2))},
    time=timedelta(minutes=1.5),
    mode="a",
    free=[1, None],
    more={"list": [1, 2], "nothing": None},
)


def through_text(record: Any) -> Any:
    return json.loads(json.dumps(as_json(record)))


def test_a_record_is_read_back_as_it_was() -> None:
    assert from_json(Tree, through_text(TREE)) == TREE


def test_records_are_written_in_the_order_of_their_fields() -> None:
    data = as_json(TREE)
    assert list(data) == list(Tree.__dataclass_fields__)
    assert data["leaf"] == {"path": "/a", "names": ["x", "y"]}
    assert data["by_name"] == {"own": ["#1", "#2"]}
    assert (data["time"], data["colour"]) == (90.0, "red")


def test_fields_can_be_left_out_at_any_depth() -> None:
    data = as_json(TREE, without=("names", "more"))
    assert "more" not in data
    assert data["leaves"] == [{"path": "b"}, {"path": "c"}]


def test_missing_fields_get_their_defaults() -> None:
    data = through_text(TREE)
    del data["colour"], data["leaf"]["names"]
    assert from_json(Tree, data).leaf == Leaf(Path("/a"))
    assert from_json(Tree, data).colour is Colour.RED


@pytest.mark.parametrize(
    "wrong",
    [
        {"leaf": "nothing"},
        {"leaf": {}},
        {"leaf": {"path": 5}},
        {"leaves": 5},
        {"by_name": {"own": [7]}},
        {"by_name": [1]},
        {"time": "soon"},
        {"colour": "blue"},
        {"unheard_of": 1},
    ],
)
def test_what_was_not_written_so_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, LookupError, StoredValueError)):
        from_json(Tree, {**through_text(TREE), **wrong})


@pytest.mark.parametrize("wrong", [[], [1], "text", 5])
def test_what_is_no_mapping_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_json(Tree, wrong)
