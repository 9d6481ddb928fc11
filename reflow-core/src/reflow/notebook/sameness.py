"""Comparing what a module written from cells made with what the notebook has.

Functions are the same when they are compiled from the same code, and were given the same: defaults,
closed over values, attributes. What they use by name is compared under that name. Objects that are
neither data nor functions or classes are the same when they are made of the same parts, as copying
takes them apart. What is one object in the notebook is one in the module too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from copyreg import dispatch_table
from functools import partial
from marshal import dumps
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from reflow.fingerprint.code.given import content_of, unrolled
from reflow.notebook.arrays import is_array, same_arrays
from reflow.notebook.expression import is_mutable
from reflow.notebook.session import Cell, Session, same_code
from reflow.notebook.statements import first_line

_NOT_COMPARED = frozenset(
    {
        "__annotations__", "__dict__", "__doc__", "__firstlineno__", "__module__", "__weakref__",
        "__static_attributes__", "__dataclass_fields__", "__dataclass_params__", "_abc_impl",
        "__annotations_cache__", "__annotate_func__", "__wrapped__",
    }
)  # fmt: skip


_ATOMS = frozenset({bool, int, float, complex, str, bytes, type(None), type(...)})
_SAY_ALL = frozenset({"_thread", "datetime", "decimal", "fractions", "uuid", "zoneinfo"})
"""Modules whose objects differ in nothing but what they say of themselves."""


class Comparison:
    """Compares values of the notebook with those of a module; each pair once."""

    def __init__(self, session: Session, module: Cell) -> None:
        """Compare what cells of a session made with what a module made, which is like a cell."""
        self._session = session
        self._module = module
        self._seen: dict[tuple[int, int], tuple[object, object]] = {}
        self._pairs: dict[int, int] = {}
        """Of mutable objects of the notebook the one of the module, by their ids."""
        self.uncopied: object = None
        """The object that cannot be compared, if that is why two values are not the same."""

    def same(self, live: Any, made: Any) -> bool:
        """Tell whether two values are the same, as far as a task is concerned."""
        if live is made:
            return True
        if type(live) in _ATOMS:
            # By their bytes: -0.0 is not 0.0, and what is no number is the same as itself.
            return type(live) is type(made) and dumps(live, 2) == dumps(made, 2)
        if (id(live), id(made)) in self._seen:
            return True
        self._seen[id(live), id(made)] = live, made
        return self._is_one(live, made) and self._same(live, made)

    def _is_one(self, live: object, made: object) -> bool:
        """Tell whether what is one mutable object in the notebook is one in the module."""
        return not is_mutable(live) or self._pairs.setdefault(id(live), id(made)) == id(made)

    def _same(self, live: Any, made: Any) -> bool:
        if issubclass(type(live), type) and issubclass(type(made), type):
            return self._classes(live, made)
        kind = type(live)
        if not _alike(kind, type(made)) or issubclass(kind, ModuleType):
            return False
        if kind is FunctionType:
            return self._functions(live, made)
        if kind is MethodType:
            return self.same(live.__self__, made.__self__) and self.same(
                live.__func__, made.__func__
            )
        if is_array(live):
            return same_arrays(live, made)
        return self._parts(live, made, kind)

    def _parts(self, live: Any, made: Any, kind: type) -> bool:
        if kind in (list, tuple):
            return len(live) == len(made) and all(map(self.same, live, made))
        if kind is dict or kind is MappingProxyType:
            return self._mappings(live, made)
        if kind in (set, frozenset):
            return self.same(sorted(live, key=_shown), sorted(made, key=_shown))
        if kind is partial:
            return all(
                self.same(getattr(live, name), getattr(made, name))
                for name in ("func", "args", "keywords", "__dict__")
            )
        if issubclass(kind, classmethod | staticmethod):
            return self.same(live.__func__, made.__func__)
        if issubclass(kind, property):
            return all(
                self.same(getattr(live, name), getattr(made, name))
                for name in ("fget", "fset", "fdel")
            )
        if f"{kind.__module__}.{kind.__qualname__}" == "numpy.vectorize":
            # The rest is what it has remembered of calls.
            return all(
                self.same(getattr(live, name), getattr(made, name))
                for name in ("pyfunc", "otypes", "signature", "excluded", "cache")
            )
        wrapped = _wrapped(live), _wrapped(made)
        if wrapped != (None, None):
            return self.same(*wrapped) and self._wrappers(live, made, kind)
        return self._objects(live, made, kind)

    def _wrappers(self, live: Any, made: Any, kind: type) -> bool:
        """Compare what wraps functions; those of libraries may change with each call."""
        if kind.__module__ in ("__main__", "functools"):
            return self._mappings(_without(vars(live)), _without(vars(made)))
        return True

    def _objects(self, live: Any, made: Any, kind: type) -> bool:
        """Compare objects of any other class by what copying them would copy."""
        if kind.__module__ == "weakref":
            # They hold nothing themselves: caches of what lives elsewhere.
            return True
        if kind.__module__ in _SAY_ALL or kind.__name__ == "ForwardRef":
            return _shown(live) == _shown(made)
        try:
            parts, others = _copied(live), _copied(made)
        except Exception:  # an open file, a generator
            self.uncopied = live
            return False
        return self.same(parts, others)

    def _functions(self, live: FunctionType, made: FunctionType) -> bool:
        cells = zip(live.__closure__ or (), made.__closure__ or (), strict=False)
        return (
            self._codes(live.__code__, made.__code__)
            and self.same(live.__defaults__, made.__defaults__)
            and self.same(live.__kwdefaults__, made.__kwdefaults__)
            and all(self.same(content_of(one), content_of(other)) for one, other in cells)
            and self._mappings(_without(vars(live)), _without(vars(made)))
            and self.same(_wrapped(live), _wrapped(made))
        )

    def _codes(self, live: CodeType, made: CodeType) -> bool:
        """Tell whether two functions have the same text.

        Not whether they are compiled to the same: a module that the same cell imports is used in
        another way than one that another cell has imported.
        """
        cell = self._session.cell_of(live)
        if cell is None:
            return same_code(live, made)
        texts = _node_of(cell, live), _node_of(self._module, made)
        return None not in texts and texts[0] == texts[1]

    def _classes(self, live: type, made: type) -> bool:
        return (
            live.__qualname__ == made.__qualname__
            and len(live.__bases__) == len(made.__bases__)
            and all(map(self.same, live.__bases__, made.__bases__))
            and self._mappings(_without(vars(live)), _without(vars(made)))
        )

    def _mappings(self, live: Mapping[Any, Any], made: Mapping[Any, Any]) -> bool:
        if len(live) != len(made):
            return False
        pairs = zip(live.items(), made.items(), strict=True)
        return all(
            self.same(key, other) and self.same(value, its) for (key, value), (other, its) in pairs
        )


def _node_of(cell: Cell, code: CodeType) -> str | None:
    """Return the syntax of a function; of several that begin in one line, of all."""
    found = [
        ast.dump(node)
        for node in ast.walk(cell.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and getattr(node, "name", "<lambda>") == code.co_name
        and first_line(node) == code.co_firstlineno
    ]
    return "\n".join(found) or None


def _without(names: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in names.items()
        if name not in _NOT_COMPARED
        and (name == "__pydantic_fields__" or not name.startswith("__pydantic_"))
    }


def _copied(value: Any) -> list[Any]:
    """Return what an object is copied by. Raises what it raises where it cannot be copied."""
    by_table = dispatch_table.get(type(value))
    reduced: Any = by_table(value) if by_table else value.__reduce_ex__(4)
    return [reduced, _shown(value)] if isinstance(reduced, str) else [*map(unrolled, reduced)]


def _shown(value: object) -> str:
    """Return what an object says of itself, wherever it and its class are."""
    try:
        text = repr(value)
    except Exception:  # a broken `__repr__`
        return ""
    return re.sub(r" at 0x[0-9a-f]+|\b(__main__|__reflow_flow__)\.", "", text)


def _wrapped(value: object) -> object:
    try:
        return object.__getattribute__(value, "__dict__").get("__wrapped__")
    except (AttributeError, TypeError):
        return None


def _alike(one: type, other: type) -> bool:
    """Tell whether two kinds are one, or the same class of the notebook, made twice."""
    return one is other or (
        one.__qualname__ == other.__qualname__ and one.__module__ != other.__module__
    )
