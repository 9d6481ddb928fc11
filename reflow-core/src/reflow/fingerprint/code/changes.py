"""Names that functions change while a program runs: its memories, as against its settings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set

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
    """Names of the module's that functions in a piece of code bind anew or change in place.

    With the attributes taken from them, as far as they are spelt out: `settings.CACHE[key] = 1`
    gives `("settings", "CACHE")`.
    """
    found: set[Chain] = set()
    for function in ast.walk(node):
        if isinstance(function, _FUNCTIONS):
            for inner in ast.walk(function):
                found.update(_changed(inner, local_names))
    return found


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
    """The name at the root of an expression, with the attributes that follow it directly."""
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
