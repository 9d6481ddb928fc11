"""Top-level statements of cells: what they bind, and what they use, now or when called."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from reflow.fingerprint.code.scopes import bound_by, local_names
from reflow.notebook.session import Cell

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
_CONTAINERS = frozenset({"Counter", "OrderedDict", "defaultdict", "deque", "dict", "list", "set"})
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)


@dataclass(frozen=True, slots=True, eq=False)
class Import:
    """What an import statement of a cell binds to a name."""

    statement: str
    """That import alone, as Python."""
    module: str
    attribute: str | None
    """None for the module, or the package that it is in."""


class Statement:
    """A top-level statement of a cell."""

    def __init__(self, cell: Cell, node: ast.stmt) -> None:
        self.cell = cell
        self.node = node

    def __repr__(self) -> str:
        return f"<{self.place}: {self.text[:40]!r}>"

    @property
    def place(self) -> str:
        """Where it stands, as users know it: `In[3]`."""
        return f"In[{self.cell.number}]" if self.cell.number else "a cell"

    @property
    def first_line(self) -> int:
        """Its first line in the cell, that of its first decorator."""
        return first_line(self.node)

    @property
    def last_line(self) -> int:
        """Its last line in the cell."""
        return self.node.end_lineno or self.node.lineno

    @cached_property
    def text(self) -> str:
        """Return its text, as the cell has it where it stands on lines of its own."""
        lines = self.cell.lines[self.first_line - 1 : self.last_line]
        text = "\n".join(lines)
        try:
            alone = len(ast.parse(text).body) == 1
        except SyntaxError:
            alone = False
        return text if alone else ast.unparse(self.node)

    @cached_property
    def binds(self) -> frozenset[str]:
        """The names that it sets, wherever in it, other than inside functions and classes."""
        return frozenset(name for node in _outside_scopes(self.node) for name in bound_by(node))

    @cached_property
    def used_now(self) -> tuple[str, ...]:
        """The names of the module's that it needs when it runs, in order of mention."""
        return tuple(dict.fromkeys(each.id for each, later in self._mentions if not later))

    @cached_property
    def used_later(self) -> tuple[str, ...]:
        """The names of the module's that functions in it need when they are called."""
        return tuple(dict.fromkeys(each.id for each, later in self._mentions if later))

    @cached_property
    def _mentions(self) -> list[tuple[ast.Name, bool]]:
        inner = local_names(ast.Module([self.node], []))
        # The variable of a loop comes from the loop; in `x = cache(x)` it comes from before.
        own = frozenset[str]() if isinstance(self.node, _SIMPLE) else self.binds
        return [
            (each, later)
            for each, later in _mentions(self.node)
            if each not in inner
            and (later or (isinstance(each.ctx, ast.Load) and each.id not in own))
        ]

    @property
    def defines(self) -> bool:
        """Whether it is the definition of a function or class."""
        return isinstance(self.node, Definition)

    @property
    def is_display(self) -> bool:
        """Whether it gives a name a value that is written out: calls are in functions only."""
        node = self.node
        return (
            isinstance(node, ast.Assign)
            and all(isinstance(each, ast.Name) for each in node.targets)
            and not any(isinstance(each, ast.Call) for each in _outside_scopes(node.value))
        )

    @property
    def begins_empty_or_written_out(self) -> bool:
        """Whether it begins a container: by a display, or by `dict()`, `defaultdict(list)`."""
        node = self.node
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            return False
        called = node.value.func if isinstance(node.value, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", None)
        return name in _CONTAINERS or (self.is_display and not self.used_now)

    def adds_to(self, name: str) -> bool:
        """Tell whether it adds to a function or class, by nothing that may do anything else.

        It sets an attribute of it to what needs no call, or registers a function with it.
        """
        node = self.node
        if isinstance(node, ast.Assign):
            is_plain = not any(isinstance(each, ast.Call) for each in _outside_scopes(node.value))
            return is_plain and all(_is_part_of(each, name) for each in node.targets)
        if isinstance(node, _FUNCTIONS):
            decorators = [_called(each) for each in node.decorator_list]
            return any(_is_part_of(each, name) for each in decorators)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            is_register = isinstance(function, ast.Attribute) and function.attr == "register"
            return is_register and _is_part_of(function, name)
        return False

    def imports(self, name: str) -> Iterator[Import]:
        """Yield the imports in it that bind a name."""
        for bound, found in self._imports:
            if bound == name:
                yield found
            elif bound == "*":
                yield Import(f"from {found.module} import {name}", found.module, name)

    @cached_property
    def _imports(self) -> list[tuple[str, Import]]:
        return list(self._all_imports())

    def _all_imports(self) -> Iterator[tuple[str, Import]]:
        for node in _outside_scopes(self.node):
            if isinstance(node, ast.Import):
                for each in node.names:
                    top = each.name.partition(".")[0]
                    kept = ast.unparse(ast.Import([each]))
                    module = each.name if each.asname else top
                    yield each.asname or top, Import(kept, module, None)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for each in node.names:
                    kept = ast.unparse(ast.ImportFrom(node.module, [each], 0))
                    yield each.asname or each.name, Import(kept, node.module, each.name)


def _called(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _is_part_of(node: ast.expr, name: str) -> bool:
    """Tell whether an expression is an attribute or item of a name."""
    depth = 0
    while isinstance(node, ast.Attribute | ast.Subscript):
        node, depth = node.value, depth + 1
    return depth > 0 and isinstance(node, ast.Name) and node.id == name


def first_line(node: ast.stmt | ast.expr) -> int:
    """Return the line where a statement or function begins: at its first decorator."""
    decorators = node.decorator_list if isinstance(node, Definition) else []
    return min([node.lineno, *(each.lineno for each in decorators)])


def statements_of(cells: Iterable[Cell]) -> list[Statement]:
    """Return the top-level statements of cells, in their order."""
    return [Statement(cell, node) for cell in cells for node in cell.tree.body]


def at_line(cells: Iterable[Cell], line: int) -> Iterator[Statement]:
    """Yield, of each cell, the statement that stands at a line."""
    for cell in cells:
        for statement in statements_of([cell]):
            if statement.first_line <= line <= statement.last_line:
                yield statement


def _outside_scopes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node, and those in it that are run in the same namespace."""
    yield node
    if isinstance(node, _SCOPES):
        return
    for child in ast.iter_child_nodes(node):
        yield from _outside_scopes(child)


def _mentions(node: ast.AST, later: bool = False) -> Iterator[tuple[ast.Name, bool]]:
    """Yield each mention of a name, and whether it is looked up only when a function is called."""
    if isinstance(node, ast.Name):
        yield node, later
    elif isinstance(node, ast.Lambda):
        yield from _each([node.args], later)
        yield from _each([node.body], True)
    elif isinstance(node, _FUNCTIONS):
        quoted = [each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)]
        yield from _each([*node.decorator_list, node.args], later)
        yield from _each([node.returns] if node.returns else [], later)
        yield from _each(_unquoted([*quoted, node.returns]), later)
        yield from _each(node.body, True)
    elif isinstance(node, ast.AnnAssign):
        yield from _each([node.annotation, *_unquoted([node.annotation])], later)
        yield from _each([node.target, *([node.value] if node.value else [])], later)
    else:
        yield from _each(list(ast.iter_child_nodes(node)), later)


def _each(nodes: Sequence[ast.AST], later: bool) -> Iterator[tuple[ast.Name, bool]]:
    for node in nodes:
        yield from _mentions(node, later)


def _unquoted(annotations: Iterable[ast.expr | None]) -> list[ast.AST]:
    """Return annotations in quotes, and quoted parts of others, as Python."""
    found: list[ast.AST] = []
    for annotation in annotations:
        for node in _uncalled(annotation) if annotation is not None else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                try:
                    found.append(ast.parse(node.value.strip(), mode="eval").body)
                except SyntaxError:
                    continue
    return found


def _uncalled(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and those in it, without arguments of calls, whose texts are only texts."""
    yield node
    if not isinstance(node, ast.Call):
        for child in ast.iter_child_nodes(node):
            yield from _uncalled(child)
