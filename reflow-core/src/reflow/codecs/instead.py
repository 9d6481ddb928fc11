"""What to write in place of classes that cannot be stored."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, abc, defaultdict, deque
from collections.abc import Collection
from datetime import date, datetime, timedelta, tzinfo
from io import IOBase
from numbers import Integral

from reflow.codecs.scalars import is_numpy_scalar

_NEARLY: tuple[tuple[type, str], ...] = (
    (Counter, "dict[str, int]"),
    (defaultdict, "dict[...]"),
    (OrderedDict, "dict[...]"),
    (bytearray, "bytes"),
    (memoryview, "bytes"),
    (deque, "list[...]"),
    (bool, "bool"),
    (str, "str"),
    (bytes, "bytes"),
    (int, "int"),
    (float, "float"),
    (complex, "complex"),
    (datetime, "datetime"),
    (date, "date"),
    (timedelta, "timedelta"),
    (dict, "dict[...]"),
    (list, "list[...]"),
    (tuple, "tuple[...]"),
    (set, "set[...]"),
    (frozenset, "frozenset[...]"),
    (abc.Mapping, "dict[...]"),
    (abc.MappingView, "list[...]"),
)
"""Classes, with their subclasses, and an annotation that keeps the same; the first one counts."""
_PLAIN = "built-in types, dataclasses, named tuples or enums"
_NUMPY = {"bool": "bool", "bool_": "bool", "datetime64": "datetime", "timedelta64": "timedelta"}


def of_annotation(kind: type) -> str:
    """Return advice on an annotation that promises values of this class."""
    if _is_single_pass(kind):
        return "return a list, and write list[...]"
    near = _nearest(kind)
    if near is not None:
        return f"write {near}"
    if kind.__module__.partition(".")[0] in sys.stdlib_module_names:
        return f"return what describes it, in {_PLAIN}"
    return (
        "return the Path of a file that the task writes, put what matters into "
        f"{_PLAIN}, write Annotated[{kind.__qualname__}, Pickled()], or install a plugin with a "
        f"codec for {kind.__qualname__}"
    )


def of_value(kind: type) -> str:
    """Return advice on a value of this class."""
    if issubclass(kind, IOBase):
        return "close it, and return the Path of the file"
    if issubclass(kind, tzinfo):
        return "use zoneinfo.ZoneInfo or datetime.timezone for the time zone"
    if _is_single_pass(kind):
        return "it can be gone through only once; return list(...)"
    near = _nearest(kind)
    if near is not None:
        return f"annotate it as {near}, or convert it"
    return (
        f"return {_PLAIN}, or the Path of a file, annotate it as "
        f"Annotated[{kind.__qualname__}, Pickled()], or install a plugin with a codec for it"
    )


def of_unpromised(kind: type, wanted: Collection[object]) -> str:
    """Return advice on a value of a library's class where other classes are promised.

    It is empty where the value and the promise have nothing in common.
    """
    if is_numpy_scalar(kind):
        rounded = {"longdouble": "float", "clongdouble": "complex"}.get(kind.__name__)
        return f"return {rounded}(...) of it, which rounds it" if rounded else ""
    items = ".tolist()" if hasattr(kind, "tolist") else ".values.tolist()"
    is_masked = kind.__module__.startswith("numpy.ma")  # whose hidden items would be None
    if is_masked or not (hasattr(kind, "tolist") or hasattr(kind, "to_dataset")):
        return ""
    if tuple in wanted:
        return f"return tuple(...) of its {items}"
    # An array is taken for a list, unless its items are others than promised.
    return f"return its {items}" if list in wanted and kind.__name__ != "ndarray" else ""


def _is_single_pass(kind: type) -> bool:
    return issubclass(kind, (abc.Iterator, abc.AsyncIterator))


def _nearest(kind: type) -> str | None:
    """Return the annotation whose values are nearest to a class's; None where none is near."""
    for base, annotation in _NEARLY:
        if issubclass(kind, base):
            return annotation
    if not is_numpy_scalar(kind):
        return None
    if issubclass(kind, Integral):
        return "int"
    return _NUMPY.get(kind.__name__, "float")
