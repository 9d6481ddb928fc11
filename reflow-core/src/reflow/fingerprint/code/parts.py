"""Values made at import inside a class or function: its attributes, and its defaults."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING
from functools import _lru_cache_wrapper
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

Owns: TypeAlias = Callable[[FunctionType], bool]
_DEEPEST = 50
"""Wrappers around a function, beyond which it is an object that answers to any name."""


class Part(NamedTuple):
    """A value in a class or function."""

    name: str
    """With dots: that of an attribute, of a parameter, or of one of a method. An attribute of a
    function that is called like a parameter with a default has `__dict__.` before its name."""
    value: object
    is_default: bool
    """Whether the value is a parameter's default."""


def parts_of(value: object, owns: Owns = lambda _: True) -> Iterator[Part]:
    """Yield attributes and defaults of a function; or of a class, its methods and classes in it.

    Of functions that are not the user's own, by `owns`, attributes are left out: libraries count
    calls there, for example.
    """
    if issubclass(type(value), type):
        yield from _in_class(value, "", owns)
    else:
        yield from _in_function(value, "", owns)


def part_of(value: object, name: str) -> object:
    """Return the part of that name. Raises `KeyError` if there is none."""
    return {part.name: part.value for part in parts_of(value)}[name]


def is_definition(value: object, module: object, name: str) -> bool:
    """Tell whether a module's `def` or `class` of that name made a value, in a block or not."""
    inner = innermost(value)
    if type(inner) is not FunctionType and not issubclass(type(inner), type):
        return False  # objects may raise anything when asked for an attribute
    return (getattr(inner, "__module__", None), getattr(inner, "__qualname__", "")) == (
        module,
        name,
    )


def _in_class(kind: Any, prefix: str, owns: Owns) -> Iterator[Part]:
    for name, value in _attributes(kind).items():
        yield Part(f"{prefix}{name}", value, False)
    for name, member in vars(kind).items():
        inner = innermost(member)
        if getattr(inner, "__qualname__", None) != f"{kind.__qualname__}.{name}":
            continue  # made elsewhere
        if issubclass(type(inner), type):
            yield from _in_class(inner, f"{prefix}{name}.", owns)
        else:
            yield from _in_function(member, f"{prefix}{name}.", owns)


def _attributes(kind: Any) -> Mapping[str, object]:
    """Return the values of a class by name, as its body made them."""
    own = vars(kind)
    if issubclass(kind, enum.Enum):
        return {name: member.value for name, member in kind.__members__.items()}
    if "_field_defaults" in own:
        return dict(own["_field_defaults"])
    fields = own.get("__dataclass_fields__", {})
    defaults = {name: field.default for name, field in fields.items()}
    plain = {
        name: value
        for name, value in own.items()
        if not (name.startswith("__") and name.endswith("__")) and name != "_abc_impl"
    }
    given = {name: value for name, value in defaults.items() if value is not MISSING}
    return plain | given


def _in_function(value: object, prefix: str, owns: Owns) -> Iterator[Part]:
    defaults = {part.name: part for part in _defaults(innermost(value), prefix)}
    yield from defaults.values()
    attributes: dict[str, object] = {}
    for layer in _layers(value):
        function = _wrapped(layer) if type(layer) is _lru_cache_wrapper else layer
        # What is set on functions made inside others is in what these were given.
        if (
            type(function) is FunctionType
            and "<" not in function.__code__.co_qualname
            and owns(function)
        ):
            attributes = attributes_of(layer) | attributes  # what is outside is found first
    for name, attribute in attributes.items():
        hidden = "__dict__." if f"{prefix}{name}" in defaults else ""
        yield Part(f"{prefix}{hidden}{name}", attribute, False)


def attributes_of(function: Any) -> dict[str, object]:
    """Return what was set on a function, or on one with a cache around it; empty for others."""
    if type(function) not in (FunctionType, _lru_cache_wrapper):
        return {}
    return {
        name: value
        for name, value in vars(function).items()
        if not (name.startswith("__") and name.endswith("__"))
    }


def _defaults(function: object, prefix: str) -> Iterator[Part]:
    # Methods that `dataclass` and the like generate have the attributes as defaults.
    if type(function) is not FunctionType or function.__code__.co_filename.startswith("<"):
        return
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    named = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    for name, value in (named | (function.__kwdefaults__ or {})).items():
        yield Part(f"{prefix}{name}", value, True)


def innermost(value: Any) -> object:
    """Return the function inside a method of any kind, a property, and wrappers."""
    *_, last = _layers(value)
    return last


def _layers(value: Any) -> Iterator[object]:
    """Yield a value, and what it wraps, from the outside to the innermost function."""
    yield value
    for _ in range(_DEEPEST):
        if issubclass(type(value), classmethod | staticmethod):
            inner = value.__func__
        elif issubclass(type(value), property):
            inner = value.fget
        else:
            inner = _wrapped(value)
        if inner is None:
            break
        value = inner
        yield value


def _wrapped(value: object) -> object:
    """Return what a wrapper says it calls, without computing it as some objects would."""
    if issubclass(type(value), type):
        return None
    try:
        return object.__getattribute__(value, "__dict__").get("__wrapped__")
    except AttributeError:
        return None
