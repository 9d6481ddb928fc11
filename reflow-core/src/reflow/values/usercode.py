"""Which files are the user's own code, and which file an import leads to.

The user's own code is the flow file and the modules beside it: everything in the same directory
tree, but nothing installed there. A flow inside a package stands in the tree of the folder that
the package is imported from.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from reflow.values.syntax import Import

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_NEVER = (Path(os.path.realpath(os.__file__)).parent, Path(os.path.realpath(__file__)).parents[1])
_SUFFIXES = (".py", *EXTENSION_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the user's own."""

    file: Path | None
    """None for a folder without `__init__.py`."""
    folders: tuple[Path, ...] = ()
    """Where its submodules lie."""


class UserCode:
    """The user's own code around some of its files."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._trees = tuple(dict.fromkeys(_tree(file) for file in files))
        self._found: dict[str, Module | None] = {}

    def owns(self, file: Path) -> bool:
        """Whether that file, links resolved, is the user's own code."""
        if any(file.is_relative_to(folder) for folder in _NEVER):
            return False
        return any(
            file.is_relative_to(tree) and _INSTALLED.isdisjoint(file.relative_to(tree).parts)
            for tree in self._trees
        )

    def find(self, wanted: Import, importer: Path) -> Module | None:
        """The module that an import in a file names, if it is the user's own."""
        names = wanted.module.split(".") if wanted.module else []
        if wanted.level:
            folder = importer.parents[wanted.level - 1]
            start = folder / "__init__.py"
            module: Module | None = Module(start if start.is_file() else None, (folder,))
        else:
            module = self._top_level(names.pop(0))
        for name in names:
            module = module and self.submodule(module, name)
        return module

    def submodule(self, module: Module, name: str) -> Module | None:
        """A module inside a package."""
        for folder in module.folders:
            found = self._in_folder(folder, name)
            if found is not None:
                return found
        return None

    def loaded(self, file: Path) -> Mapping[str, Any]:
        """The globals of the module that was loaded from a file; empty when none was."""
        for module in self._modules_by_file.get((file.parent.name, file.name), []):
            if os.path.realpath(module["__file__"]) == str(file):
                return module
        return {}

    def _top_level(self, name: str) -> Module | None:
        if name not in self._found:
            self._found[name] = self._find_top_level(name)
        return self._found[name]

    def _find_top_level(self, name: str) -> Module | None:
        """A module by its first name, where Python finds it, else in the trees themselves."""
        try:
            spec = importlib.util.find_spec(name)
        except Exception:  # whatever finders raise; `__main__` has no spec
            spec = None
        if spec is not None:
            folders = tuple(_real(folder) for folder in spec.submodule_search_locations or ())
            file = _real(spec.origin) if spec.has_location and spec.origin else None
            if any(self.owns(place) for place in ([file] if file else folders)):
                return Module(file, folders)
            return None
        found = (self._in_folder(tree, name) for tree in self._trees)
        return next((module for module in found if module is not None), None)

    def _in_folder(self, folder: Path, name: str) -> Module | None:
        for suffix in _SUFFIXES:
            package = folder / name / f"__init__{suffix}"
            if package.is_file():
                return self._own(Module(_real(package), (folder / name,)))
        for suffix in _SUFFIXES:
            file = folder / f"{name}{suffix}"
            if file.is_file():
                return self._own(Module(_real(file)))
        return Module(None, (folder / name,)) if (folder / name).is_dir() else None

    def _own(self, module: Module) -> Module | None:
        return module if module.file is not None and self.owns(module.file) else None

    @cached_property
    def _modules_by_file(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", {})
            file = names.get("__file__")
            if isinstance(file, str):
                folder, _, name = file.rpartition(os.sep)
                found.setdefault((folder.rpartition(os.sep)[2], name), []).append(names)
        return found


def _tree(file: Path) -> Path:
    """The directory tree that a flow file stands in; the file alone if it is installed alone."""
    top, folder = file, file.parent
    while (folder / "__init__.py").is_file():
        top, folder = folder, folder.parent
    return top if folder.name in _INSTALLED else folder


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
