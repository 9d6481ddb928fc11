"""Folders for temporary files: each element that shares its job finds an empty one of its own.

Programs find it in `TMPDIR`. A host makes a folder for all of its elements where it was told to put
temporary files, in which each of its workers has one. What an element leaves there is removed when
it is over, or where its worker has died when another takes its place; the rest with the host.
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

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        if self._folder is not None:
            _remove(self._folder)


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


class TemporaryFolder:
    """Gives each element of a worker an empty folder; for workers of hosts only.

    The folder is that of the worker, who empties it after each element: making and removing one
    takes longer than a short element.
    """

    def __init__(self, worker: int) -> None:
        """Prepare for the worker of that number in its pool."""
        self._place = os.environ.get(VARIABLE)
        self._folder = None if self._place is None else Path(self._place, str(worker))
        self._is_empty = False

    def begin(self) -> None:
        """Point to the folder. Where it cannot be made, the element has its host's."""
        if self._place is None or self._folder is None:
            return
        if not self._is_empty:
            # A worker of the same number may have died.
            _remove(self._folder)
            try:
                self._folder.mkdir(0o700)
            except OSError:
                return
        os.environ[VARIABLE] = str(self._folder)
        _forget(self._place)

    def end(self) -> None:
        """Empty the folder, and point to the host's."""
        if self._place is None or self._folder is None:
            return
        os.environ[VARIABLE] = self._place
        _forget(str(self._folder))
        try:
            with os.scandir(self._folder) as entries:
                self._is_empty = next(entries, None) is None
        except OSError:
            self._is_empty = False
        if not self._is_empty:
            _remove(self._folder)


def _forget(folder: str) -> None:
    """Have Python's `tempfile` look for a folder anew, where that is the one it remembers."""
    module: Any = sys.modules.get("tempfile")
    if module is not None and module.tempdir == folder:
        module.tempdir = None
