"""Source files that exist in this process only: modules written from the cells of a notebook."""

from __future__ import annotations

import linecache
from pathlib import Path

_texts: dict[str, str] = {}


def keep(path: str, text: str) -> None:
    """Have a text stand for the file of that path, which is not on the disk."""
    _texts[path] = text
    # Without a time it is never looked for on the disk.
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)


def is_source(path: Path) -> bool:
    """Tell whether a file is there, on the disk or in this process only."""
    return str(path) in _texts or path.is_file()


def read_source(path: Path) -> bytes:
    """Return the content of a file. Raises `OSError`."""
    text = _texts.get(str(path))
    return path.read_bytes() if text is None else text.encode()
