"""Whether the values that an annotation promises can be stored at all."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path, PurePath
from typing import Any

from reflow.codecs.annotations import field_annotations, meaning
from reflow.codecs.classes import is_named_tuple
from reflow.codecs.contract import Codec
from reflow.codecs.extras import lacking
from reflow.codecs.instead import of_annotation
from reflow.codecs.promises import ABSTRACT
from reflow.codecs.registry import BUILTIN, Registry
from reflow.codecs.scalars import is_numpy_scalar
from reflow.codecs.unstorable import type_name
from reflow.errors import DefinitionError
from reflow.model.tasks import TaskSpec
from reflow.wiring.types import NoneType, is_pickled, is_union, show

_KNOWN = (NoneType, bool, list, Path, PurePath)
"""Classes that no codec is needed for, or that those of Python's own derive from."""
_SCALARS = frozenset({bool, int, float, str, bytes, datetime, timedelta})
_WITH_CONTENT = (str, bytes, int, float, list, tuple, dict, set, frozenset)
_EXAMPLES = (
    int, float, str, bytes, list, tuple, dict, set, date, datetime, time, timedelta, type(Path())
)  # fmt: skip
"""Classes of which some must derive from a standard abstract class, or nothing storable does."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unstorable:
    """A class among those of an annotation of which no value can be stored."""

    kind: type
    field: str = ""
    """The field that must hold one, as `Class.field`; empty where the annotation says so itself."""
    extra: str = ""
    """The extra of reflow-core with which its values can be stored."""


def check_returns(
    specs: Iterable[TaskSpec], plugins: Callable[[], Sequence[Codec]] = tuple
) -> None:
    """Raise `DefinitionError` for a task that promises what can never be stored.

    `plugins` gives the codecs of plugins; it is asked only about what no built-in one knows.
    """
    registry = Registry(plugins)
    for spec in specs:
        found = unstorable(spec.returns, registry)
        if found is not None:
            where = f", whose field {found.field} must be one" if found.field else ""
            raise DefinitionError(
                f"task {spec.name!r} returns {show(spec.returns)}{where}, but no value of class "
                f"{type_name(found.kind)} can be stored: {_advice(found)}"
            )


def _advice(found: Unstorable) -> str:
    if found.extra:
        return f"install reflow-core[{found.extra}]"
    return of_annotation(found.kind)


def unstorable(annotation: Any, registry: Registry) -> Unstorable | None:
    """Return the first class that can never be stored; None where values may be storable.

    What is not known counts as storable: `Any`, type variables, names that cannot be resolved,
    abstract classes and protocols, since what is returned may be anything that suits them.
    """
    return next(_Search(registry).within(annotation, ""), None)


class _Search:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen: dict[int, Any] = {}  # by identity, since annotations need not be hashable

    def within(self, annotation: Any, field: str) -> Iterator[Unstorable]:
        if id(annotation) in self._seen:
            return
        self._seen[id(annotation)] = annotation
        if is_pickled(annotation):
            return
        annotation = meaning(annotation)
        arguments = typing.get_args(annotation)
        if is_union(annotation):
            yield from self._each(_needed(arguments), field)
            return
        kind = typing.get_origin(annotation) or annotation
        if not isinstance(kind, type) or kind in (Any, object):
            return
        if kind in _KNOWN or kind in ABSTRACT:
            yield from self._each(arguments, field)
        elif _has_fields(kind):
            yield from self._fields(kind, arguments, field)
        elif (codec := self._registry.for_type(kind)) is not None:
            # The parts of a plugin's class, such as an array's dtype, are left to its codec.
            if codec.name in BUILTIN:
                yield from self._each(arguments, field)
            elif (extra := lacking(codec)) is not None:
                yield Unstorable(kind, field, extra)
        elif not self._is_base(kind):
            yield Unstorable(kind, field)

    def _each(self, annotations: Iterable[Any], field: str) -> Iterator[Unstorable]:
        for annotation in annotations:
            yield from self.within(annotation, field)

    def _fields(self, kind: type, arguments: Sequence[Any], field: str) -> Iterator[Unstorable]:
        if dataclasses.is_dataclass(kind) and issubclass(kind, _WITH_CONTENT):
            yield Unstorable(kind, field)
        hints = field_annotations(kind)
        if dataclasses.is_dataclass(kind):
            hints = {item.name: hints.get(item.name, Any) for item in dataclasses.fields(kind)}
        for name, hint in hints.items():
            yield from self.within(hint, f"{kind.__qualname__}.{name}")
        yield from self._each(arguments, field)

    def _is_base(self, kind: type) -> bool:
        """Tell whether storable values may derive from a class that is not storable itself."""
        if getattr(kind, "_is_protocol", False):
            return True
        if kind.__module__ == "builtins":
            return False
        if _is_standard(kind):
            return any(issubclass(example, kind) for example in _EXAMPLES)
        return inspect.isabstract(kind) or ABC in kind.__bases__ or self._has_storable_heir(kind)

    def _has_storable_heir(self, kind: type) -> bool:
        heirs: list[type] = type.__subclasses__(kind)
        return any(
            self._registry.for_type(heir) is not None or self._has_storable_heir(heir)
            for heir in heirs
        )


def _needed(members: Sequence[Any]) -> Iterator[Any]:
    """Yield the members of a union, without those whose values another member takes."""
    kinds = [member for member in members if isinstance(member, type)]
    for member in members:
        if not isinstance(member, type) or not _is_taken(member, kinds):
            yield member


def _is_taken(member: type, kinds: Sequence[type]) -> bool:
    """Tell whether a member is a numpy scalar type beside its Python equivalent."""
    return is_numpy_scalar(member) and not _SCALARS.isdisjoint(kinds)


def _has_fields(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or typing.is_typeddict(kind) or is_named_tuple(kind)


def _is_standard(kind: type) -> bool:
    return kind.__module__ in ("collections.abc", "numbers", "os", "typing", "contextlib", "abc")
