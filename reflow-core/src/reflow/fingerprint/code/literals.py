"""Literals in classes and functions: attributes and defaults whose values the file itself tells.

Their names are those of `parts.py`, which sees the same in memory.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from reflow.fingerprint.code.scopes import bound_by


def literals_in(definition: ast.stmt) -> Iterator[tuple[str, Any]]:
    """Yield each attribute of a class, and each default, that is a literal, with its name."""
    if isinstance(definition, ast.ClassDef):
        for statement in definition.body:
            yield from _bound(statement)
            name = getattr(statement, "name", "")
            yield from ((f"{name}.{inner}", value) for inner, value in literals_in(statement))
    elif isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _defaults(definition.args)


def _bound(statement: ast.stmt) -> Iterator[tuple[str, Any]]:
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
        for value in _literal(statement.value):
            yield from ((name, value) for name in bound_by(statement))


def _defaults(arguments: ast.arguments) -> Iterator[tuple[str, Any]]:
    positional = [*arguments.posonlyargs, *arguments.args]
    behind = positional[len(positional) - len(arguments.defaults) :]
    given = [
        *zip(behind, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in given:
        if default is not None:
            yield from ((argument.arg, value) for value in _literal(default))


def _literal(node: ast.expr) -> Iterator[Any]:
    """Yield the value of a literal; nothing for any other expression."""
    try:
        yield ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return
