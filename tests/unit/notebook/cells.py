"""A session whose cells are run here, one statement after the other, as IPython does."""

from __future__ import annotations

import ast
import linecache
from pathlib import Path
from textwrap import dedent
from types import ModuleType, SimpleNamespace
from typing import Any

from reflow.execution.flow_loading import Workflow
from reflow.notebook.loading import load_cells
from reflow.notebook.module import written
from reflow.notebook.session import Session


class Cells:
    """Cells and the names that they have set."""

    def __init__(self, folder: Path, *cells: str) -> None:
        self.names: dict[str, Any] = ModuleType("__main__").__dict__
        self.history = [""]
        self._folder = folder
        shell = SimpleNamespace(
            user_ns=self.names,
            user_ns_hidden={},
            history_manager=SimpleNamespace(input_hist_parsed=self.history),
            starting_dir=str(folder),
        )
        self._shell = shell
        for cell in cells:
            self.run(cell)

    def run(self, cell: str) -> None:
        """Run a cell."""
        text = dedent(cell).strip("\n") + "\n"
        self.history.append(text)
        file = f"/nowhere/ipykernel_1/{hash(text)}.py"
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        for node in ast.parse(text).body:
            exec(compile(ast.Module([node], []), file, "exec", dont_inherit=True), self.names)

    @property
    def session(self) -> Session:
        """The session as it is now."""
        return Session(self._shell)

    def module(self) -> str:
        """The module that is written for the workflow `wf`."""
        return written(self.session, self.names["wf"]).text

    def load(self) -> Workflow:
        """The workflow `wf` as other processes load it."""
        return load_cells(self.session, self.names["wf"], str(self._folder / "book.cells"))
