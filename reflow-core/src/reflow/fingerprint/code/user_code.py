"""Finding the file of the user's own code that an import leads to."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from reflow.fingerprint.code.ownership import Ownership
from reflow.fingerprint.code.syntax import Import

_SUFFIXES = (".py", *EXTENSION_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the user's own."""

    file: Path | None
    """None for a folder without `__init__.py`."""
    folders: tuple[Path, ...] = ()
    """Where its submodules lie."""
    name: str = ""
    """Its full name, where the import that leads to it says it."""


class UserCode:
    """Finds the modules that are the user's own."""

    def __init__(self, ownership: Ownership) -> None:
        self.owns = ownership.owns
        self._ownership = ownership
        self._found: dict[str, Module | None] = {}

    def find(self, wanted: Import, importer: Path) -> Module | None:
        """Return the module that an import in a file names, if it is the user's own."""
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
        """Return a module inside a package."""
        for folder in module.folders:
            found = self._in_folder(folder, name)
            if found is not None:
                return replace(found, name=f"{module.name}.{name}" if module.name else "")
        # Finders of editable installs may put it where its package does not lie.
        return self._found_by_name(f"{module.name}.{name}") if module.name in sys.modules else None

    def loaded(self, file: Path) -> Mapping[str, Any]:
        """Return the globals of the module that was loaded from a file; empty when none was."""
        for module in self._modules_by_file.get((file.parent.name, file.name), []):
            if os.path.realpath(module["__file__"]) == str(file):
                return module
        return {}

    def _top_level(self, name: str) -> Module | None:
        if name not in self._found:
            self._found[name] = self._find_top_level(name)
        return self._found[name]

    def _find_top_level(self, name: str) -> Module | None:
        """Find a module by its first name: where Python finds it, else in the trees."""
        try:
            is_known = importlib.util.find_spec(name) is not None
        except Exception:  # whatever finders raise; `__main__` has no spec
            is_known = False
        if is_known:
            return self._found_by_name(name)
        found = (self._in_folder(tree, name) for tree in self._ownership.trees)
        return next((module for module in found if module is not None), None)

    def _found_by_name(self, name: str) -> Module | None:
        """Find a module where Python does; its parent packages must have been imported."""
        try:
            spec = importlib.util.find_spec(name)
        except Exception:
            return None
        if spec is None:
            return None
        folders = tuple(_real(folder) for folder in spec.submodule_search_locations or ())
        file = _real(spec.origin) if spec.has_location and spec.origin else None
        is_own = self.owns(file) if file else any(map(self._ownership.owns_folder, folders))
        return Module(file, folders, name) if is_own else None

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


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))
