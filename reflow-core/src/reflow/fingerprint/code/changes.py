"""Names that functions change while a program runs: state rather than settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set
from typing import NamedTuple

from reflow.fingerprint.code.syntax import Chain

_MUTATING = frozenset(
    {
        "__setitem__", "add", "append", "appendleft", "clear", "difference_update", "discard",
        "extend", "extendleft", "fill", "insert", "intersection_update", "itemset", "partition",
        "pop", "popitem", "popleft", "put", "remove", "resize", "reverse", "rotate", "setdefault",
        "setflags", "sort", "subtract", "symmetric_difference_update", "update",
    }
)  # fmt: skip
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def changed_by_functions(node: ast.AST, local_names: Set[ast.Name]) -> set[Chain]:
    """Return the module's names that functions in a piece of code rebind or change in place.

    Attributes taken from them are included, as far as they are spelt out:
    `settings.CACHE[key] = 1` yields `("settings", "CACHE")`.
    """
    found: set[Chain] = set()
    for function in ast.walk(node):
        if isinstance(function, _FUNCTIONS):
            for inner in ast.walk(function):
                found.update(_changed(inner, local_names))
    return found


class Memories(NamedTuple):
    """What a function, or one in it, rebinds or changes in place: a cache, a counter."""

    names: Set[str] = frozenset()
    """Those among them that it closes over are its memory."""
    attributes: Set[str] = frozenset()
    """Those among them that are its own are its memory, as in `inner.calls += 1`."""


def memories_of(function: ast.AST) -> Memories:
    """Return what a function may remember from one call to the next."""
    found = {name for chain in changed_by_functions(function, frozenset()) for name in chain[:1]}
    for node in ast.walk(function):
        if isinstance(node, ast.Nonlocal):
            found.update(node.names)
    # `inner.cache = cache` shows the memory that is closed over.
    return Memories(found, changed_by_methods(function) | found)


def changed_by_methods(definition: ast.AST) -> set[str]:
    """Return attributes that methods of a class may change on it, or that a function may on itself.

    Every attribute that a method binds or changes in place counts, of whatever object, except those
    that it binds on its own object (`self.count = 1`).
    """
    found: set[str] = set()
    for function in ast.walk(definition):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            own = _object_of(function)
            for node in ast.walk(function):
                is_its_own = isinstance(node, ast.Attribute) and _is_named(node.value, own)
                if not is_its_own:
                    found.update(_attributes_changed(node))
    return found


def _object_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return a method's name for its own object; empty for a class method."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    if not arguments or any(_is_named(each, "classmethod") for each in function.decorator_list):
        return ""
    return arguments[0].arg


def _is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _attributes_changed(node: ast.AST) -> Iterator[str]:
    """Yield all attributes on the way to what a piece of code binds or changes in place."""
    if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        inner: ast.AST = node
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _MUTATING
    ):
        inner = node.func.value
    else:
        return
    while isinstance(inner, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(inner, ast.Attribute):
            yield inner.attr
        inner = inner.func if isinstance(inner, ast.Call) else inner.value


def _changed(node: ast.AST, local_names: Set[ast.Name]) -> Iterator[Chain]:
    if isinstance(node, ast.Global):
        yield from ((name,) for name in node.names)
    elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
        yield from _root(node, local_names)
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _MUTATING
    ):
        yield from _root(node.func.value, local_names)


def _root(node: ast.expr, local_names: Set[ast.Name]) -> Iterator[Chain]:
    """Yield the name at the root of an expression, with the attributes that directly follow it."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        else:
            attributes.clear()
            node = node.func if isinstance(node, ast.Call) else node.value
    if isinstance(node, ast.Name) and node not in local_names:
        yield (node.id, *reversed(attributes))
