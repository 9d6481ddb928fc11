"""What changes an object by being called: functions, those that call them, and decorators."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from reflow.fingerprint.code.changes import changed_by_functions
from reflow.fingerprint.code.scopes import local_names
from reflow.notebook.statements import Statement

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Callers:
    """Tells which statements of a notebook change what a name stands for, without naming it."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        """Look at all statements that were run, in their order."""
        self._statements = statements
        self._changes: dict[Statement, frozenset[str]] = {}

    def of(self, name: str) -> frozenset[str]:
        """Return functions and classes that change a name's object when they are called."""
        found = {each for s in self._statements if name in self._changed(s) for each in s.binds}
        count = -1
        while found and count != len(found):
            count = len(found)
            for statement in self._statements:
                used = {*statement.used_later, *(statement.used_now if statement.defines else ())}
                if used & found:
                    found |= statement.binds
        return frozenset(found - {name})

    def fillers(self, name: str, after: Sequence[Statement]) -> list[Statement]:
        """Return definitions whose decorators change a name's object, as registries are filled."""
        return [each for each in after if any(self._fills(d, name) for d in _decorators(each))]

    def _fills(self, decorator: ast.expr, name: str) -> bool:
        is_call = isinstance(decorator, ast.Call)
        function = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not isinstance(function, ast.Name):
            return False
        return any(
            name in self._changed(each) and name not in _changed_within(each, 2 if is_call else 1)
            for each in self._statements
            if each.defines and function.id in each.binds
        )

    def _changed(self, statement: Statement) -> frozenset[str]:
        if statement not in self._changes:
            self._changes[statement] = _names_changed(statement, [statement.node])
        return self._changes[statement]


def _changed_within(statement: Statement, depth: int) -> frozenset[str]:
    """Return what only functions inside a function change, so many levels down."""
    nodes: list[ast.AST] = [statement.node]
    for _ in range(depth):
        nodes = [inner for node in nodes for inner in _functions_in(node)]
    return _names_changed(statement, nodes)


def _names_changed(statement: Statement, nodes: Sequence[ast.AST]) -> frozenset[str]:
    local = local_names(ast.Module([statement.node], []))
    return frozenset(chain[0] for node in nodes for chain in changed_by_functions(node, local))


def _functions_in(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the outermost functions inside a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _FUNCTIONS):
            yield child
        else:
            yield from _functions_in(child)


def _decorators(statement: Statement) -> list[ast.expr]:
    return statement.node.decorator_list if statement.defines else []  # type: ignore[attr-defined]
