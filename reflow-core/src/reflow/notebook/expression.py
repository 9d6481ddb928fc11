"""Writing values as Python expressions that make them again.

Data is written as it is, so that it does not matter how it came about: by a long calculation, by
input from the keyboard, changed by later cells. What is written is compared with the value
afterwards (`sameness.py`), so nothing here need be sure.
"""

from __future__ import annotations

import base64
import enum
import sys
from collections.abc import Callable, Iterable
from functools import partial
from math import isfinite
from pathlib import PurePath
from typing import Any

LARGEST = 1_000_000
"""Letters of an expression; larger data belongs into files or results of tasks."""
_DEEPEST = 50
_BY_TEXT = frozenset({"datetime", "decimal", "fractions", "uuid"})
"""Modules whose objects' `repr` makes them again, after their name or with it."""


class NotWritableError(Exception):
    """A value that no expression makes again."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value


class TooLargeError(NotWritableError):
    """Data too large for a module."""


class Writer:
    """Writes values; asks for the names of functions and classes of the notebook's own."""

    def __init__(self, name_of: Callable[[object], str | None]) -> None:
        """Take what returns the name of a function, class or flow of the notebook, if it is one."""
        self._name_of = name_of
        self._open: list[int] = []
        self.names: list[str] = []
        """The names that the expression uses."""

    def write(self, value: Any) -> str:
        """Return an expression. Raises `NotWritableError`."""
        if id(value) in self._open or len(self._open) == _DEEPEST:
            raise NotWritableError(value)
        self._open.append(id(value))
        try:
            text = self._atom(value) or self._reference(value) or self._made(value)
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
            return f"{imported('builtins')}.{value!r}"
        if kind is partial:
            named = [f"{name}={self.write(each)}" for name, each in value.keywords.items()]
            inner = ", ".join([self.write(value.func), *map(self.write, value.args), *named])
            return f"{imported('functools')}.partial({inner})"
        return self._object(value, kind)

    def _object(self, value: Any, kind: Any) -> str:
        if issubclass(kind, enum.Enum):
            return f"{self.write(kind)}[{value.name!r}]"
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return f"{self.write(kind)}({self._items(value)})"
        if hasattr(kind, "__dataclass_fields__"):
            fields = [each for each in kind.__dataclass_fields__.values() if each.init]
            given = [f"{each.name}={self.write(getattr(value, each.name))}" for each in fields]
            return f"{self.write(kind)}({', '.join(given)})"
        if issubclass(kind, PurePath):
            return f"{imported('pathlib')}.{kind.__name__}({str(value)!r})"
        if kind.__module__ in _BY_TEXT:
            text = repr(value)
            return f"{imported(kind.__module__)}.{text.removeprefix(f'{kind.__module__}.')}"
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
        if kind.__module__ == "numpy.dtypes":
            return _dtype(value)
        if kind.__module__.partition(".")[0] == "numpy":
            return self._numpy(value)
        raise NotWritableError(value)

    def _numpy(self, value: Any) -> str:
        numpy, dtype = imported("numpy"), getattr(value, "dtype", None)
        if dtype is None or dtype.hasobject:
            raise NotWritableError(value)
        if value.nbytes > LARGEST // 2:
            raise TooLargeError(value)
        content = base64.b85encode(value.tobytes()).decode()
        decoded = f"{imported('base64')}.b85decode({content!r})"
        flat = f"{numpy}.frombuffer({decoded}, dtype={_dtype(dtype)})"
        is_array = type(value).__name__ == "ndarray"
        return f"{flat}.reshape({value.shape!r}).copy()" if is_array else f"{flat}[0]"

    def _items(self, values: Iterable[Any]) -> str:
        return ", ".join(map(self.write, values))


def _dtype(dtype: Any) -> str:
    """Return an expression for the kind of an array's elements."""
    return f"{imported('numpy')}.dtype({dtype.descr if dtype.fields else dtype.str!r})"


def _builtin(name: str) -> str:
    """Return an expression for what is built in, which the notebook may call something else."""
    return f"{imported('builtins')}.{name}"


def imported(module: str) -> str:
    """Return an expression for a module, which does not depend on what names mean."""
    if "." not in module:
        return f"__import__({module!r})"
    return f"__import__({module!r}, fromlist=['*'])"
