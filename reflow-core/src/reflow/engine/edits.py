"""Whether this process still has the flow that stands in the files."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from reflow.errors import FlowImportError
from reflow.model.graph import Graph
from reflow.values.source import edited_files

FileStamp = tuple[int, int]
"""Time and size."""

_seen: dict[str, tuple[int, FileStamp]] = {}
"""By file: which module was loaded from it, and the file when it was first looked at since."""


def check_unedited(graph: Graph) -> None:
    """See that jobs will run what this process has loaded, and plans with.

    Edits are seen of what tasks use, and from the second look on of whatever was loaded beside
    them. Raises `FlowImportError` where there is one.
    """
    for spec in graph.tasks.values():
        edited: list[Path] = edited_files(spec.function) if spec.version is None else []
        for path in [*edited, *_changed_beside(spec.function)]:
            raise FlowImportError(
                f"{path} was edited after this process had loaded it, and jobs would run what "
                "stands there now: start Python anew, or use the command line"
            )


def stamps_beside(file: Path) -> dict[str, FileStamp]:
    """The modules that were loaded from a file's folder, and how their files are now."""
    beside = f"{file.parent}{os.sep}"
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    found = {}
    for name in files:
        if name and name.startswith(beside):
            with suppress(OSError):
                status = Path(name).stat()
                found[name] = (status.st_mtime_ns, status.st_size)
    return found


def _changed_beside(function: Callable[..., Any]) -> list[Path]:
    file = inspect.unwrap(function).__globals__.get("__file__")
    if not isinstance(file, str):
        return []
    loads = {
        getattr(module, "__file__", None): id(getattr(module, "__dict__", None))
        for module in list(sys.modules.values())
    }
    changed = []
    for name, stamp in stamps_beside(Path(file)).items():
        load, first = _seen.setdefault(name, (loads[name], stamp))
        if load != loads[name]:
            _seen[name] = (loads[name], stamp)
        elif first != stamp:
            changed.append(Path(name))
    return changed
