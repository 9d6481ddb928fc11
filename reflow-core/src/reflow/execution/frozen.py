"""The user's own code as it was at submission, for processes that run its tasks.

Jobs may start hours after submission, when the user has long edited the files. So the modules of
the user's own code are copied into one archive, `.reflow/source/DIGEST.zip`, that all runs of a run
directory share (`source_archive.py` writes it). An import finder, first in `sys.meta_path`, loads
modules from the archive, while they keep the names, files and neighbours that they have on the
disk; a module that is not in the archive is imported from its place. Processes that tasks start
with multiprocessing, joblib or loky are made to use the same archive.
"""

from __future__ import annotations

import json
import linecache
import marshal
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    ExtensionFileLoader,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from importlib.util import MAGIC_NUMBER, decode_source, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from zipimport import zipimporter

from reflow.rundir.layout import SOURCE_INDEX

MAIN = "reflow.execution.frozen_main"
"""The main module of processes that a task starts, as multiprocessing looks for it."""
LOKY = frozenset({"loky.backend.spawn", "joblib.externals.loky.backend.spawn"})
"""The module that decides what processes of joblib's own backend are given."""
ARCHIVE_VARIABLE, SCRIPT_VARIABLE = "REFLOW_SOURCE_COPY", "REFLOW_SOURCE_SCRIPT"

_active: list[Copy] = []


class Copy:
    """An archive of modules."""

    def __init__(self, archive: Path) -> None:
        """Open an archive. Raises `ImportError` or `OSError` for any file that is not a copy."""
        self.archive = archive
        self._importer = zipimporter(str(archive))
        index = json.loads(self._read(SOURCE_INDEX))
        self.python: str = index["python"]
        """The version of Python that it was made with."""
        self._entries: dict[str, str] = index["files"]
        """By the file's place, links resolved, the entry that holds it."""
        self._names: dict[str, str] = index["names"]
        """Places of modules by the full names that they were imported under."""
        self._compiled = set(index["compiled"]) if index["magic"] == MAGIC_NUMBER.hex() else set()
        self.folders = {folder for file in self._entries for folder in _folders_of(file)}

    @property
    def files(self) -> Iterable[str]:
        """The places of all modules in it."""
        return self._entries

    def place(self, file: str) -> str | None:
        """Return a file's name in the index, if the copy has it."""
        folder, name = os.path.split(file)
        place = os.path.join(_real(folder), name)  # noqa: PTH118
        return place if place in self._entries else None

    def named(self, module: str) -> str | None:
        """Return the place of a module that was imported under that name."""
        return self._names.get(module)

    def source(self, place: str) -> bytes:
        """Return the source of a module."""
        return self._read(self._entries[place])

    def code(self, place: str, file: str) -> CodeType:
        """Return the code of a module."""
        entry = self._entries[place]
        if entry in self._compiled:
            code: CodeType = marshal.loads(self._read(f"{entry}.code"))  # noqa: S302 - as trusted as the text
            return code
        return compile(self.source(place), file, "exec", dont_inherit=True)

    def extension(self, place: str) -> Path:
        """Return where a compiled module lies, which cannot be loaded out of an archive."""
        return self.archive.with_suffix(".d") / self._entries[place]

    def _read(self, entry: str) -> bytes:
        return self._importer.get_data(str(self.archive / entry))


class _CopyLoader(SourceFileLoader):
    """Loads a module out of a copy, as if from its file."""

    def __init__(self, name: str, file: str, copy: Copy, place: str) -> None:
        super().__init__(name, file)
        self._copy = copy
        self._place = place

    def get_code(self, fullname: str) -> CodeType:
        text = decode_source(self.get_data(self.path))
        # Without a time it is never compared with the file, which may have been edited.
        linecache.cache[self.path] = (len(text), None, text.splitlines(keepends=True), self.path)
        return self._copy.code(self._place, self.path)

    def get_data(self, path: str) -> bytes:
        return self._copy.source(self._place) if path == self.path else super().get_data(path)


class _ExtensionLoader(ExtensionFileLoader):
    """Loads a compiled module from the copy, as if from its file."""

    def __init__(self, name: str, file: str, copied: Path) -> None:
        super().__init__(name, file)
        self._copied = str(copied)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        spec.origin = self._copied
        try:
            return super().create_module(spec)
        finally:
            spec.origin = self.path

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.path
        super().exec_module(module)


class _LokyLoader(SourceFileLoader):
    """Loads the module by which joblib and loky start processes.

    By default both leave out the main module, where functions that a task passes may be defined.
    """

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        prepared = getattr(module, "get_preparation_data", None)
        if prepared is not None:
            module.get_preparation_data = lambda name, init_main_module=True: prepared(name)  # type: ignore[attr-defined]


class CopyFinder:
    """Finds modules in a copy, in the places where Python looks for them."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Return the module's spec, if the copy has it."""
        if fullname in LOKY:
            return _loky_spec(fullname, path)
        known = self._copy.named(fullname)
        if path is None and known is None and fullname in sys.stdlib_module_names:
            return None
        tail = fullname.rpartition(".")[2]
        folders = sys.path if path is None else path
        for file in self._candidates(folders, tail):
            place = self._copy.place(file)
            if place is not None and (path is not None or known in (None, place)):
                return self._spec(fullname, file, place)
        if known is not None:
            return self._spec(fullname, known, known)
        return self._namespace(fullname, folders, tail)

    def _candidates(self, folders: Sequence[str], tail: str) -> Iterator[str]:
        for folder in folders:
            folder = folder or os.getcwd()  # noqa: PTH109
            base = f"{folder}{os.sep}{tail}"
            if _real(folder) in self._copy.folders:
                yield f"{base}{os.sep}__init__.py"
                yield from (f"{base}{suffix}" for suffix in (*EXTENSION_SUFFIXES, ".py"))

    def _spec(self, fullname: str, file: str, place: str) -> ModuleSpec | None:
        loader = loader_of(fullname, file, place, self._copy)
        is_package = os.path.basename(file).startswith("__init__.")  # noqa: PTH119
        folders = [os.path.dirname(file)] if is_package else None  # noqa: PTH120
        return spec_from_file_location(
            fullname, file, loader=loader, submodule_search_locations=folders
        )

    def _namespace(self, fullname: str, folders: Sequence[str], tail: str) -> ModuleSpec | None:
        """Return the spec of a folder without `__init__.py` that is no longer on the disk."""
        places = [f"{folder}{os.sep}{tail}" for folder in folders]
        found = [place for place in places if _real(place) in self._copy.folders]
        if not found or any(map(os.path.isdir, places)):
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = found
        return spec


def _loky_spec(fullname: str, path: Sequence[str] | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(fullname, path)
    if spec is not None and isinstance(spec.loader, SourceFileLoader):
        spec.loader = _LokyLoader(fullname, spec.loader.path)
    return spec


def loader_of(name: str, file: str, place: str, copy: Copy) -> Any:
    """Return the loader of a module in a copy."""
    if file.endswith(tuple(EXTENSION_SUFFIXES)):
        return _ExtensionLoader(name, file, copy.extension(place))
    return _CopyLoader(name, file, copy, place)


def script_loader(name: str, path: Path) -> SourceFileLoader | None:
    """Return the loader of a flow's file: from the copy in use, or from the disk.

    A loader by name: without one, only files called `.py` would be taken for Python.
    """
    for copy in _active:
        place = copy.place(str(path))
        if place is not None:
            return _CopyLoader(name, str(path), copy, place)
    return SourceFileLoader(name, str(path)) if path.is_file() else None


def use_copy(archive: Path) -> None:
    """Import the user's own code from a copy from now on."""
    if any(copy.archive == archive for copy in _active):
        return
    copy = Copy(archive)
    _active.insert(0, copy)
    sys.meta_path.insert(0, CopyFinder(copy))


def other_python() -> str:
    """Describe how this Python differs from the one that made the copy in use; empty if not."""
    import platform  # not for every worker

    here = platform.python_version()
    if not _active or _active[0].python == here:
        return ""
    return f"submitted with Python {_active[0].python}, and this is {here}"


def copied_folders() -> set[str]:
    """Return the folders, links resolved, of modules in the copies that are in use."""
    return {os.path.dirname(file) for copy in _active for file in copy.files}  # noqa: PTH120


def is_from_copy(module: object) -> bool:
    """Tell whether a module was loaded out of a copy."""
    loader = getattr(module, "__loader__", None)
    return isinstance(loader, _CopyLoader | _ExtensionLoader)


def hand_on_main(script: str | None) -> None:
    """Have processes that multiprocessing starts use the same copy, and the same main module.

    Such processes import what the main module's spec names.
    """
    if not _active:
        return
    sys.modules["__main__"].__spec__ = ModuleSpec(MAIN, None)
    os.environ[ARCHIVE_VARIABLE] = str(_active[0].archive)
    if script is not None:
        os.environ[SCRIPT_VARIABLE] = script


def become_main(namespace: dict[str, Any]) -> None:
    """Use the copy, and run the script, of the worker that has started this process."""
    archive, script = os.environ.get(ARCHIVE_VARIABLE), os.environ.get(SCRIPT_VARIABLE)
    if archive:
        use_copy(Path(archive))
    loader = script_loader(namespace["__name__"], Path(script)) if script else None
    if loader is not None:
        namespace["__file__"] = script
        exec(loader.get_code(loader.name), namespace)  # type: ignore[arg-type]  # noqa: S102


def _folders_of(file: str) -> Iterator[str]:
    folder = os.path.dirname(file)  # noqa: PTH120
    while folder not in ("", os.sep):
        yield folder
        folder = os.path.dirname(folder)  # noqa: PTH120


@cache
def _real(folder: str) -> str:
    return os.path.realpath(folder)
