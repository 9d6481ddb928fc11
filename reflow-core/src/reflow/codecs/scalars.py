"""Converting numbers, texts and times to what an annotation names, where nothing is lost.

numpy is never imported here: its scalars, and arrays without dimensions of any library, are
recognised by their attributes (`dtype`, `shape`, `item`).
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from numbers import Real
from pathlib import Path
from typing import Any


class Fit(IntEnum):
    """How well a value suits an annotation, the worst first."""

    NOT = 0
    PARTLY = 1
    """Its own class fits, but something in it does not."""
    CONVERTED = 2
    """An equal value of another class fits, such as `1.0` for `1`."""
    SUBCLASS = 3
    """Its class derives from the one that is named, or is numpy's kind of it."""
    EXACT = 4


Fitted = tuple[Any, Fit]


_FINE_TIMES = frozenset(
    f"{kind}64[{unit}]" for kind in ("datetime", "timedelta") for unit in ("ns", "ps", "fs", "as")
)
"""What numpy gives back as integers, since Python's own times end at microseconds."""


class NoFitError(Exception):
    """Raised for a value that cannot be converted to what is wanted."""


def is_numpy_scalar(kind: type) -> bool:
    """Tell whether a class is one of numpy's scalars, without importing numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, numpy.generic)


def hides_items(value: Any) -> bool:
    """Tell whether a value is an array of numpy's in which a mask hides something."""
    masked = sys.modules.get("numpy.ma.core")
    if masked is None or not isinstance(value, masked.MaskedArray):
        return False
    mask = masked.getmask(value)
    return mask.dtype.names is not None or bool(mask.any())


def python_scalar(value: Any) -> Any:
    """Return Python's own value for a numpy scalar, or an array that has no dimensions.

    Any other value is returned unchanged. Raises `NoFitError` for a time between microseconds, and
    for a masked value, as `item` would make a number of what the mask hides. Of an array with
    attributes, such as the mean of one of xarray's, who promises a number means the number.
    """
    if getattr(value, "shape", None) != () or not hasattr(value, "dtype"):
        return value
    _require(not hides_items(value))
    if str(value.dtype) in _FINE_TIMES:
        coarse = value.astype(f"{value.dtype.kind}8[us]")
        _require(bool(coarse == value))
        value = coarse
    return value.item()


def _require(condition: bool) -> None:
    if not condition:
        raise NoFitError


def to_int(value: Any) -> Fitted:
    """Convert to int, leaving Python floats as they are. Raises `NoFitError` for no integer."""
    if isinstance(value, int):
        return int.__int__(value), Fit.CONVERTED if type(value) is bool else Fit.SUBCLASS
    plain = python_scalar(value)
    if type(plain) is int:
        return plain, Fit.SUBCLASS
    if isinstance(plain, float) and type(value) is not float:
        _require(plain.is_integer())
        return int(plain), Fit.CONVERTED
    return operator.index(plain), Fit.CONVERTED


def to_float(value: Any) -> Fitted:
    """Convert to float. Raises `NoFitError` unless it is a number that equals a float."""
    if isinstance(value, float):
        return float.__float__(value), Fit.SUBCLASS
    plain = python_scalar(value)
    if type(plain) is float:
        return plain, Fit.SUBCLASS
    _require(isinstance(plain, Real))
    number = float(plain)
    _require(number == plain or (number != number and plain != plain))
    return number, Fit.CONVERTED


def to_complex(value: Any) -> Fitted:
    """Convert to complex. Raises `NoFitError` unless it is a number that equals a complex one."""
    if isinstance(value, complex):
        return complex.__complex__(value), Fit.SUBCLASS
    plain = python_scalar(value)
    if type(plain) is complex:
        return plain, Fit.SUBCLASS
    return complex(to_float(plain)[0]), Fit.CONVERTED


def to_bool(value: Any) -> Fitted:
    """Convert numpy's truth values. Raises `NoFitError` for other values."""
    plain = python_scalar(value)
    _require(type(plain) is bool)
    return plain, Fit.SUBCLASS


def to_str(value: Any) -> Fitted:
    """Convert to str. Raises `NoFitError` for what is not a text."""
    plain = python_scalar(value)
    _require(isinstance(plain, str))
    return str.__str__(plain), Fit.SUBCLASS


def to_bytes(value: Any) -> Fitted:
    """Convert to bytes. Raises `NoFitError` for what holds no bytes."""
    if isinstance(value, bytearray):
        return bytes(value), Fit.CONVERTED
    plain = python_scalar(value)
    _require(isinstance(plain, bytes))
    return bytes.__bytes__(plain), Fit.SUBCLASS


def _of_base(base: type, rebuild: Callable[[Any], Any]) -> Callable[[Any], Fitted]:
    """Return a function that converts values of a class's subclasses into equal plain ones."""

    def convert(value: Any) -> Fitted:
        plain = python_scalar(value)
        _require(isinstance(plain, base))
        rebuilt = plain if type(plain) is base else rebuild(plain)
        _require(type(rebuilt) is base and bool(rebuilt == plain))
        return rebuilt, Fit.SUBCLASS

    return convert


def _plain_path(value: Path) -> Path:
    path = Path(str(value))
    _require(str(path) == str(value))  # a place in the cloud has `//`, which no path here has
    return path


CONVERSIONS: dict[type, Callable[[Any], Fitted]] = {
    int: to_int,
    float: to_float,
    complex: to_complex,
    bool: to_bool,
    str: to_str,
    bytes: to_bytes,
    date: _of_base(date, lambda day: date(day.year, day.month, day.day)),
    datetime: _of_base(datetime, lambda at: datetime.combine(at.date(), at.timetz())),
    time: _of_base(
        time,
        lambda at: time(at.hour, at.minute, at.second, at.microsecond, at.tzinfo, fold=at.fold),
    ),
    timedelta: _of_base(timedelta, lambda it: timedelta(it.days, it.seconds, it.microseconds)),
    type(Path()): _of_base(type(Path()), _plain_path),
}
CONVERSIONS[Path] = CONVERSIONS[type(Path())]
