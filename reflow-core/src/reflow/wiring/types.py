"""Comparing types: which are equal, which fit, what a list holds, and how they are shown."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Iterable
from typing import Any

from reflow.wiring.markers import Pickled

NoneType = type(None)
_NUMBERS: dict[Any, tuple[type, ...]] = {float: (int,), complex: (int, float)}
"""What type checkers accept where a number is wanted, although it is no subclass."""
_TEXTS = (str, bytes, bytearray, memoryview)


def plain(kind: Any) -> Any:
    """Strip a type of everything that constrains no values.

    That is `Annotated`, names for types, type variables (their bound), the old spellings of
    `typing`; a bare `list` is a `list[Any]`.
    """
    if kind is None:
        return NoneType
    if kind in (list, typing.List):  # noqa: UP006 - the old spelling is what is looked for
        return list[Any]
    if isinstance(kind, typing.TypeVar):
        choices = kind.__constraints__ or ((kind.__bound__,) if kind.__bound__ else (Any,))
        return plain(_union(choices))
    kind = unaliased(kind)
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return plain(kind.__origin__)
    arguments = typing.get_args(kind)
    if is_union(kind):
        return _union(plain(argument) for argument in arguments)
    if origin is None or origin is typing.Literal or origin is collections.abc.Callable:
        return kind
    if not arguments:
        return origin
    arguments = tuple(item if item is Ellipsis else plain(item) for item in arguments)
    try:
        return origin[arguments]
    except TypeError:
        return kind


def unaliased(kind: Any) -> Any:
    """Return what a name defined by a `type` statement stands for (Python 3.12 and later).

    The parameters of a generic one are filled in.
    """
    while True:
        origin = typing.get_origin(kind)
        if type(kind).__name__ == "TypeAliasType":
            kind = kind.__value__
        elif type(origin).__name__ == "TypeAliasType":
            kind = _filled(origin, typing.get_args(kind))
        else:
            return kind


def _filled(alias: Any, arguments: tuple[Any, ...]) -> Any:
    given = dict(zip(alias.__type_params__, arguments, strict=False))
    value = alias.__value__
    if isinstance(value, typing.TypeVar):
        return given.get(value, Any)
    free = getattr(value, "__parameters__", ())
    return value[tuple(given.get(parameter, Any) for parameter in free)] if free else value


def _unnamed(kind: Any) -> Any:
    """Return the run-time type of a `NewType`."""
    while isinstance(kind, typing.NewType):
        kind = plain(kind.__supertype__)
    return kind


def is_union(kind: Any) -> bool:
    """Tell whether the type is `A | B` in either spelling."""
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def is_pickled(kind: Any) -> bool:
    """Tell whether an annotation says of values themselves, not of parts, that they are pickled."""
    return typing.get_origin(kind) is typing.Annotated and any(
        isinstance(extra, Pickled) or extra is Pickled for extra in kind.__metadata__
    )


def mentions_pickled(kind: Any) -> bool:
    """Tell whether an annotation says of values or parts of them that they are pickled."""
    return is_pickled(kind) or any(map(mentions_pickled, typing.get_args(kind)))


def members(kind: Any) -> tuple[Any, ...]:
    """Return the types of a union; any other type alone."""
    return typing.get_args(kind) if is_union(kind) else (kind,)


def equal(one: Any, other: Any) -> bool:
    """Tell whether two types are the same, however they are spelt."""
    return bool(plain(one) == plain(other))


def element_of(produced: Any) -> Any | None:
    """Return what a produced list holds; None for anything not declared to be a list."""
    produced = _unnamed(plain(produced))
    if _class_of(produced) is None or not _subclass(_class_of(produced), list):
        return None
    return (*_arguments_as(produced, list), Any)[0]


def parts_of(produced: Any) -> Any | None:
    """Return what one part of a produced value is, where it can be taken apart.

    A list, a tuple of any length and a `Sequence` have items, a mapping has tuples of key and
    value. Where the value may be None, it then has no parts. None for any other type.
    """
    kinds = [_unnamed(kind) for kind in members(plain(produced)) if kind is not NoneType]
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    if is_mapping(kind):
        key, value = (*_arguments_as(kind, collections.abc.Mapping), Any, Any)[:2]
        return tuple[key, value]  # type: ignore[valid-type]
    arguments = typing.get_args(kind)
    if _class_of(kind) is tuple:
        return arguments[0] if arguments[-1:] == (Ellipsis,) else None
    if _class_of(kind) in (collections.abc.Sequence, collections.abc.MutableSequence):
        return (*arguments, Any)[0]
    return element_of(kind)


def is_mapping(kind: Any) -> bool:
    """Tell whether all values of a type are mappings; one that may be None counts, too.

    A `TypedDict` has fields, which differ in type, and is none.
    """
    kinds = [_unnamed(member) for member in members(plain(kind)) if member is not NoneType]
    return bool(kinds) and all(
        _subclass(_class_of(each), collections.abc.Mapping) and not typing.is_typeddict(each)
        for each in kinds
    )


def may_be_none(kind: Any) -> bool:
    """Tell whether a type names None as one of its values."""
    return any(member is NoneType for member in members(plain(kind)))


def travels_as_list(produced: Any) -> bool:
    """Tell whether a type has parts as a list, a tuple or a `Sequence` has, not as a mapping."""
    return parts_of(produced) is not None and not is_mapping(produced)


def takes_whole(produced: Any, wanted: Any) -> bool:
    """Tell whether a list, a tuple or a `Sequence` is asked for as such: by its class or a base."""
    if not travels_as_list(produced):
        return False
    (kind,) = [_unnamed(each) for each in members(plain(produced)) if each is not NoneType]
    base = list if element_of(kind) is not None else _class_of(kind)
    classes = [_class_of(_unnamed(member)) for member in members(plain(wanted))]
    return any(kind not in (None, object) and _subclass(base, kind) for kind in classes)


def takes_lists(wanted: Any) -> bool:
    """Tell whether a type asks for a list as such: `list`, or an abstract type of lists."""
    classes = [_class_of(_unnamed(member)) for member in members(plain(wanted))]
    return any(kind not in (None, object) and _subclass(list, kind) for kind in classes)


def fits(produced: Any, wanted: Any) -> bool:
    """Tell whether every value of `produced` can be given where `wanted` is asked for.

    As type checkers see it: subclasses fit, a type fits a union that has it, `Any` fits both
    ways, `int` fits `float`. Containers count by what they hold, as values are copied on their
    way (`list[bool]` fits `list[int]`). A text never counts as a sequence of texts.
    """
    return _fits(plain(produced), plain(wanted))


def _fits(produced: Any, wanted: Any) -> bool:
    if produced is Any or wanted is Any or wanted is object or produced == wanted:
        return True
    if is_union(produced):
        return all(_fits(member, wanted) for member in members(produced))
    if is_union(wanted):
        return any(_fits(produced, member) for member in members(wanted))
    if typing.get_origin(produced) is typing.Literal:
        return _literal_fits(typing.get_args(produced), wanted)
    if isinstance(produced, typing.NewType):
        return _fits(plain(produced.__supertype__), wanted)
    return _class_fits(produced, wanted)


def _literal_fits(values: tuple[Any, ...], wanted: Any) -> bool:
    if typing.get_origin(wanted) is typing.Literal:
        allowed = [(type(value), value) for value in typing.get_args(wanted)]
        return all((type(value), value) in allowed for value in values)
    return all(_fits(type(value), wanted) for value in values)


def _class_fits(produced: Any, wanted: Any) -> bool:
    have, want = _class_of(produced), _class_of(wanted)
    if have is None or want is None:
        return False
    if have in _NUMBERS.get(want, ()):
        return True
    if _subclass(have, _TEXTS) and not _subclass(have, want):
        return False
    if _subclass(have, _TEXTS) and want.__module__ == "collections.abc":
        return want is collections.abc.Hashable
    if not _subclass(have, want):
        return False
    return _arguments_fit(_arguments_as(produced, want), typing.get_args(wanted))


def _arguments_fit(have: tuple[Any, ...], want: tuple[Any, ...]) -> bool:
    if not want or not have:
        return True
    if want[-1] is Ellipsis:
        return all(_fits(item, want[0]) for item in have if item is not Ellipsis)
    if have[-1] is Ellipsis:
        # A tuple of any length is not one of a certain length.
        return len(want) == 1 and _fits(have[0], want[0])
    return len(have) == len(want) and all(map(_fits, have, want))


def _arguments_as(kind: Any, base: type) -> tuple[Any, ...]:
    """Return the type arguments of a type seen as `base`; empty where none are known."""
    origin, arguments = _class_of(kind), typing.get_args(kind)
    assert origin is not None
    if origin is base:
        return arguments
    for parent in getattr(origin, "__orig_bases__", ()):
        if _subclass(_class_of(parent), base):
            return _arguments_as(plain(_filled_in(parent, origin, arguments)), base)
    if origin is tuple and arguments:
        return (_union(item for item in arguments if item is not Ellipsis),)
    if _subclass(origin, collections.abc.Mapping) and not _subclass(base, collections.abc.Mapping):
        # Seen as a collection, a mapping is one of its keys.
        return arguments[:1]
    return arguments


def _filled_in(parent: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    """Replace the type variables of a generic base class by the arguments of its subclass."""
    variables = getattr(parent, "__parameters__", ())
    if not variables or not arguments:
        return parent
    meaning = dict(zip(origin.__parameters__, arguments, strict=False))
    return parent[tuple(meaning.get(variable, variable) for variable in variables)]


def _class_of(kind: Any) -> type | None:
    """Return the class behind a type; None where there is none, as for `Literal`."""
    origin = typing.get_origin(kind) or kind
    return origin if isinstance(origin, type) else None


def _subclass(kind: Any, base: Any) -> bool:
    try:
        return issubclass(kind, base)
    except TypeError:
        # A protocol that cannot be checked at run time, a TypedDict: these fit only if equal.
        return False


def _union(parts: Iterable[Any]) -> Any:
    return typing.Union[tuple(parts)]  # noqa: UP007 - built from a tuple


def show(kind: Any) -> str:
    """Format a type as a user would write it."""
    if kind is None or kind is NoneType:
        return "None"
    if kind is Ellipsis:
        return "..."
    if is_union(kind):
        return " | ".join(show(member) for member in members(kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return show(kind.__origin__)
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(value) for value in arguments)}]"
    if isinstance(origin, type) and not any(isinstance(item, list) for item in arguments):
        return f"{show(origin)}[{', '.join(show(item) for item in arguments)}]"
    if origin is None and isinstance(kind, type):
        return kind.__qualname__
    if isinstance(kind, typing.NewType | typing.TypeVar):
        return kind.__name__
    return str(kind).replace("typing.", "").replace("collections.abc.", "")
