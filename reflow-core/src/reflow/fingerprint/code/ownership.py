"""Which folders hold the user's own code.

A module is the user's own unless it belongs to the standard library, is installed, or is the
site's. Installed modules are those below a `site-packages` or `dist-packages` folder. The site's
modules are those outside the flow's tree, the working directory and the user's home that the user
may not write; for root, who may write everything, those out there that belong to root. The target
of an editable install is the user's own wherever it lies.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, cached_property
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path
from typing import Any

_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD_FINDERS = (BuiltinImporter, FrozenImporter, PathFinder)
_TOP = Path(os.sep)


class Ownership:
    """Decides for each folder, once, whether its modules are the user's own."""

    def __init__(
        self, flow_files: Iterable[Path], own: Iterable[str] = (), foreign: Iterable[str] = ()
    ) -> None:
        """Take `own` and `foreign` folders from the configuration; the innermost decides."""
        self.trees = tuple(dict.fromkeys(_tree(file) for file in flow_files))
        """The directory trees that the flow's files stand in."""
        around = [*self.trees, *_working_directory(), _real(Path.home())]
        self._around = tuple(dict.fromkeys(folder for folder in around if folder != _TOP))
        self._named = {_real(Path(folder).expanduser()): True for folder in own}
        self._named |= {_real(Path(folder).expanduser()): False for folder in foreign}
        self._decided: dict[Path, bool] = {}

    def owns(self, file: Path) -> bool:
        """Tell whether that file, links resolved, is the user's own code."""
        return file in self.trees or self.owns_folder(file.parent)

    def owns_folder(self, folder: Path) -> bool:
        """Tell whether files directly in that folder, links resolved, are the user's own code."""
        if folder not in self._decided:
            self._decided[folder] = self._decide(folder)
        return self._decided[folder]

    def _decide(self, folder: Path) -> bool:
        named = [place for place in self._named if folder.is_relative_to(place)]
        if named:
            return self._named[max(named, key=lambda place: len(place.parts))]
        if folder.is_relative_to(_REFLOW):
            return False
        if _is_installed(folder):
            return any(map(_below_an_installed(folder), self.trees))
        if any(folder.is_relative_to(place) for place in _STANDARD_LIBRARY):
            return False
        if folder in self.trees or any(folder.is_relative_to(place) for place in self._around):
            return True
        return _may_change(folder) or self._is_editable(folder)

    # -- editable installs -----------------------------------------------------------------------
    def _is_editable(self, folder: Path) -> bool:
        places = [*self._listed_in_pth_files, *_where_finders_lead(self._names_by_folder[folder])]
        return any(folder.is_relative_to(place) for place in places)

    @cached_property
    def _listed_in_pth_files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(_real(place) for place in _pth_entries()))

    @cached_property
    def _names_by_folder(self) -> Mapping[Path, set[str]]:
        """The modules that were loaded from each folder, and the packages that they are in."""
        found: defaultdict[Path, set[str]] = defaultdict(set)
        real = cache(_real)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if isinstance(file, str):
                found[real(Path(file).parent)] |= {name, name.partition(".")[0]}
        return found


def _tree(file: Path) -> Path:
    """Return the directory tree of a flow file; the file alone if it is installed alone."""
    top, folder = file, file.parent
    while (folder / "__init__.py").is_file():
        top, folder = folder, folder.parent
    return top if folder.name in _INSTALLED else folder


def _is_installed(folder: Path) -> bool:
    return not _INSTALLED.isdisjoint(folder.parts)


def _below_an_installed(folder: Path) -> Any:
    """Return a test of whether a tree is an installed flow's that holds the folder."""

    def holds(tree: Path) -> bool:
        below = folder.is_relative_to(tree) and _is_installed(tree)
        return below and not _is_installed(folder.relative_to(tree))

    return holds


def _may_change(folder: Path) -> bool:
    try:
        owner = folder.stat().st_uid
    except OSError:
        return False
    user = os.geteuid()
    return owner == user != 0 or (owner != 0 if user == 0 else os.access(folder, os.W_OK))


def _pth_entries() -> Iterator[Path]:
    """Yield folders that `.pth` files of installed packages add to the path."""
    for folder in _site_folders():
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".pth"):
                    yield from _folders_in(Path(entry.path))


def _site_folders() -> set[str]:
    known = [*site.getsitepackages(), site.getusersitepackages()]
    return {entry for entry in (*known, *sys.path) if Path(entry).name in _INSTALLED}


def _folders_in(pth_file: Path) -> Iterator[Path]:
    with suppress(OSError, UnicodeDecodeError):
        for line in pth_file.read_text().splitlines():
            if line.strip() and not line.startswith(("#", "import ", "import\t")):
                yield pth_file.parent / line.strip()


def _where_finders_lead(names: Iterable[str]) -> Iterator[Path]:
    """Yield folders in which import finders other than Python's own find modules."""
    finders = [finder for finder in sys.meta_path if finder not in _STANDARD_FINDERS]
    for name in names:
        for finder in finders:
            with suppress(Exception):  # whatever finders raise
                spec = finder.find_spec(name, None)
                if spec is not None and spec.origin:
                    yield _real(Path(spec.origin)).parent
                if spec is not None:
                    yield from (_real(Path(each)) for each in spec.submodule_search_locations or ())


def _working_directory() -> list[Path]:
    with suppress(OSError):
        return [_real(Path.cwd())]
    return []


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


_REFLOW = _real(Path(__file__)).parents[__name__.count(".") - 1]
_STANDARD_LIBRARY = {
    _real(Path(os.__file__)).parent,
    *(_real(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib")),
}
