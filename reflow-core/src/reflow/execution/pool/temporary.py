"""Folders for temporary files: each element that shares its job has one of its own.

Programs find it in `TMPDIR`. A host makes a folder for all of its elements where it was told to put
temporary files, and its workers make one in there for each. It is removed when the element is over:
by the worker, or by the host where the worker has died.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "TMPDIR"


class Place:
    """The folder of a host, in which its elements have theirs."""

    def __init__(self) -> None:
        """Make the folder. Where that cannot be done, elements share what the job has."""
        from tempfile import mkdtemp

        self._folder: Path | None = None
        with suppress(OSError):
            self._folder = Path(mkdtemp(prefix="reflow-"))

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment of the host's workers."""
        return {**os.environ, **({} if self._folder is None else {VARIABLE: str(self._folder)})}

    def remove(self, *element: int) -> None:
        """Remove the folder of an element (wave, position) whose worker has died, or all of it."""
        if self._folder is not None:
            _remove(_folder_of(self._folder, *element) if element else self._folder)


def _folder_of(place: Path, wave: int, position: int) -> Path:
    """Return the folder of an element in that of its host."""
    return place / f"{wave}-{position}"


def _remove(folder: Path) -> None:
    """Remove a folder with what is in it, as far as that can be done."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return
    except OSError:
        # Imported here, as most elements leave nothing.
        from shutil import rmtree

        rmtree(folder, ignore_errors=True)


class TemporaryFolders:
    """Gives each element of a worker a folder; for workers of hosts only."""

    def __init__(self) -> None:
        self._place = os.environ.get(VARIABLE)
        self._folder: Path | None = None

    def begin(self, wave: int, position: int) -> None:
        """Make the folder of an element. Where that cannot be done, it has its host's."""
        if self._place is None:
            return
        folder = _folder_of(Path(self._place), wave, position)
        # A worker that ran this element before may have died.
        _remove(folder)
        with suppress(OSError):
            folder.mkdir(0o700)
            self._folder = folder
            os.environ[VARIABLE] = str(folder)
            _forget(self._place)

    def end(self) -> None:
        """Remove the folder of the element that was begun last."""
        folder, self._folder = self._folder, None
        if folder is None or self._place is None:
            return
        os.environ[VARIABLE] = self._place
        _forget(str(folder))
        _remove(folder)


def _forget(folder: str) -> None:
    """Have Python's `tempfile` look for a folder anew, where that is the one it remembers."""
    module: Any = sys.modules.get("tempfile")
    if module is not None and module.tempdir == folder:
        module.tempdir = None
