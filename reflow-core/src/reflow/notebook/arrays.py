"""Arrays as Python expressions: with their kind, the order of their axes and write protection."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator, Sequence
from typing import Any

_VIEWS = {"matrix": "matrix", "recarray": "recarray"}
"""Kinds of arrays that are another look at a plain one."""


def is_of_numpy(value: object) -> bool:
    """Tell whether the class of a value is numpy's own."""
    return type(value).__module__.partition(".")[0] == "numpy"


def is_array(value: object) -> bool:
    """Tell whether a value is an array of any kind, without importing numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def axes_of(array: Any) -> list[int]:
    """Return the axes of an array as they lie in memory, the one that varies slowest first."""
    axes = list(range(array.ndim))
    if array.flags.c_contiguous:
        return axes
    return sorted(axes, key=lambda axis: -abs(array.strides[axis]))


def same_arrays(one: Any, other: Any) -> bool:
    """Tell whether two arrays of one class differ in nothing that a function could tell."""
    alike = (
        repr(one.dtype) == repr(other.dtype)
        and one.shape == other.shape
        and one.flags.writeable == other.flags.writeable
        and axes_of(one) == axes_of(other)
        and _contents(one) == _contents(other)
    )
    if not alike or type(one).__name__ != "MaskedArray":
        return alike
    return (
        repr(_mask_of(one)) == repr(_mask_of(other))
        and one._hardmask == other._hardmask
        and _contents(_plain(one)) == _contents(_plain(other))
        and repr(one._fill_value) == repr(other._fill_value)
    )


def shared_memory(arrays: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the names of each two arrays of which one can change the other."""
    by_root: dict[int, list[tuple[str, Any]]] = {}
    for name, array in arrays:
        others = by_root.setdefault(id(_root(array)), [])
        for other, one in others:
            if sys.modules["numpy"].may_share_memory(one, array):
                yield other, name
        others.append((name, array))


def _root(array: Any) -> Any:
    """Return the object whose memory an array is in."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def write_of_numpy(value: Any) -> str | None:
    """Return an expression for an array, number or kind of numpy's; None if there is none."""
    loaded, numpy, name = sys.modules["numpy"], "__import__('numpy')", type(value).__name__
    if isinstance(value, loaded.dtype):
        return _dtype(value)
    if isinstance(value, loaded.generic):
        if isinstance(value, loaded.str_ | loaded.bytes_):
            return f"{numpy}.{name}({value.item()!r})"
        flat = _flat(value, value.dtype)
        return flat and f"{flat}.copy()[0]"
    if type(value) is loaded.ndarray:
        return _array(value)
    if value is loaded.ma.masked:
        return f"{numpy}.ma.masked"
    if type(value) is loaded.ma.MaskedArray:
        return _masked(value)
    if name in _VIEWS and type(value) is getattr(loaded, name):
        plain = _array(_plain(value))
        return plain and f"{plain}.view({numpy}.{_VIEWS[name]})"
    return None


def _contents(value: Any) -> list[bytes]:
    """Return what an array holds, without what lies between the fields of structures."""
    if not value.dtype.names:
        return [value.tobytes()]
    return [part for name in value.dtype.names for part in _contents(value[name])]


def _plain(value: Any) -> Any:
    return value.view(sys.modules["numpy"].ndarray)


def _mask_of(value: Any) -> tuple[str, str, bytes]:
    return str(value._mask.shape), str(value._mask.dtype), value._mask.tobytes()


def _array(value: Any) -> str | None:
    axes = axes_of(value)
    lying = value.transpose(axes)
    flat = _flat(lying, value.dtype)
    if flat is None:
        return None
    text = f"{flat}.reshape({lying.shape!r})"
    # What lies in bytes is write-protected until it is copied.
    text += ".copy()" if value.flags.writeable else ""
    if axes == sorted(axes):
        return text
    return f"{text}.transpose({[axes.index(axis) for axis in range(value.ndim)]!r})"


def _masked(value: Any) -> str | None:
    if value._baseclass is not sys.modules["numpy"].ndarray:
        return None
    numpy, has_mask = "__import__('numpy')", value._mask.shape == value.shape and value.ndim > 0
    given = [
        _array(_plain(value)),
        _array(_plain(value._mask)) if has_mask else f"{numpy}.ma.nomask",
    ]
    given.append(None if value._fill_value is None else _array(value._fill_value))
    if given[0] is None or given[1] is None or (given[2] is None) != (value._fill_value is None):
        return None
    return (
        f"{numpy}.ma.MaskedArray({given[0]}, mask={given[1]}, fill_value={given[2]}, "
        f"hard_mask={bool(value._hardmask)})"
    )


def _flat(value: Any, dtype: Any) -> str | None:
    """Return an expression for the elements of an array, one after the other."""
    kind = None if dtype.hasobject or not dtype.itemsize else _dtype(dtype)
    if kind is None:
        return None
    if dtype.names:
        # Between their fields structures hold anything; in what is new, zeros.
        clean = sys.modules["numpy"].zeros(value.shape, dtype)
        clean[...] = value
        value = clean
    content = base64.b85encode(value.tobytes()).decode()
    decoded = f"__import__('base64').b85decode({content!r})"
    return f"__import__('numpy').frombuffer({decoded}, dtype={kind})"


def _dtype(dtype: Any) -> str | None:
    """Return an expression for the kind of an array's elements, None if there is none."""
    numpy, loaded = "__import__('numpy')", sys.modules["numpy"]
    if dtype.metadata:
        return None
    if dtype.subdtype is not None:
        base = _dtype(dtype.subdtype[0])
        return base and f"{numpy}.dtype(({base}, {dtype.subdtype[1]!r}))"
    if dtype.fields is None:
        try:
            is_found = loaded.dtype(dtype.str) == dtype
        except TypeError:
            return None
        return f"{numpy}.dtype({dtype.str!r})" if is_found else None
    fields = [dtype.fields[name] for name in dtype.names]
    formats = [_dtype(field[0]) for field in fields]
    if None in formats or any(len(field) > 2 for field in fields):
        return None
    shape = (
        f"'names': {list(dtype.names)!r}, 'formats': [{', '.join(map(str, formats))}], "
        f"'offsets': {[field[1] for field in fields]!r}, 'itemsize': {dtype.itemsize}"
    )
    text = f"{numpy}.dtype({{{shape}}}, align={dtype.isalignedstruct})"
    return f"{numpy}.dtype(({numpy}.record, {text}))" if dtype.type is loaded.record else text
