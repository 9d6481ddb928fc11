"""Modules beside the copied source that are not in the copy, and were written after it was made.

They are imported by names that only the running program knows, or are too large to be copied, so a
task's fingerprint says nothing about their present content.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from reflow.execution.frozen import is_from_copy


class LateModules:
    """Finds such modules among those that this process has loaded."""

    def __init__(self, folders: Collection[str], copied_at: int) -> None:
        """Look in copied modules' folders, links resolved; `copied_at` is ns since the epoch."""
        self._folders = folders
        self._copied_at = copied_at
        self._looked_at: set[str] = set()
        self._notes: dict[str, str] = {}

    def notes(self) -> Mapping[str, str]:
        """Return a note for each such module, by its place."""
        # A module loaded for an earlier element is loaded for later ones, too.
        for name in sys.modules.keys() - self._looked_at:
            self._looked_at.add(name)
            module = sys.modules.get(name)
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and not is_from_copy(module) and self._is_late(file):
                self._notes[file] = (
                    f"{Path(file).name} was written after this run was submitted and is not in its "
                    "copy of the source, so it was loaded as it is now: results made with it serve "
                    "this run only"
                )
        return self._notes

    def _is_late(self, file: str) -> bool:
        if os.path.dirname(os.path.realpath(file)) not in self._folders:  # noqa: PTH120
            return False
        try:
            status = os.stat(file)  # noqa: PTH116
        except OSError:
            return True
        return max(status.st_mtime_ns, status.st_ctime_ns) > self._copied_at
