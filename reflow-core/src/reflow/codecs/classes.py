"""Codecs of the kinds of classes that users define: enums, dataclasses, named tuples.

A stored value names its class only by a tag (see `annotations.py`), so `decode` is given the class
that the annotation names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from enum import Enum, Flag
from functools import cached_property
from typing import Any

from reflow.codecs.contract import CodecContext
from reflow.codecs.self_contained import SelfContained
from reflow.codecs.unstorable import UnstorablePartError
from reflow.errors import StoredValueError
from reflow.model.json import Json


class EnumCodec(SelfContained):
    """Members by name; flags by value, since their combinations have none."""

    name = "enum"
    needs_class = True

    def handles(self, kind: type) -> bool:
        """Tell whether a class is an enum of any sort."""
        return issubclass(kind, Enum)

    def encode(self, value: Enum, context: CodecContext) -> Json:
        """Encode the member's name, or the flag's number."""
        if isinstance(value, Flag):
            return context.encode(value.value)
        if type(value).__members__.get(value.name) is not value:
            raise UnstorablePartError(
                f"{value!r}", "it is not among the members that its class defines"
            )
        return context.encode(value.name)

    def decode(self, data: Json, kind: type, context: CodecContext) -> Enum:
        """Decode the member."""
        if not issubclass(kind, Enum):
            raise StoredValueError(f"{kind.__qualname__} is not an enum, as it was when stored")
        stored = context.decode(data, Any)
        return kind(stored) if issubclass(kind, Flag) else kind[stored]


class DataclassCodec(SelfContained):
    """Every field, and what else the instance holds, as it stands.

    Reading back sets the same attributes and calls neither `__init__` nor `__post_init__`, which
    could change them; so `init=False`, `InitVar`, frozen and slots need no special care. Cached
    properties are left out, and computed again when asked for.
    """

    name = "dataclass"
    needs_class = True

    def handles(self, kind: type) -> bool:
        """Tell whether a class is a dataclass, or derives from one."""
        return dataclasses.is_dataclass(kind)

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode the fields, with a second mapping where there are other attributes."""
        kind = type(value)
        try:
            object.__new__(kind)
        except TypeError:
            raise UnstorablePartError(
                f"a value of class {kind.__qualname__}",
                "it derives from a built-in type whose content is not in its fields",
            ) from None
        names = _field_names(kind)
        state = dict(_attributes(value))
        fields = _encode_attributes({name: _field(value, name) for name in names}, context)
        others = {
            name: part
            for name, part in state.items()
            if name not in names and not _is_derived(kind, name)
        }
        return [fields, context.encode(others)] if others else fields

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Return an instance with the same attributes."""
        fields, others = data if isinstance(data, list) else (data, {})
        if not isinstance(fields, dict) or not dataclasses.is_dataclass(kind):
            raise StoredValueError(f"{kind.__qualname__} is no dataclass, or never was")
        names = _field_names(kind)
        _require_same_fields(kind, set(names), set(fields))
        value = object.__new__(kind)
        for name in names:  # in their order, which `vars` tells; that of JSON objects is lost
            object.__setattr__(value, name, context.decode(fields[name], Any))
        for name, part in context.decode(others, Any).items():
            object.__setattr__(value, name, part)
        return value


class NamedTupleCodec(SelfContained):
    """Items by the names of their fields."""

    name = "namedtuple"
    needs_class = True

    def handles(self, kind: type) -> bool:
        """Tell whether a class or its base was made by `NamedTuple` or `namedtuple`."""
        return is_named_tuple(kind)

    def encode(self, value: Any, context: CodecContext) -> Json:
        """Encode the items by field."""
        kind = type(value)
        if getattr(value, "__dict__", None) or len(value) != len(kind._fields):
            raise UnstorablePartError(
                f"this value of class {kind.__qualname__}", "it holds more than its named fields"
            )
        items = dict(zip(kind._fields, tuple.__iter__(value), strict=True))
        return _encode_attributes(items, context)

    def decode(self, data: Json, kind: type, context: CodecContext) -> Any:
        """Decode the tuple without calling its class's own `__new__`."""
        if not isinstance(data, dict) or not self.handles(kind):
            raise StoredValueError(f"{kind.__qualname__} is no named tuple, or never was")
        names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
        _require_same_fields(kind, set(names), set(data))
        return tuple.__new__(kind, [context.decode(data[name], Any) for name in names])


def is_named_tuple(kind: type) -> bool:
    """Tell whether a class is a named tuple, or derives from one."""
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def dataclass_with(value: Any, changed: Mapping[str, Any]) -> Any:
    """Copy a dataclass's instance with some of its fields changed, calling none of its methods."""
    copy = object.__new__(type(value))
    for name, part in {**dict(_attributes(value)), **changed}.items():
        object.__setattr__(copy, name, part)
    return copy


def named_tuple_with(value: Any, changed: Mapping[str, Any]) -> Any:
    """Copy a named tuple with some of its items changed."""
    items = zip(value._fields, tuple.__iter__(value), strict=True)
    return tuple.__new__(type(value), [changed.get(name, item) for name, item in items])


def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def _field(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        raise UnstorablePartError(
            f"this value of class {type(value).__qualname__}", f"its field {name!r} is not set"
        ) from None


def _attributes(value: object) -> Iterator[tuple[str, Any]]:
    """Yield what the instance itself holds, in its dictionary and in slots."""
    state = object.__getstate__(value)
    for part in state if isinstance(state, tuple) else (state,):
        yield from (part or {}).items()


def _is_derived(kind: type, name: str) -> bool:
    """Tell whether an attribute says nothing that the fields do not say."""
    return name == "__orig_class__" or isinstance(getattr(kind, name, None), cached_property)


def _encode_attributes(parts: Mapping[str, Any], context: CodecContext) -> dict[str, Json]:
    encoded: dict[str, Json] = {}
    for name, part in parts.items():
        try:
            encoded[name] = context.encode(part)
        except UnstorablePartError as error:
            raise error.inside(f".{name}") from None
    return encoded


def _require_same_fields(kind: type, wanted: set[str], stored: set[str]) -> None:
    if wanted != stored:
        raise StoredValueError(
            f"the fields of {kind.__qualname__} changed since this value was stored: "
            f"{', '.join(sorted(wanted ^ stored))}"
        )
