"""What functions were given when they were made, by name: for a comparison in another process.

These are the values that a function closes over, defaults and attributes of functions made inside
others, what wrappers wrap, and arguments of partials. All of it is in a task's fingerprint; here it
is found from the objects alone, as workers do not read source.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from reflow.fingerprint.code.changes import Memories
from reflow.fingerprint.code.parts import attributes_of
from reflow.fingerprint.code.plain import look_at
from reflow.model.canonical import digest, dumps
from reflow.model.json import Json

PLAIN = (bool, float, complex, str, bytes, type(None), type(...), type(NotImplemented))
DEEPEST = 100
"""Values in values, which are followed no further."""
_SHOWN = 80


def given_to(
    function: object,
    owns: Callable[[FunctionType], bool] = lambda _: True,
    memories: Callable[[FunctionType], Memories] = lambda _: Memories(),
) -> dict[str, tuple[str, str]]:
    """Return digest and text of each value that a function was given, by name.

    Of functions that are not the user's own, by `owns`, only functions given to them count; what
    functions change that they close over, by `memories`, does not count.
    """
    finder = _Finder(owns, memories)
    finder.take("", function)
    return finder.found


class _Finder:
    def __init__(
        self,
        owns: Callable[[FunctionType], bool],
        memories: Callable[[FunctionType], Memories],
    ) -> None:
        self.found: dict[str, tuple[str, str]] = {}
        self._owns = owns
        self._memories = memories
        self._seen: dict[int, object] = {}
        self._open: list[int] = []

    def take(self, name: str, value: Any) -> None:
        """Note a value, and what the functions in it were given."""
        if type(value) is partial:
            self.take(name, value.func)
            for number, argument in enumerate(value.args, 1):
                self.take(_inside(name, f"argument {number}"), argument)
            for keyword, argument in value.keywords.items():
                self.take(_inside(name, keyword), argument)
            return
        described = self._described(name, value)
        self.found[name or "itself"] = digest(dumps(described)), _shown(value)

    def _described(self, name: str, value: Any) -> Json:
        kind = type(value)
        if kind is FunctionType:
            self._function(name, value)
            return _place(value)
        if kind is MethodType:
            self.take(_inside(name, "self"), value.__self__)
            return {"method": self._described(name, value.__func__)}
        if issubclass(kind, type):
            return _class(value)
        if issubclass(kind, ModuleType):
            return {"module": value.__name__.rpartition(".")[2]}
        if kind is BuiltinFunctionType:
            return {"builtin": f"{value.__module__}.{value.__qualname__}"}
        if (plain := look_at(value)) is not None:
            return {"plain": plain.digest}
        if id(value) in self._open:
            return {"level": self._open.index(id(value))}
        if len(self._open) == DEEPEST:
            return _class(kind)
        self._open.append(id(value))
        try:
            return {"of": _class(kind), "parts": self._data(name, value)}
        finally:
            self._open.pop()

    def _function(self, name: str, function: FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen[id(function)] = function
        is_own = self._owns(function)
        memories = self._memories(function)
        for inner, value in _given(function, memories):
            if is_own or type(value) is FunctionType:
                self.take(_inside(name, inner), value)
        if is_own and "<" in function.__code__.co_qualname:
            for inner, value in attributes_of(function).items():
                if inner not in memories.attributes:
                    self.take(_inside(name, f"__dict__.{inner}"), value)

    def _data(self, name: str, value: Any) -> Json:
        kind = type(value)
        if kind in PLAIN:
            return digest(repr(value))
        if kind is int:
            return hex(value)
        if kind in (list, tuple):
            return [self._described(_inside(name, str(n)), item) for n, item in enumerate(value)]
        if kind in (set, frozenset):
            return sorted((self._described(name, item) for item in value), key=dumps)
        if kind is dict:
            return [
                [self._described(name, key), self._described(_inside(name, str(key)), item)]
                for key, item in value.items()
            ]
        return self._object(name, value)

    def _object(self, name: str, value: Any) -> Json:
        try:
            inner = getattr(value, "__wrapped__", None)
            if type(inner) is FunctionType:
                return self._described(name, inner)
            reduced = value.__reduce_ex__(4)
            parts = [reduced] if isinstance(reduced, str) else [*map(unrolled, reduced)]
        except Exception:  # locks, files, generators: whatever cannot be copied
            return None
        return [self._described(name, part) for part in parts]


def _given(function: FunctionType, memories: Memories) -> Iterator[tuple[str, object]]:
    code = function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if name not in memories.names:
            yield name, content_of(cell)
    if "<" in code.co_qualname:
        # Defaults and attributes of top-level functions are found beside values of their module.
        defaults = function.__defaults__ or ()
        names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        yield from zip(names, defaults, strict=True)
        yield from (function.__kwdefaults__ or {}).items()
    if (wrapped := getattr(function, "__wrapped__", None)) is not None:
        yield "__wrapped__", wrapped


def _place(function: FunctionType) -> Json:
    """Describe where a function is written, alike in every process that has the same file."""
    code = function.__code__
    file = os.path.basename(code.co_filename)  # noqa: PTH119 - as the file may lie elsewhere
    return {"file": file, "function": code.co_qualname, "line": code.co_firstlineno}


def _class(kind: type) -> Json:
    return {"class": kind.__qualname__}


def _inside(name: str, inner: str) -> str:
    return f"{name}.{inner}" if name else inner


def _shown(value: object) -> str:
    if type(value) is FunctionType:
        return f"{value.__code__.co_qualname} of line {value.__code__.co_firstlineno}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a broken `__repr__`
        text = object.__repr__(value)
    if " at 0x" in text:
        return f"some {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def content_of(cell: CellType) -> object:
    """Return what a cell of a closure holds, None while nothing is assigned."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def unrolled(part: object) -> object:
    """Return the items of an iterator, anything else unchanged."""
    return list(part) if isinstance(part, Iterator) else part
