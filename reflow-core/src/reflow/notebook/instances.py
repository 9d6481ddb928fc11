"""Instances made of their parts, as modules written from cells make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

_ON_HEAP = 1 << 9
"""The flag of classes that a `class` statement made."""


def instance(kind: type, parts: Mapping[str, Any]) -> Any:
    """Return an instance of a class with these attributes, without running its `__init__`."""
    made: Any = object.__new__(kind)
    for name, value in parts.items():
        own = getattr(made, "__dict__", None)
        if own is None or name in _slots(kind):
            object.__setattr__(made, name, value)
        else:
            own[name] = value
    return made


def parts_of(value: object) -> dict[str, Any] | None:
    """Return the attributes of an instance; None where it holds more, as an exception does."""
    kind = type(value)
    if any(not base.__flags__ & _ON_HEAP for base in kind.__mro__[:-1]):
        return None
    in_slots = {name: getattr(value, name) for name in _slots(kind) if hasattr(value, name)}
    return {**in_slots, **getattr(value, "__dict__", {})}


def is_made_by_fields(value: Any, parts: Mapping[str, Any]) -> bool:
    """Tell whether calling a dataclass with the fields of an instance makes the same one."""
    kind = type(value)
    code = getattr(kind.__init__, "__code__", None)
    return (
        # The generated one, which does nothing but set fields.
        getattr(code, "co_filename", "") == "<string>"
        and not hasattr(kind, "__post_init__")
        and all(each.init for each in fields(kind))
        and [each.name for each in fields(kind)] == list(parts)
    )


def _slots(kind: type) -> list[str]:
    """Return the names of a class's slots, its bases' first."""
    found: list[str] = []
    for base in reversed(kind.__mro__):
        names = base.__dict__.get("__slots__", ())
        found += [names] if isinstance(names, str) else list(names)
    return [name for name in found if name not in ("__dict__", "__weakref__")]
