"""Which names in a file are local to a function, class, comprehension or lambda, by Python's rules.

This is decided on the syntax tree, for every single mention of a name, so that a parameter is not
taken for a module's variable of the same name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Scope: TypeAlias = Function | Comprehension | ast.ClassDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(slots=True)
class _Names:
    """The names that one scope binds and declares."""

    is_class: bool = False
    bound: set[str] = field(default_factory=set)
    is_global: set[str] = field(default_factory=set)
    is_outer: set[str] = field(default_factory=set)
    """Declared nonlocal."""
    bound_for_sure: dict[str, int] = field(default_factory=dict)
    """In a class, by name: the line after which the name is bound on every path."""

    def hold(self, name: ast.Name) -> bool:
        """Tell whether a mention of a name in this very scope is one of these."""
        if name.id not in self.bound or name.id in self.is_outer:
            return False
        # A class body that reads a name before it binds it reads the module's.
        reads = self.is_class and isinstance(name.ctx, ast.Load)
        return not reads or name.lineno > self.bound_for_sure.get(name.id, name.lineno)


def local_names(module: ast.Module) -> set[ast.Name]:
    """Return all mentions of names that do not lead to the module's own namespace."""
    found: set[ast.Name] = set()
    _visit(module.body, (), found)
    return found


def parts_inside(scope: Scope) -> list[ast.AST]:
    """Return the parts of a scope that are evaluated in it, not where it is defined."""
    if isinstance(scope, ast.Lambda):
        return [scope.body]
    if isinstance(scope, _DEFINITIONS):
        return [*scope.body]
    results = [scope.key, scope.value] if isinstance(scope, ast.DictComp) else [scope.elt]
    clauses = [part for each in scope.generators for part in (each.target, each.iter, *each.ifs)]
    return [*results, *(part for part in clauses if part is not scope.generators[0].iter)]


def _parts_outside(scope: Scope) -> Iterator[ast.AST]:
    """Yield the parts of a scope that are evaluated where it is defined."""
    if isinstance(scope, Comprehension):
        yield scope.generators[0].iter
        return
    if isinstance(scope, _DEFINITIONS):
        yield from scope.decorator_list
    if isinstance(scope, ast.ClassDef):
        yield from (*scope.bases, *scope.keywords)
        return
    yield from ast.iter_child_nodes(scope.args)
    if not isinstance(scope, ast.Lambda) and scope.returns is not None:
        yield scope.returns


def _visit(nodes: Iterable[ast.AST], scopes: tuple[_Names, ...], found: set[ast.Name]) -> None:
    for node in nodes:
        if isinstance(node, ast.Name):
            if _is_local(node, scopes):
                found.add(node)
        elif isinstance(node, Scope):
            _visit(_parts_outside(node), scopes, found)
            _visit(parts_inside(node), (*scopes, _names_of(node)), found)
        else:
            _visit(ast.iter_child_nodes(node), scopes, found)


def _is_local(name: ast.Name, scopes: tuple[_Names, ...]) -> bool:
    for depth, scope in enumerate(reversed(scopes)):
        if scope.is_class and depth:
            # Functions in a class do not see the names that it binds.
            continue
        if name.id in scope.is_global:
            return False
        if scope.hold(name):
            return True
    return False


def _names_of(scope: Scope) -> _Names:
    names = _Names(is_class=isinstance(scope, ast.ClassDef))
    if isinstance(scope, Function):
        names.bound.update(node.arg for node in ast.walk(scope.args) if isinstance(node, ast.arg))
    names.bound.update(getattr(each, "name", "") for each in getattr(scope, "type_params", ()))
    for part in parts_inside(scope):
        _collect(part, names, within=scope)
        if names.is_class:
            for name in bound_by(part):
                names.bound_for_sure.setdefault(name, getattr(part, "end_lineno", 0))
    return names


def _collect(node: ast.AST, names: _Names, within: Scope) -> None:
    """Record what a node binds and declares in its scope."""
    names.bound |= bound_by(node)
    if isinstance(node, ast.Global):
        names.is_global.update(node.names)
    elif isinstance(node, ast.Nonlocal):
        names.is_outer.update(node.names)
    elif isinstance(node, ast.NamedExpr) and isinstance(within, Comprehension):
        return
    if isinstance(node, Comprehension):
        # `:=` in it binds in the function around.
        names.bound.update(
            each.target.id for each in ast.walk(node) if isinstance(each, ast.NamedExpr)
        )
    children = _parts_outside(node) if isinstance(node, Scope) else ast.iter_child_nodes(node)
    for child in children:
        _collect(child, names, within)


def bound_by(node: ast.AST) -> set[str]:
    """Return the names that a node itself binds in its scope."""
    if isinstance(node, ast.Name):
        return set() if isinstance(node.ctx, ast.Load) else {node.id}
    if isinstance(node, _DEFINITIONS):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {each.id for each in node.targets if isinstance(each, ast.Name)}
    if isinstance(node, ast.AnnAssign):
        return {node.target.id} if isinstance(node.target, ast.Name) and node.value else set()
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(each.asname or each.name).partition(".")[0] for each in node.names}
    if isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
        return {node.name} if node.name else set()
    if isinstance(node, ast.MatchMapping):
        return {node.rest} if node.rest else set()
    return set()
