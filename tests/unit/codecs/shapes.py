"""Classes that values in these tests are made of, and how to compare with types included."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "r"
    GREEN = ("g", 2)
    CRIMSON = "r"  # noqa: PIE796 (an alias)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Mode(enum.IntFlag):
    X = 1
    Y = 4


@dataclass
class Point:
    x: Any
    y: Any = 0


@dataclass(frozen=True, slots=True)
class Frozen:
    label: Any
    inner: Point | None = None


@dataclass
class Doubling:
    """Its constructor changes what it is given, so it must not be called when reading back."""

    size: int
    factor: dataclasses.InitVar[int] = 2
    area: int = field(init=False, default=0)

    def __post_init__(self, factor: int) -> None:
        self.size *= factor
        self.area = self.size**2
        self.note = f"made with {factor}"

    @cached_property
    def perimeter(self) -> int:
        return self.size * 4


@dataclass
class Box(Generic[T]):
    content: T


class Pair(NamedTuple):
    left: Any
    right: Any = None


Old = namedtuple("Old", "a b")


def same(one: Any, other: Any) -> bool:
    """Equal, with equal types at every level, order of dicts, fold, sign of zero and nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, range | slice):
        return all(same(getattr(one, at), getattr(other, at)) for at in ("start", "stop", "step"))
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
    if dataclasses.is_dataclass(one):
        return same(_fields(one), _fields(other)) and same(_extra(one), _extra(other))
    if hasattr(one, "tzinfo"):
        return one == other and one.fold == other.fold and repr(one) == repr(other)
    return bool(one == other)


def _fields(value: Any) -> dict[str, Any]:
    return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}


def _extra(value: Any) -> dict[str, Any]:
    return {
        name: part
        for name, part in sorted(getattr(value, "__dict__", {}).items())
        if name not in ("__orig_class__", "perimeter")
    }
