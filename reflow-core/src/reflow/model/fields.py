"""Records, which are frozen dataclasses, as plain JSON by their fields, and back."""

from __future__ import annotations

import typing
from collections.abc import Callable, Container, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar

Record = TypeVar("Record")


def as_json(value: Any, without: Container[str] = ()) -> Any:
    """Convert a record, and what it holds, to what JSON holds; leave out the fields in `without`.

    A class with a method `as_json` decides for itself.
    """
    if hasattr(value, "as_json"):
        return value.as_json()
    if is_dataclass(value):
        named = {each.name: getattr(value, each.name) for each in fields(value)}
        return {name: as_json(one, without) for name, one in named.items() if name not in without}
    if isinstance(value, Mapping):
        return {key: as_json(each, without) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(each, without) for each in value]
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[Record], data: Mapping[str, Any]) -> Record:
    """Read a record back from `as_json`. Fields that are missing get their defaults.

    Raises `TypeError`, `ValueError`, `LookupError` or `ReflowError` for what was not written so.
    """
    hints = _hints(kind)
    return kind(**{name: _value(hints.get(name), each) for name, each in dict(data).items()})


def _value(annotation: Any, data: Any) -> Any:
    """Read back what a field of that annotation holds. What the annotation leaves open stays."""
    is_union = typing.get_origin(annotation) in (typing.Union, UnionType)
    kinds = [*typing.get_args(annotation)] if is_union else [annotation]
    kinds = [kind for kind in kinds if kind is not NoneType]
    if data is None or len(kinds) != 1 or kinds == [Any]:
        return data
    (kind,) = kinds
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_value(inner[0], each) for each in data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _value(inner[1], each) for key, each in dict(data).items()}
    if not isinstance(kind, type) or isinstance(data, kind):
        return data
    if hasattr(kind, "from_json"):
        return kind.from_json(data)
    if is_dataclass(kind):
        return from_json(kind, data)
    if kind is timedelta:
        return timedelta(seconds=data)
    return kind(data) if issubclass(kind, Path | Enum) else data


_hints: Callable[[Any], dict[str, Any]] = cache(typing.get_type_hints)
