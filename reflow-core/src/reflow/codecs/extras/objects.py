"""Comparing Python objects in columns of a table, more closely than `==` does.

To `==`, 1 is 1.0, 12:00+01:00 is 13:00+02:00, 1.5 is 1.50, and dicts have no order. Files that keep
one type for a whole column may turn one into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, date, timedelta})
"""Classes whose values are the same if they are equal."""


def are_same(ones: Iterable[Any], others: Iterable[Any]) -> bool:
    """Tell whether objects that are equal are the same in every part, classes included."""
    left, right = list(ones), list(others)
    kinds = list(map(type, left))
    if kinds != list(map(type, right)):
        return False
    return _PLAIN.issuperset(kinds) or all(map(_is_same, left, right))


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    for kind, compare in _COMPARE.items():
        if isinstance(one, kind):
            return compare(one, other)
    return one is other or bool(one == other)


def _same_mapping(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return _same_items([*one, *one.values()], [*other, *other.values()])


def _same_items(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(_is_same, one, other))


def _same_time(one: Any, other: Any) -> bool:
    return (
        bool(one == other)
        and one.fold == other.fold
        and type(one.tzinfo) is type(other.tzinfo)
        and one.tzinfo == other.tzinfo
        and str(one.tzinfo) == str(other.tzinfo)
        and getattr(one, "unit", None) == getattr(other, "unit", None)
    )


def _same_text(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


_COMPARE: Mapping[type, Callable[[Any, Any], bool]] = {
    Mapping: _same_mapping,
    list: _same_items,
    tuple: _same_items,
    datetime: _same_time,
    time: _same_time,
    Decimal: _same_text,
    float: _same_text,
    complex: _same_text,
}
"""By class, how values of it are compared; a missing one (NaT) is of the class of times, too."""
