"""Writing values as Python expressions that make them again.

Data is written as it is, so that it does not matter how it came about: by a long calculation, by
input from the keyboard, changed by later cells. What is written is compared with the value
afterwards (`sameness.py`), so nothing here need be sure.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from functools import partial
from logging import Logger
from math import isfinite
from pathlib import PurePath
from typing import Any
from uuid import UUID

from reflow.notebook.arrays import is_array, is_of_numpy, write_of_numpy
from reflow.notebook.instances import is_made_by_fields, parts_of

LARGEST = 1_000_000
"""Letters of an expression; larger data belongs into files or results of tasks."""
_DEEPEST = 50
_BY_TEXT = frozenset({date, timedelta, Decimal, Fraction, UUID})
"""Kinds whose `repr` makes them again, after the name of their module or with it."""
_MUTABLE = frozenset({list, dict, set, bytearray})
_COLLECTIONS = frozenset({"Counter", "OrderedDict", "defaultdict", "deque"})


class NotWritableError(Exception):
    """A value that no expression makes again."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class TooLargeError(NotWritableError):
    """Data too large for a module."""


def is_mutable(value: object) -> bool:
    """Tell whether it matters if data is one object or two that are equal."""
    kind = type(value)
    if hasattr(kind, "__dataclass_params__"):
        return not kind.__dataclass_params__.frozen
    is_collection = kind.__module__ == "collections" and kind.__name__ in _COLLECTIONS
    return kind in _MUTABLE or is_collection or is_array(value)


class Writer:
    """Writes values; asks for the names of functions and classes of the notebook's own."""

    def __init__(self, name_of: Callable[[object], str | None]) -> None:
        """Take what returns the name of a function, class or flow of the notebook, if it is one."""
        self._name_of = name_of
        self._open: list[int] = []
        self.names: list[str] = []
        """The names that the expression uses."""
        self.objects: list[object] = []
        """The mutable objects that the expression makes."""

    def write(self, value: Any) -> str:
        """Return an expression. Raises `NotWritableError`."""
        if id(value) in self._open or len(self._open) == _DEEPEST:
            raise NotWritableError(value)
        self._open.append(id(value))
        try:
            text = self._atom(value) or self._reference(value)
            if text is None:
                text = self._made(value)
                self.objects += [value] if is_mutable(value) else []
        finally:
            self._open.pop()
        if len(text) > LARGEST:
            raise TooLargeError(value)
        return text

    def _atom(self, value: Any) -> str | None:
        kind = type(value)
        if value is None or value is Ellipsis or kind is bool or kind is bytes:
            return repr(value)
        if kind is int:
            # There is a limit to the digits of decimals.
            return repr(value) if -(2**64) < value < 2**64 else hex(value)
        if kind is float:
            return repr(value) if isfinite(value) else f"{_builtin('float')}({str(value)!r})"
        if kind is complex:
            parts = f"{self._atom(value.real)}, {self._atom(value.imag)}"
            return f"{_builtin('complex')}({parts})"
        if kind is str:
            text = repr(value)
            return text if text.isprintable() else ascii(value)
        return None

    def _reference(self, value: Any) -> str | None:
        """Return how functions, classes and other objects with a name are found again."""
        name = self._name_of(value)
        if name is not None:
            self.names.append(name)
            return name
        module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(path, str) or module == "__main__":
            return None
        found: Any = sys.modules.get(module)
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is not value:
            return None
        return f"{imported(module)}.{path}"

    def _made(self, value: Any) -> str:
        kind = type(value)
        if kind is list:
            return f"[{self._items(value)}]"
        if kind is tuple:
            return f"({self._items(value)}{',' if len(value) == 1 else ''})"
        if kind is dict:
            return f"{{{', '.join(f'{self.write(k)}: {self.write(v)}' for k, v in value.items())}}}"
        if kind in (set, frozenset):
            inner = ", ".join(sorted(map(self.write, value)))
            return f"{_builtin(kind.__name__)}([{inner}])"
        if kind is bytearray:
            return f"{_builtin('bytearray')}({bytes(value)!r})"
        if kind is range or kind is slice:
            inner = self._items([value.start, value.stop, value.step])
            return f"{_builtin(kind.__name__)}({inner})"
        if kind in _BY_TEXT:
            text = repr(value).removeprefix(f"{kind.__module__}.")
            return f"{imported(kind.__module__)}.{text}"
        if kind is datetime or kind is time:
            text = repr(value.replace(tzinfo=None)).removeprefix("datetime.")
            zone = "" if value.tzinfo is None else f".replace(tzinfo={self.write(value.tzinfo)})"
            return f"{imported('datetime')}.{text}{zone}"
        if kind is timezone:
            inner = self._items(value.__getinitargs__())
            return f"{imported('datetime')}.timezone({inner})"
        if hasattr(kind, "__dataclass_fields__"):
            return self._instance(value)
        if getattr(value, "__dict__", None) and not issubclass(kind, enum.Enum | Logger):
            # Attributes that nothing below would write.
            return self._object_of_numpy(value)
        if kind is partial:
            named = [f"{name}={self.write(each)}" for name, each in value.keywords.items()]
            inner = ", ".join([self.write(value.func), *map(self.write, value.args), *named])
            return f"{imported('functools')}.partial({inner})"
        return self._object(value, kind)

    def _object(self, value: Any, kind: Any) -> str:
        if issubclass(kind, enum.Enum):
            is_member = value.name in kind.__members__
            given = f"[{value.name!r}]" if is_member else f"({self.write(value.value)})"
            return f"{self.write(kind)}{given}"
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return f"{self.write(kind)}({self._items(value)})"
        if issubclass(kind, PurePath):
            return f"{imported('pathlib')}.{kind.__name__}({str(value)!r})"
        if kind.__module__ == "zoneinfo" and value.key is not None:
            return f"{imported('zoneinfo')}.ZoneInfo({value.key!r})"
        if kind.__module__ == "re" and kind.__name__ == "Pattern":
            return f"{imported('re')}.compile({self.write(value.pattern)}, {value.flags})"
        if kind.__module__ == "logging" and kind.__name__ in ("Logger", "RootLogger"):
            name = "" if kind.__name__ == "RootLogger" else repr(value.name)
            return f"{imported('logging')}.getLogger({name})"
        if kind.__module__ == "collections" and kind.__name__ in ("OrderedDict", "Counter"):
            return f"{imported('collections')}.{kind.__name__}({self.write(dict(value))})"
        if kind.__module__ == "collections" and kind.__name__ == "defaultdict":
            inner = f"{self.write(value.default_factory)}, {self.write(dict(value))}"
            return f"{imported('collections')}.defaultdict({inner})"
        if kind.__module__ == "collections" and kind.__name__ == "deque":
            return f"{imported('collections')}.deque({self.write(list(value))}, {value.maxlen})"
        return self._object_of_numpy(value)

    def _instance(self, value: Any) -> str:
        parts = parts_of(value)
        if parts is None:
            raise NotWritableError(value)
        kind, written = self.write(type(value)), {k: self.write(v) for k, v in parts.items()}
        if is_made_by_fields(value, parts):
            return f"{kind}({', '.join(f'{name}={each}' for name, each in written.items())})"
        inner = ", ".join(f"{name!r}: {each}" for name, each in written.items())
        return f"{imported('reflow.notebook.instances')}.instance({kind}, {{{inner}}})"

    def _object_of_numpy(self, value: Any) -> str:
        if not is_of_numpy(value):
            raise NotWritableError(value)
        if getattr(value, "nbytes", 0) > LARGEST // 2:
            raise TooLargeError(value)
        text = write_of_numpy(value)
        if text is None:
            raise NotWritableError(value)
        return text

    def _items(self, values: Iterable[Any]) -> str:
        return ", ".join(map(self.write, values))


def _builtin(name: str) -> str:
    """Return an expression for what is built in, which the notebook may call something else."""
    return f"{imported('builtins')}.{name}"


def imported(module: str) -> str:
    """Return an expression for a module, which does not depend on what names mean."""
    if "." not in module:
        return f"__import__({module!r})"
    return f"__import__({module!r}, fromlist=['*'])"
