"""The fingerprint of a task's function: one digest, made of pieces.

It covers the function and, transitively, the functions, classes and constants that it names from
the user's own code (`ownership.py` defines that). Those enter by their syntax, without what does
not shape a result (`syntax.py`); functions made inside other functions also by the values they
close over. A top-level name that is plain data enters by its value, as this process sees it, unless
functions change it. Everything else enters by its name. What only shows while a program runs is not
seen: a module imported by `importlib`, a name assembled from text.

The digest is the same in every process that has loaded the same code and the same values, whatever
the module is called there. Where a file was edited after this process loaded it, the loaded code is
used, in its compiled form; no process that loads the new file arrives at the same digest.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from reflow.fingerprint.code.ownership import Ownership
from reflow.fingerprint.code.pieces import Pieces
from reflow.fingerprint.code.runtime import LoadedValues
from reflow.fingerprint.code.static import WrittenCode
from reflow.fingerprint.code.task_source import Definition, Given, TaskSource, Value
from reflow.fingerprint.code.user_code import UserCode


class Survey:
    """Examines the source of several functions, each piece of it once.

    Files are read when they are first needed, and not again until they are loaded anew. So create a
    survey early, right after loading a flow.
    """

    def __init__(
        self,
        functions: Iterable[Callable[..., Any]],
        flow_file: Path | None = None,
        own: Sequence[str] = (),
        foreign: Sequence[str] = (),
    ) -> None:
        """Prepare to examine functions; `own` and `foreign` are folders from the configuration.

        The flow's trees are the directory trees of its file and of the functions' files.
        """
        tasks = [_innermost(function) for function in functions]
        by_id = {id(task): task for task in tasks}
        files: dict[Path, Mapping[str, Any]] = {}
        for task in tasks:
            files.update(_file_of(task))
        around = [*files, _real(flow_file)] if flow_file else [*files]
        self._pieces = Pieces()
        self._ownership = Ownership(around, own, foreign)
        self._written = WrittenCode(
            self._pieces,
            UserCode(self._ownership),
            files,
            lambda value: by_id.get(id(_innermost(value))),
        )
        self._written.live = self._live = LoadedValues(self._pieces, self._written)

    @property
    def contents(self) -> dict[str, str]:
        """Digests of the files that were examined; empty for files that were not loaded so."""
        edited = self._written.edited
        return {
            str(file): "" if file in edited else digest
            for file, digest in self._written.contents.items()
        }

    def own_files(self, modules: Mapping[str, str]) -> dict[str, str]:
        """Return the user's own files the flow may need, links resolved, with their module names.

        These are the files that are loaded, by `modules`, or examined; of packages, all files.
        """
        own = {file: name for file, name in modules.items() if self._ownership.owns(Path(file))}
        own |= {str(file): "" for file in self._written.contents if str(file) not in own}
        packages = [
            Path(file).parent
            for file, name in own.items()
            if name and "." not in name and Path(file).name == "__init__.py"
        ]
        for package in packages:
            for file in package.rglob("*.py"):
                own.setdefault(str(file), "")
        return own

    def look_at(self, function: Callable[..., Any], ignore: Collection[str] = ()) -> TaskSource:
        """Return what a function is made of, without the top-level names in `ignore`.

        Functions without source are described by their compiled code.
        """
        root = self._live.value(function)
        self._pieces.complete()
        walk = self._pieces.walk(root, _innermost(function), ignore)
        return TaskSource(
            walk.digest,
            tuple(
                Definition(str(label.file), label.name, label.kind, digest)
                for label, digest in walk.definitions()
            ),
            tuple(
                Value(str(label.file), label.name, value.digest, value.shown, statements)
                for label, value, statements in walk.values()
            ),
            (
                *(
                    Given(name, found, shown)
                    for name, (found, shown) in self._live.given_to(function).items()
                ),
                *(
                    Given(name, found, shown, str(label.file), label.name)
                    for label, name, found, shown in walk.given()
                ),
            ),
        )


def _file_of(innermost: object) -> dict[Path, Mapping[str, Any]]:
    """Return the file that a function comes from, with its module's globals."""
    if type(innermost) is not FunctionType:
        return {}
    path = _real(innermost.__code__.co_filename)
    module_file = innermost.__globals__.get("__file__")
    is_module = isinstance(module_file, str) and _real(module_file) == path
    return {path: innermost.__globals__ if is_module else {}}


def _innermost(function: Any) -> object:
    """Return the function inside all wrappers."""
    try:
        return inspect.unwrap(function)
    except Exception:  # wrappers in a circle, objects that raise anything when asked
        return function


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
