"""A piece of a syntax tree as text that says what the code does, and the names it uses.

Left out are positions, comments, formatting (the tree has none), docstrings and other statements
that are mere constants, `pass`, and what tells reflow how to run a task but does not shape its
result: the `@wf.job(...)` decorator, and the `Param`, `Result` and `RunDir` markers.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from typing import TypeAlias

Chain: TypeAlias = tuple[str, ...]
"""A name and the attributes taken from it: `np.linalg.norm` is `("np", "linalg", "norm")`."""

_NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
_TASK_DECORATORS = frozenset({"job", "array_job"})
_MARKERS = frozenset({"Param", "Result", "RunDir"})


@dataclass(frozen=True, slots=True)
class Import:
    """One name that an import statement binds."""

    module: str
    attribute: str | None
    """What is taken from the module; None for the module itself, `*` for all of it."""
    level: int = 0
    """Number of leading dots."""
    for_types: bool = False
    """Made for type checkers only, so that it does not happen when the program runs."""


@dataclass(slots=True)
class Description:
    """The text of a piece of code, and the names it uses."""

    text: str = ""
    uses: set[Chain] = field(default_factory=set)
    """Names of the module's that it uses."""
    local_uses: set[Chain] = field(default_factory=set)
    """Names of its own, or of a function around it."""
    imports: dict[str, list[Import]] = field(default_factory=dict)
    """By the name bound, the imports made inside it."""


def describe(
    node: ast.AST,
    local_names: Set[ast.Name],
    is_reflows: Callable[[Chain], bool],
    is_task_decorator: Callable[[Chain], bool],
) -> Description:
    """Describe a statement or a lambda.

    `local_names` are the mentions of names that do not lead to the module's. `is_reflows` tells
    whether a name was imported from reflow, `is_task_decorator` whether an object with a `job`
    attribute may be a workflow or flow.
    """
    writer = _Writer(local_names, is_reflows, is_task_decorator)
    writer.description.text = writer.write(node)
    return writer.description


def chain_of(node: ast.AST) -> Chain | None:
    """Return the name and attributes that an expression spells; None for any other expression."""
    attributes: list[str] = []
    while isinstance(node, ast.Attribute):
        attributes.append(node.attr)
        node = node.value
    return (node.id, *reversed(attributes)) if isinstance(node, ast.Name) else None


def imports_of(
    node: ast.Import | ast.ImportFrom, *, for_types: bool = False
) -> Iterator[tuple[str, Import]]:
    """Yield the names that an import statement binds, and what they are bound to."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            bound = alias.asname or alias.name
            yield bound, Import(node.module or "", alias.name, node.level, for_types)
        elif alias.asname:
            yield alias.asname, Import(alias.name, None, 0, for_types)
        else:
            top = alias.name.partition(".")[0]
            yield top, Import(top, None, 0, for_types)


class _Writer:
    """Writes one tree as text, and records names on the way."""

    def __init__(
        self,
        local_names: Set[ast.Name],
        is_reflows: Callable[[Chain], bool],
        is_task_decorator: Callable[[Chain], bool],
    ) -> None:
        self.description = Description()
        self._local_names = local_names
        self._is_reflows = is_reflows
        self._is_task_decorator = is_task_decorator

    def write(self, node: object) -> str:
        if isinstance(node, list):
            return f"[{','.join(self.write(item) for item in _meaningful(node))}]"
        if not isinstance(node, ast.AST):
            return _constant(node)
        special = getattr(self, f"_{type(node).__name__}", None)
        return special(node) if special else self._plain(node)

    def _plain(self, node: ast.AST, **replaced: str) -> str:
        written = {
            name: replaced[name] if name in replaced else self.write(value)
            for name, value in ast.iter_fields(node)
            if name not in _NO_MEANING and (name in replaced or (value is not None and value != []))
        }
        return f"{type(node).__name__}({','.join(f'{k}={v}' for k, v in written.items())})"

    def _annotation(self, node: ast.expr | None) -> str:
        """Write an annotation; a quoted one like an unquoted one."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value.strip(), mode="eval").body
            except SyntaxError:
                return self.write(node)
        return self.write(node)

    def _FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:  # noqa: N802
        decorators = [item for item in node.decorator_list if not self._is_wf_job(item)]
        return self._plain(
            node, decorator_list=self.write(decorators), returns=self._annotation(node.returns)
        )

    _AsyncFunctionDef = _FunctionDef

    def _arg(self, node: ast.arg) -> str:
        return self._plain(node, annotation=self._annotation(node.annotation))

    def _AnnAssign(self, node: ast.AnnAssign) -> str:  # noqa: N802
        return self._plain(node, annotation=self._annotation(node.annotation))

    def _Subscript(self, node: ast.Subscript) -> str:  # noqa: N802
        """Write `Annotated[T, Result(...)]` as `T`, and other subscripts as they are."""
        base = chain_of(node.value)
        if base and base[-1] == "Annotated" and isinstance(node.slice, ast.Tuple):
            kept = [item for item in node.slice.elts if not self._is_marker(item)]
            if len(kept) == 1:
                return self._annotation(kept[0])
            return self._plain(node, slice=self.write(kept))
        return self._plain(node)

    def _Call(self, node: ast.Call) -> str:  # noqa: N802
        if self._is_marker(node):
            return f"Call(func={self.write(node.func)})"
        return self._plain(node)

    def _Attribute(self, node: ast.Attribute) -> str:  # noqa: N802
        chain = chain_of(node)
        if chain is None:
            return self._plain(node)
        self._note(chain, node)
        return f"Chain({'.'.join(chain)})"

    def _Name(self, node: ast.Name) -> str:  # noqa: N802
        self._note((node.id,), node)
        return f"Chain({node.id})"

    def _note(self, chain: Chain, node: ast.expr) -> None:
        """Record that a name is used, with the attributes taken from it."""
        while isinstance(node, ast.Attribute):
            node = node.value
        is_local = node in self._local_names
        (self.description.local_uses if is_local else self.description.uses).add(chain)

    def _Import(self, node: ast.Import | ast.ImportFrom) -> str:  # noqa: N802
        for name, found in imports_of(node):
            self.description.imports.setdefault(name, []).append(found)
        return self._plain(node)

    _ImportFrom = _Import

    def _is_marker(self, node: ast.expr) -> bool:
        """Tell whether a node is reflow's `Param`, `Result` or `RunDir`, called or bare."""
        chain = chain_of(node.func if isinstance(node, ast.Call) else node)
        return chain is not None and chain[-1] in _MARKERS and self._is_reflows(chain)

    def _is_wf_job(self, node: ast.expr) -> bool:
        chain = chain_of(node.func if isinstance(node, ast.Call) else node)
        return (
            chain is not None
            and len(chain) > 1
            and chain[-1] in _TASK_DECORATORS
            and self._is_task_decorator(chain[:-1])
        )


def _meaningful(nodes: Iterable[object]) -> Iterator[object]:
    for node in nodes:
        if isinstance(node, ast.Pass):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        yield node


def _constant(value: object) -> str:
    """Write a constant with its type; integers in hexadecimal, which has no limit of digits."""
    return hex(value) if type(value) is int else repr(value)
