"""Converting values to what their annotation promises, before they are stored.

A value whose classes are exactly those named is stored unchanged. An equal value of other classes
(numpy's scalars, a `Counter` for `dict[str, int]`, a tuple for a list) is replaced by one of the
classes that are named. A value that does not fit is left alone: the encoder decides whether it can
be stored. Values are never changed in place; what must differ is copied.
"""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import numbers
import typing
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Protocol, TypeVar

from reflow.codecs.annotations import field_annotations, meaning
from reflow.codecs.classes import dataclass_with, is_named_tuple, named_tuple_with
from reflow.codecs.extras import codecs_for
from reflow.codecs.pickled import PickledValue
from reflow.codecs.scalars import CONVERSIONS, Fit, Fitted, hides_items
from reflow.wiring.types import NoneType, is_pickled, is_union

_ORDERED = (list, tuple, range, deque, abc.KeysView, abc.ValuesView, abc.ItemsView)
_UNIQUE = (set, frozenset, abc.KeysView)
_SOURCES: dict[type, tuple[type, ...]] = {
    list: _ORDERED,
    tuple: _ORDERED,
    set: _UNIQUE,
    frozenset: _UNIQUE,
}
"""What is taken for a collection: its items come in an order where it has one, else once each."""
ABSTRACT: dict[type, tuple[type, ...]] = {
    abc.Sequence: (list, tuple),
    abc.MutableSequence: (list,),
    abc.Set: (set, frozenset),
    abc.MutableSet: (set,),
    abc.Mapping: (dict,),
    abc.MutableMapping: (dict,),
    **dict.fromkeys(
        (abc.Iterable, abc.Collection, abc.Container, abc.Reversible),
        (list, tuple, set, frozenset, dict),
    ),
}
"""The plain classes that values of abstract ones are kept as."""
_NUMBERS: dict[type, Any] = {
    numbers.Integral: int,
    **dict.fromkeys((numbers.Rational, numbers.Real), int | float),
    **dict.fromkeys((numbers.Complex, numbers.Number), int | float | complex),
}
_MISSING = object()
_PLAIN = frozenset({NoneType, bool, int, float, str, bytes, list, tuple, dict, set, frozenset})


class _Classes(Protocol):
    def __contains__(self, kind: object, /) -> bool: ...
    def issuperset(self, kinds: Iterable[Any], /) -> bool: ...


class _EveryClass:
    def __contains__(self, kind: object, /) -> bool:
        return True

    def issuperset(self, kinds: Iterable[Any], /) -> bool:
        return True


class Promise(Protocol):
    """What an annotation, or a part of one, says about values."""

    @property
    def exact(self) -> _Classes:
        """Classes whose values are as promised whatever they hold."""
        ...

    def fit(self, value: Any) -> Fitted:
        """Return what to store in the value's place, and how well it suits the annotation."""
        ...


class Promises:
    """The promises of annotations, each analysed once."""

    def __init__(self) -> None:
        self._made: dict[Any, Promise] = {}

    def keep(self, value: Any, annotation: Any) -> Fitted:
        """Return the value as the annotation promises it, as far as that is possible."""
        promise = self.of(annotation)
        if type(value) in promise.exact:
            return value, Fit.EXACT
        try:
            return promise.fit(value)
        except Exception:  # whatever a class of the user's raises when it is looked at
            return value, Fit.EXACT

    def of(self, annotation: Any) -> Promise:
        """Return the promise of an annotation."""
        try:
            known = self._made.get(annotation)
        except TypeError:  # not hashable
            return self._make(annotation)
        if known is None:
            known = self._made[annotation] = self._make(annotation)
        return known

    def _make(self, annotation: Any) -> Promise:
        if hasattr(annotation, "__value__"):  # type X = ..., which may lead to itself
            return _Named(annotation, self)
        if is_pickled(annotation):
            return _Pickled(_class_of(annotation.__origin__))
        annotation = meaning(annotation)
        arguments = typing.get_args(annotation)
        if is_union(annotation):
            return _Union([self.of(part) for part in arguments])
        if typing.get_origin(annotation) is typing.Literal:
            return _Literal([(value, self.of(type(value))) for value in arguments])
        kind = typing.get_origin(annotation) or annotation
        if not isinstance(kind, type) or kind in (Any, object):
            return _Anything()
        if kind in _NUMBERS:
            return self.of(_NUMBERS[kind])
        if kind in CONVERSIONS:
            return _Scalar(kind, CONVERSIONS[kind])
        return self._collection(kind, arguments) or self._record(kind, annotation)

    def _collection(self, kind: type, arguments: tuple[Any, ...]) -> Promise | None:
        if kind is tuple and arguments and arguments[-1] is not Ellipsis:
            return _Items([self.of(part) for part in arguments])
        item, value = (*map(self.of, arguments), _Anything(), _Anything())[:2]
        found: list[Promise] = []
        for concrete in ABSTRACT.get(kind, (kind,)):
            if concrete is dict:
                found.append(_Mapping(item, value))
            elif concrete in _SOURCES:
                found.append(_Collection(concrete, item))
        return _Union(found) if len(found) > 1 else next(iter(found), None)

    def _record(self, kind: type, annotation: Any) -> Promise:
        if typing.is_typeddict(kind):
            return _TypedDict(annotation, self)
        if dataclasses.is_dataclass(kind):
            return _Record(annotation, self, dataclass_with)
        if is_named_tuple(kind):
            return _Record(annotation, self, named_tuple_with)
        return _Own(kind)


# -- what promises nothing about parts ---------------------------------------------------------
class _Anything:
    exact = _EveryClass()

    def fit(self, value: Any) -> Fitted:
        return value, Fit.EXACT if type(value) in _PLAIN else Fit.CONVERTED


class _Own:
    """A class that is neither built in nor made of fields: its values stay as they are."""

    def __init__(self, kind: type) -> None:
        self.exact = frozenset({kind})
        self._kind = kind

    def fit(self, value: Any) -> Fitted:
        if type(value) is self._kind:
            return value, Fit.EXACT
        return value, Fit.SUBCLASS if _is_a(value, self._kind) else Fit.NOT


class _Pickled:
    """Values that the annotation has pickled, of the class that it names if it names one."""

    exact = frozenset[type]()

    def __init__(self, kind: type | None) -> None:
        self._kind = kind

    def fit(self, value: Any) -> Fitted:
        if self._kind is not None and not _is_a(value, self._kind):
            return value, Fit.NOT
        return PickledValue(value), Fit.EXACT


class _Scalar:
    def __init__(self, kind: type, convert: Callable[[Any], Fitted]) -> None:
        self.exact = frozenset({kind})
        self._convert = convert

    def fit(self, value: Any) -> Fitted:
        if type(value) in self.exact:
            return value, Fit.EXACT
        try:
            return self._convert(value)
        except Exception:  # mostly that it is something else; or a property of the value's
            return value, Fit.NOT


class _Literal:
    exact = frozenset[type]()

    def __init__(self, choices: Sequence[tuple[Any, Promise]]) -> None:
        self._choices = choices

    def fit(self, value: Any) -> Fitted:
        best: Fitted = (value, Fit.NOT)
        for allowed, promise in self._choices:
            fitted, fit = promise.fit(value)
            if fit > best[1] and type(fitted) is type(allowed) and fitted == allowed:
                best = allowed, fit  # of 1 and True, which are equal, the one of its own class
        return best


# -- what has parts ----------------------------------------------------------------------------
class _Named:
    """A name that a `type` statement defines, resolved when the first value is stored."""

    exact = frozenset[type]()

    def __init__(self, alias: Any, promises: Promises) -> None:
        self._alias = alias
        self._promises = promises

    def fit(self, value: Any) -> Fitted:
        return self._promises.of(self._alias.__value__).fit(value)


class _Union:
    def __init__(self, parts: Sequence[Promise]) -> None:
        self.exact = frozenset(
            kind for part in parts if isinstance(part.exact, frozenset) for kind in part.exact
        )
        self._parts = parts

    def fit(self, value: Any) -> Fitted:
        if type(value) in self.exact:
            return value, Fit.EXACT
        best: Fitted = (value, Fit.NOT)
        for part in self._parts:
            fitted = part.fit(value)
            if fitted[1] > best[1]:
                best = fitted
        return best


class _Collection:
    """Lists, tuples of any length, sets and frozen sets."""

    exact = frozenset[type]()

    def __init__(self, kind: type, item: Promise) -> None:
        self._kind = kind
        self._item = item

    def fit(self, value: Any) -> Fitted:
        own = self._own_fit(value)
        if own is Fit.NOT:
            return value, own
        if own is Fit.EXACT and self._item.exact.issuperset(map(type, value)):
            return value, own
        items, fit = _fit_each(self._item, value)
        if own is Fit.CONVERTED and fit is Fit.PARTLY:
            return value, Fit.NOT
        return self._kind(items), min(own, fit)

    def _own_fit(self, value: Any) -> Fit:
        if type(value) is self._kind:
            return Fit.EXACT
        if isinstance(value, self._kind):
            return Fit.SUBCLASS
        sources = _SOURCES[self._kind]
        known = isinstance(value, sources) or (sources is _ORDERED and _is_array(value))
        return Fit.CONVERTED if known else Fit.NOT


class _Items:
    """Tuples of a certain length."""

    exact = frozenset[type]()

    def __init__(self, parts: Sequence[Promise]) -> None:
        self._parts = parts

    def fit(self, value: Any) -> Fitted:
        if not isinstance(value, tuple | list) or len(value) != len(self._parts):
            return value, Fit.NOT
        fitted = [part.fit(item) for part, item in zip(self._parts, value, strict=True)]
        own = Fit.EXACT if type(value) is tuple else Fit.SUBCLASS
        if isinstance(value, list):
            own = Fit.CONVERTED
        return tuple([item for item, _ in fitted]), min(own, _worst(fitted))


class _Mapping:
    exact = frozenset[type]()

    def __init__(self, key: Promise, part: Promise) -> None:
        self._key = key
        self._part = part

    def fit(self, value: Any) -> Fitted:
        if not _is_mapping(value):
            return value, Fit.NOT
        own = Fit.EXACT if type(value) is dict else Fit.SUBCLASS
        if own is Fit.EXACT and self._passes(value):
            return value, own
        keys, of_keys = _fit_each(self._key, value.keys())
        parts, of_parts = _fit_each(self._part, value.values())
        return dict(zip(keys, parts, strict=True)), min(own, of_keys, of_parts)

    def _passes(self, value: Mapping[Any, Any]) -> bool:
        return self._key.exact.issuperset(map(type, value)) and self._part.exact.issuperset(
            map(type, value.values())
        )


class _Fields:
    """The promises of a class's fields, found when the first value is stored."""

    exact = frozenset[type]()

    def __init__(self, annotation: Any, promises: Promises) -> None:
        self._annotation = annotation
        self._kind: type = typing.get_origin(annotation) or annotation
        self._promises = promises

    @cached_property
    def _fields(self) -> Mapping[str, Promise]:
        hints = field_annotations(self._kind)
        return {
            name: self._promises.of(_filled_in(hint, self._annotation))
            for name, hint in hints.items()
        }

    def _changed(self, part_of: Callable[[str, Any], Any]) -> tuple[dict[str, Any], Fit]:
        """Return the parts to be replaced, and how well all fit; `part_of` gets a part by name."""
        changed, worst = {}, Fit.EXACT
        for name, promise in self._fields.items():
            part = part_of(name, _MISSING)
            if part is _MISSING or type(part) in promise.exact:
                continue
            fitted, fit = promise.fit(part)
            worst = min(worst, fit)
            if fitted is not part:
                changed[name] = fitted
        return changed, max(worst, Fit.PARTLY)


class _TypedDict(_Fields):
    def fit(self, value: Any) -> Fitted:
        if not _is_mapping(value):
            return value, Fit.NOT
        own = Fit.EXACT if type(value) is dict else Fit.SUBCLASS
        changed, fit = self._changed(value.get)
        return {**value, **changed}, min(own, fit)


class _Record(_Fields):
    """Dataclasses and named tuples."""

    def __init__(
        self, annotation: Any, promises: Promises, rebuild: Callable[[Any, dict[str, Any]], Any]
    ) -> None:
        super().__init__(annotation, promises)
        self._rebuild = rebuild

    def fit(self, value: Any) -> Fitted:
        if type(value) is not self._kind:
            return value, Fit.CONVERTED if isinstance(value, self._kind) else Fit.NOT
        changed, fit = self._changed(partial(getattr, value))
        return (self._rebuild(value, changed) if changed else value), fit


def _fit_each(promise: Promise, items: Iterable[Any]) -> tuple[list[Any], Fit]:
    fitted = [promise.fit(item) for item in items]
    return [item for item, _ in fitted], _worst(fitted)


def _worst(fitted: Iterable[Fitted]) -> Fit:
    """Return how well parts fit together: where one does not, the whole may still fit partly."""
    return max(Fit.PARTLY, min((fit for _, fit in fitted), default=Fit.EXACT))


def _class_of(annotation: Any) -> type | None:
    kind = meaning(annotation)
    kind = typing.get_origin(kind) or kind
    return kind if isinstance(kind, type) and kind not in (object, Any) else None


def _is_a(value: Any, kind: type) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that cannot be checked at run time
        return False


def _is_array(value: Any) -> bool:
    """Tell whether a value is an array of items and nothing besides (index, coordinates, mask)."""
    return hasattr(value, "__array_interface__") and value.ndim > 0 and not hides_items(value)


def _is_mapping(value: Any) -> bool:
    """Tell whether a value is a mapping and nothing besides, as a data set of xarray's is."""
    if type(value) is dict or not isinstance(value, Mapping):
        return type(value) is dict
    kinds = type(value).__mro__
    codecs = codecs_for(type(value)).values()
    return not any(codec.handles(kind) for codec in codecs for kind in kinds)


def _filled_in(hint: Any, annotation: Any) -> Any:
    """Replace the type variables in a field's annotation by the types they stand for."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return hint
    variables = dict(zip(origin.__parameters__, typing.get_args(annotation), strict=False))
    if isinstance(hint, TypeVar):
        return variables.get(hint, hint)
    own = () if isinstance(hint, type) else getattr(hint, "__parameters__", ())
    return hint[tuple(variables.get(variable, variable) for variable in own)] if own else hint
