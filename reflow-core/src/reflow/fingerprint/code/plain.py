"""Values that are plain data or arrays, each as one digest that is the same in every process."""

from __future__ import annotations

import enum
import hashlib
import marshal
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

MOST_BYTES = 10_000_000
"""Larger values are not looked at."""
_SHOWN = 80
_DEEPEST = 50
_ATOMS = frozenset({bool, int, float, complex, str, bytes, type(None), type(...)})
# By name, as workers need not import modules that the flow does not import.
_BY_TEXT = frozenset(
    {
        "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta",
        "datetime.timezone", "decimal.Decimal", "fractions.Fraction", "uuid.UUID",
        "builtins.range", "builtins.slice",
    }
)  # fmt: skip
_LISTS = frozenset({"builtins.list", "builtins.tuple", "collections.deque"})
_SETS = frozenset({"builtins.set", "builtins.frozenset"})
_DICTS = frozenset(
    {
        "builtins.dict", "builtins.mappingproxy", "collections.Counter", "collections.OrderedDict",
        "collections.defaultdict",
    }
)  # fmt: skip
_NAMESPACES = frozenset({"types.SimpleNamespace", "argparse.Namespace"})


@dataclass(frozen=True, slots=True)
class PlainValue:
    """A value as a process saw it."""

    digest: str
    shown: str
    """Its beginning, as Python writes it."""
    classes: tuple[type, ...] = ()
    """Classes of dataclasses, named tuples and enumerations in it."""


def look_at(value: object) -> PlainValue | None:
    """Digest a value; return None for one that is not plain, or is larger than `MOST_BYTES`.

    Plain are numbers, text, dates and the like, arrays, paths (by their text), and lists, tuples,
    sets, dictionaries, dataclasses and named tuples of plain values, with any attributes that were
    set on these beside their fields.
    """
    encoder = _Encoder()
    try:
        encoder.add(value)
    except Exception:  # or whatever a user's class raises when its parts are read
        return None
    return PlainValue(encoder.hash.hexdigest(), _shown(value), tuple(encoder.classes))


def _shown(value: object) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a number of more digits than Python writes, a broken `__repr__`
        return f"some {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


class _NotPlainError(Exception):
    pass


class _Encoder:
    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.classes: dict[type, None] = {}
        self._size = 0
        self._open: set[int] = set()

    def _put(self, tag: str, content: bytes = b"") -> None:
        self._size += len(content) + 8
        if self._size > MOST_BYTES:
            raise _NotPlainError
        self.hash.update(f"{tag}:{len(content)};".encode())
        self.hash.update(content)

    def add(self, value: Any) -> None:
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if kind in _ATOMS:
            self._put(kind.__name__, marshal.dumps(value, 2))
        elif name in _BY_TEXT:
            self._put(name, repr(value).encode())
        elif issubclass(kind, PurePath):
            self._put("path", str(value).encode("utf-8", "surrogatepass"))
        elif kind is bytearray:
            self._put("bytearray", bytes(value))
        elif name == "re.Pattern":
            self._parts("pattern", (value.pattern, value.flags))
        elif _is_array(value):
            self._array(value)
        elif issubclass(kind, enum.Enum):
            self._named(kind, [value.name])
        else:
            self._container(value, kind, name)

    def _container(self, value: Any, kind: type, name: str) -> None:
        if id(value) in self._open or len(self._open) == _DEEPEST:
            raise _NotPlainError
        self._open.add(id(value))
        if name in _LISTS:
            self._parts(name, value)
        elif name in _SETS:
            self._set(name, value)
        elif name in _DICTS:
            self._parts(name, _pairs(value))
            self._factory(getattr(value, "default_factory", None))
        elif name in _NAMESPACES:
            self._parts(name, _pairs(vars(value)))
        elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
            self._named(kind, value)
            if others := _other_attributes(value, ()):
                self._parts("attributes", _pairs(others))
        elif hasattr(kind, "__dataclass_fields__"):
            self._dataclass(value, kind)
        else:
            raise _NotPlainError
        self._open.remove(id(value))

    def _factory(self, factory: object) -> None:
        """Add a dictionary's factory of missing items; a function is covered by its statements."""
        if factory is not None and getattr(factory, "__module__", "") != "builtins":
            raise _NotPlainError
        self.add(getattr(factory, "__qualname__", None))

    def _parts(self, tag: str, parts: Iterable[Any]) -> None:
        parts = list(parts)
        self._put(tag, str(len(parts)).encode())
        if _ATOMS.issuperset(map(type, parts)):
            # All at once: one by one, a million numbers would take a second.
            self._put("atoms", marshal.dumps(parts, 2))
            return
        for part in parts:
            self.add(part)

    def _set(self, name: str, value: Iterable[Any]) -> None:
        """Add the parts in an order that depends on nothing but themselves."""
        digests = []
        for part in value:
            one = _Encoder()
            one._open = self._open
            one.add(part)
            self.classes |= one.classes
            digests.append(one.hash.hexdigest())
        self._parts(name, sorted(digests))

    def _named(self, kind: type, parts: Iterable[Any]) -> None:
        self.classes[kind] = None
        self._parts(f"class {kind.__qualname__}", parts)

    def _dataclass(self, value: Any, kind: Any) -> None:
        """Add fields, and attributes that are none."""
        fields = list(kind.__dataclass_fields__)
        if not all(hasattr(value, name) for name in fields):
            raise _NotPlainError
        others = _other_attributes(value, fields)
        self._named(kind, _pairs({name: getattr(value, name) for name in fields} | others))

    def _array(self, value: Any) -> None:
        if value.dtype.hasobject or value.nbytes > MOST_BYTES:
            raise _NotPlainError
        # What is usual is left out: an ordinary array, row after row, that can be written to.
        flags, unusual = value.flags, []
        if type(value).__name__ != "ndarray":
            unusual.append(type(value).__name__)
        if not flags.c_contiguous:
            unusual.append("by columns" if flags.f_contiguous else f"by steps {value.strides}")
        if not flags.writeable:
            unusual.append("read-only")
        self._put("array", " ".join([f"{value.dtype.descr} {value.shape}", *unusual]).encode())
        self._put("bytes", value.tobytes())


def _pairs(parts: Mapping[Any, Any]) -> Iterator[Any]:
    """Yield each name or key of a mapping, followed by its value."""
    return (part for item in parts.items() for part in item)


def _other_attributes(value: Any, fields: Collection[str]) -> dict[str, Any]:
    """Return what was set on an object beside its fields, but not what it computes from them."""
    return {
        name: part
        for name, part in sorted(getattr(value, "__dict__", {}).items())
        if name not in fields and not isinstance(getattr(type(value), name, None), cached_property)
    }


def _is_array(value: object) -> bool:
    """Tell whether a value is an array or a number of numpy's, without importing numpy."""
    return type(value).__module__ == "numpy" and hasattr(value, "dtype") and hasattr(value, "shape")
