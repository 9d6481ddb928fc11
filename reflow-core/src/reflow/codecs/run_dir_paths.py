"""Whether a value mentions the run directory: if so, it may be reused only there.

A value mentions it when a `Path` in it leads there, or when any text in it (dict keys and names
too) holds the directory's absolute path: as given, or with its symbolic links resolved. A text that
can be read both ways counts as a mention, since that costs a rerun and nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from reflow.model.canonical import dumps
from reflow.model.json import Json

_SEPARATOR = r"/+(?:\./+)*"
_NAME_ENDS = r"(?![\w-]|\.\w)"  # `/a/run2`, `/a/run-old` and `/a/run.bak` are other names
_PATH_BEFORE = re.compile(r"[\w./~+@%-]*\Z")
_LOOK_BACK = 4096  # the longest path


class RunDirectory:
    """Finds mentions of one directory."""

    def __init__(self, directory: str) -> None:
        self._roots = {os.path.abspath(directory), os.path.realpath(directory)}  # noqa: PTH100
        self._needles = {dumps(root.rpartition("/")[2])[1:-1] for root in self._roots}
        self._patterns = [_pattern(root) for root in self._roots]

    def mentioned_in(self, text: str, data: Json) -> bool:
        """Tell whether any string in the data, or its canonical `text`, mentions the directory."""
        for needle in self._needles:
            if needle in text:
                return any(map(self._mentions, _strings(data)))
        return False

    def contains(self, path: str) -> bool:
        """Tell whether a path leads there, as it is spelt or with its links resolved."""
        try:
            absolute = os.path.abspath(path)  # noqa: PTH100 (links are resolved only if need be)
            return self._is_root_of(absolute) or self._is_root_of(os.path.realpath(path))
        except (OSError, ValueError):  # a path that no file can have
            return False

    def _is_root_of(self, path: str) -> bool:
        return any(path == root or path.startswith(root.rstrip("/") + "/") for root in self._roots)

    def _mentions(self, string: str) -> bool:
        if ".." in string and self._is_root_of(os.path.normpath(string)):
            return True
        return any(
            not _continues_a_path(string, match.start())
            for pattern in self._patterns
            for match in pattern.finditer(string)
        )


@lru_cache(maxsize=64)
def run_directory(directory: Path) -> RunDirectory:
    """Return the finder for a run directory, created once."""
    return RunDirectory(str(directory))


def _pattern(root: str) -> re.Pattern[str]:
    names = [re.escape(name) for name in root.split("/") if name]
    return re.compile("/+" + _SEPARATOR.join(names) + (_NAME_ENDS if names else ""))


def _continues_a_path(string: str, start: int) -> bool:
    """Tell whether what begins there is the middle of another absolute path: `/x/a/run`."""
    before = _PATH_BEFORE.search(string[max(0, start - _LOOK_BACK) : start])
    return before is not None and before.group().startswith("/")


def _strings(data: Json) -> Iterator[str]:
    """Yield every string in the data, keys of objects too."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, list):
        for item in data:
            yield from _strings(item)
    elif isinstance(data, dict):
        if data.keys() == {"$file"}:
            return  # where bytes of a value lie is not part of it
        yield from data
        for part in data.values():
            yield from _strings(part)
