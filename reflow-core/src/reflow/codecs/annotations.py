"""The classes that an annotation names, directly or through the fields of those it names.

Enums, dataclasses and named tuples are only ever found here: a class is stored as a tag, and a
tag means nothing but "the class of that name among those that the annotation reaches".
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterator
from dataclasses import InitVar
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, NewType, TypeVar, get_args, get_origin

from reflow.codecs.extras import is_of_extra
from reflow.codecs.pickled import PickledValue
from reflow.codecs.unstorable import UnstorablePartError
from reflow.errors import StoredValueError
from reflow.wiring.types import is_pickled, mentions_pickled, plain

_QUALIFIERS = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)


class ReachableClasses:
    """The classes that values under one annotation may have, and the tags that stand for them.

    A tag is the class's qualified name. Where two of the classes share it, it is preceded by as
    much of the path of their files as distinguishes them; module names would not do, since a
    flow is `__main__` in one process and has another name in the next.
    """

    def __init__(self, annotation: Any) -> None:
        self._by_name: dict[str, list[type]] = {}
        for kind in _classes_in(annotation):
            self._by_name.setdefault(kind.__qualname__, []).append(kind)
        self._tags: dict[type, str] = {}
        for group in self._by_name.values():
            self._tags.update(_tags(group))

    def __iter__(self) -> Iterator[type]:
        """Yield the classes."""
        for group in self._by_name.values():
            yield from group

    def tag(self, kind: type) -> str | None:
        """Return the class's tag in stored data; None when the annotation does not reach it.

        Raises `UnstorableValueError` when nothing distinguishes it from another of its name.
        """
        tag = self._tags.get(kind)
        if tag is not None and len(self._matching(tag)) > 1:
            raise UnstorablePartError(
                f"a value of class {kind.__qualname__}",
                "two different classes of that name come from the same file; rename one of them",
            )
        return tag

    def reaches(self, tag: str) -> bool:
        """Tell whether the annotation names exactly one class of that tag."""
        return len(self._matching(tag)) == 1

    def find(self, tag: str) -> type:
        """Return the class of a tag. Raises `StoredValueError` when there is none."""
        found = self._matching(tag)
        if len(found) == 1:
            return found[0]
        name = tag.rpartition(":")[2]
        trouble = "two classes share that name" if found else "it names no such class"
        raise StoredValueError(
            f"a stored value of class {name} cannot be read under this annotation: {trouble}; "
            f"name exactly one class {name} in the annotation"
        )

    def _matching(self, tag: str) -> list[type]:
        place, _, name = tag.rpartition(":")
        named = self._by_name.get(name, [])
        if not place:
            return named
        end = tuple(place.split("/"))
        return [kind for kind in named if _place(kind)[-len(end) :] == end]


def _tags(group: list[type]) -> dict[type, str]:
    """Return the tags of classes that share a qualified name."""
    if len(group) == 1:
        return {group[0]: group[0].__qualname__}
    places = {kind: _place(kind) for kind in group}
    longest = max(len(place) for place in places.values())
    for length in range(1, longest + 1):
        if len({place[-length:] for place in places.values()}) == len(set(places.values())):
            break
    return {
        kind: f"{'/'.join(place[-length:])}:{kind.__qualname__}" for kind, place in places.items()
    }


def _place(kind: type) -> tuple[str, ...]:
    """Return where a class is defined: the parts of its file's path, else of its module's name."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if not isinstance(file, str):
        return tuple(kind.__module__.split("."))
    return Path(file).absolute().with_suffix("").parts[1:]


def _classes_in(annotation: Any) -> Iterator[type]:
    """Yield every class reachable from an annotation, each once."""
    seen: dict[int, Any] = {}  # by identity, since annotations need not be hashable
    waiting = [annotation]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen[id(current)] = current
        if isinstance(current, type) and get_origin(current) is None:
            if current.__module__ != "builtins":
                yield current
                if not is_of_extra(current):
                    waiting.extend(field_annotations(current).values())
        else:
            waiting.extend(_parts(current))


def _parts(annotation: Any) -> list[Any]:
    """Return the parts of an annotation that is not a class."""
    if isinstance(annotation, (list, tuple)):  # the arguments of a Callable
        return list(annotation)
    if isinstance(annotation, TypeVar):
        return [annotation.__bound__, *annotation.__constraints__]
    if isinstance(annotation, NewType):
        return [annotation.__supertype__]
    if isinstance(annotation, InitVar):
        return [annotation.type]
    origin = get_origin(annotation)
    if origin is Literal:
        return [type(value) for value in get_args(annotation) if isinstance(value, Enum)]
    if origin is Annotated:
        marked = [PickledValue] if is_pickled(annotation) else []
        return [annotation.__origin__, *marked]
    if origin is not None:
        return [origin, *get_args(annotation)]
    return [annotation.__value__] if hasattr(annotation, "__value__") else []  # type X = ...


def field_annotations(kind: type) -> dict[str, Any]:
    """Return the annotations of a class's fields by name, as far as they can be resolved."""
    if issubclass(kind, Enum):
        return {}
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # any name in any string may be wrong; the others still count
        return {name: hint for base in reversed(kind.__mro__) for name, hint in _resolvable(base)}


def _resolvable(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the annotations in one class body that can be resolved one by one."""
    module = sys.modules.get(kind.__module__)
    names = {kind.__name__: kind, **(vars(module) if module else {})}
    try:
        raw = inspect.get_annotations(kind)
    except Exception:
        return
    for name, annotation in raw.items():
        holder = SimpleNamespace(__annotations__={name: annotation})
        try:
            yield from typing.get_type_hints(holder, names, include_extras=True).items()
        except Exception:  # noqa: S112 (mostly names imported for type checkers only)
            continue


def meaning(annotation: Any) -> Any:
    """Return the annotation without aliases, extras and qualifiers, which constrain no values.

    Where a part is to be pickled, that stays in it.
    """
    while True:
        bare = _outside(annotation) if mentions_pickled(annotation) else plain(annotation)
        if isinstance(bare, NewType):
            annotation = bare.__supertype__
        elif get_origin(bare) in _QUALIFIERS:
            (annotation,) = get_args(bare)
        else:
            return bare


def _outside(annotation: Any) -> Any:
    """Return what an `Annotated` is about, and any other annotation unchanged."""
    while get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    return annotation
