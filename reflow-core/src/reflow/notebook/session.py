"""What an IPython session knows: the names that its cells have set, and the cells."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType
from typing import Any

from reflow.fingerprint.code.bytecode import describe_code

SUFFIX = ".cells"
"""The ending of the path of a module written from cells; no file has that path."""
_RUN_THEIR_BODY = frozenset({"capture", "prun", "time"})
"""Magics that run the rest of their cell as Python in the notebook's own namespace."""
_FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """The Python of a cell that was run, magics as calls of `get_ipython()`."""

    number: int
    """The number in `In[...]`."""
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """Its lines, without their ends."""
        return self.text.splitlines()

    def compiles_to(self, code: CodeType) -> bool:
        """Tell whether a function of this code was compiled from this cell."""
        place = code.co_qualname, code.co_firstlineno
        return any(
            same_code(code, other)
            for other in self._codes
            if (other.co_qualname, other.co_firstlineno) == place
        )

    @property
    def _codes(self) -> Iterator[CodeType]:
        """Yield the code of all functions in it, however IPython compiled it.

        Statements one by one, and under magics as a whole: if the same piece imports a module, its
        functions are called in another way.
        """
        for tree in (*(ast.Module([node], []) for node in self.tree.body), self.tree):
            with suppress(SyntaxError):  # of a cell that failed, therefore
                yield from _codes_in(compile(tree, "", "exec", _FLAGS, dont_inherit=True))


class Session:
    """A running IPython session, of a notebook or of a terminal."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.names: Mapping[str, Any] = shell.user_ns
        """What its cells have set, as it is now."""
        self.hidden: Mapping[str, Any] = shell.user_ns_hidden
        """What IPython itself has set."""
        self._cells_by_code: dict[CodeType, Cell | None] = {}

    @cached_property
    def cells(self) -> list[Cell]:
        """Its cells in the order in which they ran, those that failed among them."""
        texts = enumerate(self._shell.history_manager.input_hist_parsed)
        return [cell for number, text in texts for cell in self._cells(number, text)]

    def cells_of(self, file: str) -> Iterator[Cell]:
        """Yield cells that a code object's file name may stand for, the likeliest first."""
        text = "" if Path(file).is_file() else "".join(linecache.getlines(file))
        if text:
            known = [cell for cell in reversed(self.cells) if cell.text.strip() == text.strip()]
            yield from known or self._cells(0, text)
        elif file.startswith("<"):
            # `%%time` compiles the rest of its cell under a name that says nothing.
            yield from reversed(self.cells)

    def cell_of(self, code: CodeType) -> Cell | None:
        """Return the cell that a function of this code was compiled from."""
        if code not in self._cells_by_code:
            found = (each for each in self.cells_of(code.co_filename) if each.compiles_to(code))
            self._cells_by_code[code] = next(found, None)
        return self._cells_by_code[code]

    def _cells(self, number: int, text: str) -> list[Cell]:
        """Return a cell, or what a magic around it runs; nothing for what is not Python."""
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return []
        body = _body_of_magic(tree)
        if body is None:
            return [Cell(number, text, tree)]
        return self._cells(number, self._shell.transform_cell(body))

    @property
    def path(self) -> Path:
        """The path of a module written from the cells: beside the notebook, and on no disk."""
        name = self.names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or ""
        notebook = Path(str(name))
        folder = Path(os.path.abspath(getattr(self._shell, "starting_dir", ".")))  # noqa: PTH100
        if notebook.is_absolute() and notebook.parent.is_dir():
            folder = notebook.parent
        if notebook.suffix != ".ipynb":
            is_kernel = hasattr(self._shell, "kernel")
            notebook = Path("notebook" if is_kernel else "ipython")
        return folder / f"{notebook.name}{SUFFIX}"


def current_session() -> Session | None:
    """Return the IPython session of this process, if it is one."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if shell is None else Session(shell)


def is_of_cells(path: object) -> bool:
    """Tell whether the path of a flow is that of a module written from cells."""
    return isinstance(path, str) and path.endswith(SUFFIX)


def same_code(one: CodeType, other: CodeType) -> bool:
    """Tell whether two functions do the same, if they were compiled in the same surroundings."""
    return describe_code(_without_futures(one)) == describe_code(_without_futures(other))


def _without_futures(code: CodeType) -> CodeType:
    """Return code without what `from __future__` left in it, which other cells may have done."""
    constants = [
        _without_futures(each) if isinstance(each, CodeType) else each for each in code.co_consts
    ]
    return code.replace(co_flags=code.co_flags & 0xFFFF, co_consts=tuple(constants))


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each
            yield from _codes_in(each)


def _body_of_magic(tree: ast.Module) -> str | None:
    """Return what `%%time` and the like run, of a cell that is nothing else."""
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    call = tree.body[0].value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    given = [each.value if isinstance(each, ast.Constant) else None for each in call.args]
    if call.func.attr != "run_cell_magic" or len(given) != 3 or given[0] not in _RUN_THEIR_BODY:
        return None
    return given[2] if isinstance(given[2], str) else None
