"""Objects in memory, described in a way that is the same in every process.

Functions and classes of the user's own are described by the text of their files, as long as that is
what was loaded. For code without a file (typed at a prompt, made by `exec`) the compiled code is
described instead, with everything it refers to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from reflow.fingerprint.code.bytecode import describe_code, names_used
from reflow.fingerprint.code.changes import Memories, memories_of
from reflow.fingerprint.code.given import DEEPEST, PLAIN, content_of, given_to, unrolled
from reflow.fingerprint.code.parts import attributes_of
from reflow.fingerprint.code.pieces import Label, Piece, Pieces, Ref
from reflow.fingerprint.code.static import OwnFile, WrittenCode
from reflow.fingerprint.code.unsaved import is_source
from reflow.model.canonical import dumps
from reflow.model.json import Json

_NOT_WRITTEN = frozenset(
    {
        "__abstractmethods__", "__dict__", "__dataclass_fields__", "__doc__", "__firstlineno__",
        "__module__", "__qualname__", "__static_attributes__", "__weakref__", "_abc_impl",
    }
)  # fmt: skip


class LoadedValues:
    """Describes values, and through them the code they lead to."""

    def __init__(self, pieces: Pieces, written: WrittenCode) -> None:
        self._pieces = pieces
        self._written = written
        self._open: list[int] = []
        self._kept: list[object] = []  # kept alive, so that no other object gets the same id

    def value(self, value: Any) -> Json:
        """Describe any value. An object that cannot be examined enters by its class alone."""
        kind = type(value)  # not `isinstance`, which proxies answer like their targets
        if kind is FunctionType:
            return self._function(value)
        if issubclass(kind, type):
            return self._class(value)
        if issubclass(kind, ModuleType):
            return self._module(value)
        if kind is MethodType:
            return {"method": self.value(value.__func__), "of": self.value(value.__self__)}
        if kind is BuiltinFunctionType:
            return _name(value)
        if id(value) in self._open:
            return {"level": self._open.index(id(value))}
        if len(self._open) == DEEPEST:
            return {"of": self._class(kind)}
        self._open.append(id(value))
        try:
            return self._data(value)
        finally:
            self._open.pop()

    def given_to(self, function: object) -> dict[str, tuple[str, str]]:
        """Return digest and text of each value that counts of those a function was given."""
        return given_to(function, self._owns, self._memories)

    def _owns(self, function: FunctionType) -> bool:
        """Tell whether a function counts with what it was given."""
        path = Path(os.path.realpath(function.__code__.co_filename))
        if is_source(path):
            return self._written.user_code.owns(path)
        return not function.__code__.co_filename.startswith("<frozen")

    def _memories(self, function: FunctionType) -> Memories:
        """Return what a function closes over and changes, or sets on itself: it does not count."""
        if not (function.__closure__ or vars(function)) or not self._owns(function):
            return Memories()
        file = self._written.file(Path(os.path.realpath(function.__code__.co_filename)))
        node = file and file.source.find(function.__code__)
        return memories_of(node) if node else Memories()

    def contents(self, value: Any) -> Json:
        """Describe any value, but a function or class as it was loaded, whatever its file says."""
        if type(value) is FunctionType:
            return self._number(value, partial(self._loaded_function, value))
        if issubclass(type(value), type):
            return self._number(value, partial(self._loaded_class, value))
        return self.value(value)

    # -- functions -------------------------------------------------------------------------------
    def _function(self, function: FunctionType) -> Json:
        code = function.__code__
        path = Path(os.path.realpath(code.co_filename))
        if not is_source(path):
            if code.co_filename.startswith("<frozen"):
                return _name(function)
            return self.contents(function)
        if not self._written.user_code.owns(path):
            return self._foreign(function)
        file = self._written.file(path)
        file = file and self._written.agreeing(file, lambda source: source.holds(code))
        if file is None:
            return self.contents(function)
        top = code.co_qualname.partition(".")[0]
        if "<" not in code.co_qualname and file.source.binds(top):
            unit = self._written.unit(file, top)
            which = file.source.which(top, code) if code.co_qualname == top else None
            return unit if which is None else {"one of": unit, "which": which}
        return self._number(function, partial(self._inner_function, function, file))

    def _inner_function(self, function: FunctionType, file: OwnFile, piece: Piece) -> Json:
        """Describe a lambda or a function made inside another: its code and what it was given."""
        node = file.source.find(function.__code__)
        if node is None:
            return self._loaded_function(function, piece)
        piece.label = Label(file.source.path, function.__code__.co_qualname, "function")
        return {**self._written.describe(file, [node], piece), **self._given(function)}

    def _loaded_function(self, function: FunctionType, piece: Piece) -> Json:
        code = function.__code__
        piece.label = Label(Path(code.co_filename), code.co_qualname, "function")
        names = names_used(function.__code__)
        return {
            "compiled": describe_code(function.__code__),
            "globals": {
                name: self.value(function.__globals__[name])
                for name in sorted(names)
                if name in function.__globals__ and not name.startswith("__")
            },
            **self._given(function),
        }

    def _given(self, function: FunctionType) -> dict[str, Json]:
        """Describe what a function got: closure, defaults, attributes, wrapped function."""
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        memories = self._memories(function)
        return {
            "closure": {
                name: None if name in memories.names else self.value(content_of(cell))
                for name, cell in cells
            },
            "attributes": {
                name: None if name in memories.attributes else self.value(value)
                for name, value in attributes_of(function).items()
            },
            "defaults": self.value([function.__defaults__, function.__kwdefaults__]),
            "wraps": self.value(getattr(function, "__wrapped__", None)),
        }

    def _foreign(self, function: FunctionType) -> Json:
        """Describe a library's function: its name, and the user's functions that it wraps."""
        contents = [content_of(cell) for cell in function.__closure__ or ()]
        around = [*contents, getattr(function, "__wrapped__", None)]
        inner = [self.value(part) for part in around if type(part) is FunctionType]
        return [_name(function), *inner]

    # -- classes and modules ---------------------------------------------------------------------
    def _class(self, kind: type) -> Json:
        module = sys.modules.get(kind.__module__)
        origin = getattr(module, "__file__", None)
        if origin is None:
            at_a_prompt = module is None or kind.__module__ == "__main__"
            return self.contents(kind) if at_a_prompt else _name(kind)
        path = Path(os.path.realpath(origin))
        if not self._written.user_code.owns(path):
            return _name(kind)
        file = self._written.file(path)
        top = kind.__qualname__.partition(".")[0]
        if "<" in kind.__qualname__ or file is None or not file.source.binds(top):
            return self.contents(kind)
        return self._written.unit(file, top)

    def _loaded_class(self, kind: type, piece: Piece) -> Json:
        piece.label = Label(Path(kind.__module__), kind.__qualname__, "class")
        members = {
            name: self.value(_function_of(member))
            for name, member in sorted(vars(kind).items())
            if name not in _NOT_WRITTEN
        }
        bases = [self.value(base) for base in kind.__bases__]
        return {"class": kind.__qualname__, "bases": bases, "members": members}

    def _module(self, module: ModuleType) -> Json:
        origin = getattr(module, "__file__", None)
        path = Path(os.path.realpath(origin)) if origin else None
        if path is None or not self._written.user_code.owns(path):
            return module.__name__
        file = self._written.file(path)
        return module.__name__ if file is None else self._written.whole(file)

    # -- data ------------------------------------------------------------------------------------
    def _data(self, value: Any) -> Json:
        kind = type(value)
        if kind in PLAIN:
            return {kind.__name__: repr(value)}
        if kind is int:
            return {"int": hex(value)}
        if kind in (list, tuple):
            return {kind.__name__: [self.value(item) for item in value]}
        if kind in (set, frozenset):
            return {kind.__name__: sorted((self.value(item) for item in value), key=dumps)}
        if kind is dict:
            return {"dict": [[self.value(key), self.value(item)] for key, item in value.items()]}
        return self._object(value)

    def _object(self, value: Any) -> Json:
        """Describe an object by what `copy` would rebuild it from, else by what it wraps."""
        of = self._class(type(value))
        try:
            inner = getattr(value, "__wrapped__", None)
            if type(inner) is FunctionType:
                return {"of": of, "wraps": self.value(inner)}
            reduced = value.__reduce_ex__(4)
            parts = [reduced] if isinstance(reduced, str) else [*map(unrolled, reduced)]
        except Exception:  # locks, files, generators: whatever cannot be copied
            return {"of": of}
        return {"of": of, "made of": [self.value(part) for part in parts]}

    def _number(self, value: object, describe: Callable[[Piece], Json]) -> Ref:
        self._kept.append(value)
        return self._pieces.ref(id(value), describe)


def _name(value: Any) -> Json:
    """Describe by its full name an object that is not the user's own."""
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', '')}"


def _function_of(member: object) -> object:
    """Return the function of a method of any kind, or of a property's getter."""
    return getattr(member, "__func__", None) or getattr(member, "fget", None) or member
