"""A Python file: what it defines at its top level, and whether that is what was loaded."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.util import decode_source
from pathlib import Path
from types import CodeType
from typing import Any

from reflow.fingerprint.code.bytecode import describe_code
from reflow.fingerprint.code.changes import changed_by_functions, changed_by_methods
from reflow.fingerprint.code.literals import literals_in
from reflow.fingerprint.code.scopes import Function, bound_by, local_names
from reflow.fingerprint.code.syntax import (
    Chain,
    Description,
    Import,
    chain_of,
    describe,
    imports_of,
)
from reflow.model.canonical import digest

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_BLOCKS = (ast.If, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)
_MAY_CHANGE = (ast.Expr, *_LOOPS, *_BLOCKS)
_SCOPES = (*_DEFINITIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_MOST_WRAPPERS = 50  # around one function; more means an object that answers to any name
_UNCHANGING = (str, bytes, int, float, complex, bool, type(None), type(...))


class SourceFile:
    """The syntax of a file as it was when it was read, indexed by top-level name.

    Raises what compiling raises: `SyntaxError`, `ValueError`.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.digest = digest(content)
        self.content = decode_source(content)
        self.stars: list[Import] = []
        """Modules of which it imports everything."""
        self._imports: dict[str, list[Import]] = {}
        self._bindings: dict[str, list[ast.stmt]] = {}
        self._changes: dict[str, list[ast.stmt]] = {}  # `NAME.x = 1`, `NAME[0] = 1`, `NAME.add(1)`
        self._mentions: dict[str, list[ast.stmt]] = {}  # other statements that may change it
        self._tree = ast.parse(self.content, str(path))
        self._codes = _codes_in(compile(self.content, str(path), "exec", dont_inherit=True))
        self._locals = local_names(self._tree)
        for statement in _run_on_import(self._tree.body):
            self._index(statement)

    # -- what stands in it ---------------------------------------------------------------------
    def binds(self, name: str) -> bool:
        """Tell whether the top level binds that name, other than by an import."""
        return name in self._bindings

    def imports(self, name: str) -> list[Import]:
        """Return the imports that bind a name at the top level."""
        return self._imports.get(name, [])

    def only_defines(self, name: str) -> bool:
        """Tell whether nothing but `def` and `class` binds that name."""
        binding = self._bindings.get(name, [])
        return bool(binding) and all(isinstance(item, _DEFINITIONS) for item in binding)

    def kind(self, name: str) -> str:
        """Return what binds that name: a `function`, a `class`, or else a `constant`."""
        if not self.only_defines(name):
            return "constant"
        is_class = isinstance(self._bindings[name][-1], ast.ClassDef)
        return "class" if is_class else "function"

    def is_changed_by_functions(self, name: str) -> bool:
        """Tell whether functions rebind that name, or change its object in place."""
        return name in self._changed_by_functions

    @cached_property
    def _changed_by_functions(self) -> set[str]:
        return {chain[0] for chain in self.changed_by_functions(self._tree)}

    def changed_by_functions(self, node: ast.AST) -> set[Chain]:
        """Return the module's names, with attributes, that functions in `node` change."""
        return changed_by_functions(node, self._locals)

    def statements(self, name: str) -> list[ast.stmt]:
        """Return the top-level statements that make a name, in order, without imports."""
        binding = self._bindings.get(name, [])
        if binding and all(map(self._stays_as_bound, binding)):
            return binding
        found = [*binding, *self._changes.get(name, [])]
        if binding and not self.only_defines(name):
            found += self._mentions.get(name, [])
        return sorted(dict.fromkeys(found), key=lambda statement: statement.lineno)

    def literals_in(self, name: str) -> dict[str, Any]:
        """Return literals in the class or function of that name, by the names of its parts."""
        return {
            part: value
            for definition in self._bindings.get(name, [])
            for part, value in literals_in(definition)
        }

    def changed_by_methods(self, name: str) -> set[str]:
        """Return class attributes that its methods change, other than those of an object."""
        return {each for node in self._bindings.get(name, []) for each in changed_by_methods(node)}

    def _stays_as_bound(self, statement: ast.stmt) -> bool:
        """Tell whether nothing later changes what a statement binds, as far as results go."""
        if _is_unchanging(statement):
            return True
        made_by = _called(statement)
        return made_by is not None and self.is_reflows(made_by)  # `wf = Workflow(...)`

    def all_statements(self) -> list[ast.stmt]:
        """Return everything that is run on import, except imports."""
        return [
            statement
            for statement in _run_on_import(self._tree.body)
            if not isinstance(statement, (ast.Import, ast.ImportFrom))
        ]

    def describe(self, node: ast.AST, loaded: Mapping[str, Any]) -> tuple[Description, set[Chain]]:
        """Describe a top-level or nested piece of the file, with the outer names that it uses."""
        description = describe(
            node, self._locals, self.is_reflows, lambda chain: _may_be_a_flow(chain, loaded)
        )
        inner = {chain for chain in description.local_uses if chain[0] in description.imports}
        return description, description.uses | inner

    def is_reflows(self, chain: Chain) -> bool:
        """Tell whether a name was imported from reflow."""
        found = self.imports(chain[0])
        if not found and not self.binds(chain[0]):
            found = self.stars
        return any(item.module.partition(".")[0] == "reflow" for item in found)

    # -- what was loaded from it -----------------------------------------------------------------
    def holds(self, code: CodeType) -> bool:
        """Tell whether a function that was loaded is the one in the file."""
        return bool(self._places(code))

    def find(self, code: CodeType) -> Function | None:
        """Return the function or lambda that a code was compiled from; None if that is unclear."""
        lines = self._places(code)
        found = [
            node
            for node in ast.walk(self._tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            and getattr(node, "name", "<lambda>") == code.co_name
            and _first_line(node) in lines
        ]
        return found[0] if len(found) == 1 else None

    def which(self, name: str, code: CodeType) -> int | None:
        """Return which of several definitions a function was compiled from, as by `if` and `else`.

        None where there is only one, or where it makes no difference.
        """
        nodes = [
            node
            for statement in self._bindings.get(name, [])
            for node in ast.walk(statement)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        ]
        found = self.find(code) if len(nodes) > 1 else None
        return nodes.index(found) if found in nodes else None

    def agrees(self, name: str, loaded: object) -> bool:
        """Tell whether a top-level value that was loaded is what the file says now.

        Functions and methods are compared with the file's, and names bound once to a literal.
        Anything else is assumed to be as the file says.
        """
        if issubclass(type(loaded), type):
            return all(self._agrees_on_function(member) for member in vars(loaded).values())
        if callable(loaded):
            return self._agrees_on_function(loaded) and not self._is_replaced(name, loaded)
        literal = self._literal(name)
        return literal is None or (type(literal[0]) is type(loaded) and literal[0] == loaded)

    def _agrees_on_function(self, loaded: object) -> bool:
        for _ in range(_MOST_WRAPPERS):
            loaded = _attribute(loaded, "__func__") or _attribute(loaded, "fget") or loaded
            code = _attribute(loaded, "__code__")
            if isinstance(code, CodeType) and self._is_of_this_file(code) and not self.holds(code):
                return False
            loaded = _attribute(loaded, "__wrapped__")
            if loaded is None:
                break
        return True

    def _is_replaced(self, name: str, loaded: object) -> bool:
        """Tell whether the file has a function without decorators, and memory another object."""
        if not all(_is_undecorated_function(item) for item in self._bindings.get(name, [None])):
            return False
        code = _attribute(loaded, "__code__")
        return not (isinstance(code, CodeType) and self._is_of_this_file(code))

    def _is_of_this_file(self, code: CodeType) -> bool:
        return str(self.path) in (code.co_filename, os.path.realpath(code.co_filename))

    def _literal(self, name: str) -> tuple[Any] | None:
        binding = self._bindings.get(name, [])
        if len(binding) != 1 or not _is_unchanging(binding[0]) or name in self._rebound:
            return None
        value = getattr(binding[0], "value", None)
        return (ast.literal_eval(value),) if isinstance(value, ast.expr) else None

    def _places(self, code: CodeType) -> set[int]:
        """Return first lines of code that compiled to the same as this, under the same name."""
        wanted = describe_code(code)
        return {
            other.co_firstlineno
            for other in self._codes.get(code.co_qualname, [])
            if describe_code(other) == wanted
        }

    @cached_property
    def _rebound(self) -> set[str]:
        """Names that functions may set."""
        return {
            name
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Global)
            for name in node.names
        }

    # -- the index -------------------------------------------------------------------------------
    def _index(self, statement: ast.stmt) -> None:
        for node in _top_level_nodes(statement):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, found in imports_of(node, for_types=_is_for_types(statement)):
                    if found.attribute == "*":
                        self.stars.append(found)
                    else:
                        self._imports.setdefault(name, []).append(found)
            elif isinstance(node, _DEFINITIONS):
                self._note(self._bindings, node.name, statement)
                for decorator in node.decorator_list:
                    self._note_change(decorator, statement)
            elif isinstance(node, ast.Name):
                if not isinstance(node.ctx, ast.Load):
                    self._note(self._bindings, node.id, statement)
                elif isinstance(statement, _MAY_CHANGE):
                    self._note(self._mentions, node.id, statement)
            elif isinstance(node, (ast.Attribute, ast.Subscript)):
                if not isinstance(node.ctx, ast.Load):
                    self._note_change(node, statement)
            elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.MatchMapping):
                for name in bound_by(node):
                    self._note(self._bindings, name, statement)
            elif isinstance(node, ast.Expr):
                self._note_change(node.value, statement)

    def _note_change(self, node: ast.AST, statement: ast.stmt) -> None:
        """Record that a statement may change the object at the root of an expression."""
        depth = 0
        while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
            depth += not isinstance(node, ast.Call)
            node = node.func if isinstance(node, ast.Call) else node.value
        if depth and isinstance(node, ast.Name):
            self._note(self._changes, node.id, statement)

    def _note(self, index: dict[str, list[ast.stmt]], name: str, statement: ast.stmt) -> None:
        index.setdefault(name, []).append(statement)


def _codes_in(module: CodeType) -> dict[str, list[CodeType]]:
    """Return all code in a file by qualified name."""
    codes: dict[str, list[CodeType]] = {}
    waiting = [module]
    while waiting:
        code = waiting.pop()
        codes.setdefault(code.co_qualname, []).append(code)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return codes


def _first_line(node: Function) -> int:
    """Return the line where a function's code begins: at its first decorator."""
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _is_undecorated_function(statement: ast.stmt | None) -> bool:
    return (
        isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef))
        and not statement.decorator_list
    )


def _attribute(value: object, name: str) -> Any:
    """Return an attribute, or None; objects may raise any exception when asked."""
    try:
        return getattr(value, name, None)
    except Exception:
        return None


def _may_be_a_flow(chain: Chain, loaded: Mapping[str, Any]) -> bool:
    """Tell whether a name may be a workflow or flow, by a look at the loaded value."""
    if chain[0] not in loaded:
        return True
    value = loaded[chain[0]]
    for name in chain[1:]:
        value = _attribute(value, name)
    return any(base.__module__.partition(".")[0] == "reflow" for base in type(value).__mro__)


def _run_on_import(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield top-level statements, without bare constants and what only the script itself runs."""
    for statement in statements:
        if isinstance(statement, ast.If) and _is_main_guard(statement.test):
            yield from _run_on_import(statement.orelse)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            yield statement


def _is_for_types(statement: ast.stmt) -> bool:
    """Tell whether a statement is `if TYPE_CHECKING:`."""
    test = chain_of(statement.test) if isinstance(statement, ast.If) else None
    return test is not None and test[-1] == "TYPE_CHECKING"


def _is_main_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        chain_of(side) == ("__name__",) for side in (test.left, *test.comparators)
    )


def _top_level_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that are evaluated in the module's own scope, roughly."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _SCOPES):
            waiting += ast.iter_child_nodes(node)


def _called(statement: ast.stmt) -> Chain | None:
    """Return what is called by a statement of the form `name = called(...)`."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
        return chain_of(statement.value.func)
    return None


def _is_unchanging(statement: ast.stmt) -> bool:
    """Tell whether a statement binds names to a literal that nothing can change."""
    if isinstance(statement, ast.Assign):
        if not all(isinstance(target, ast.Name) for target in statement.targets):
            return False
    elif not isinstance(statement, ast.AnnAssign):
        return False
    if statement.value is None:
        return False
    try:
        return _is_frozen(ast.literal_eval(statement.value))
    except ValueError:
        return False


def _is_frozen(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_frozen, value))
    return isinstance(value, _UNCHANGING)
