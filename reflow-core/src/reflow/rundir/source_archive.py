"""Putting the user's own code into an archive for the workers of a run (`frozen.py`)."""

from __future__ import annotations

import io
import json
import marshal
import os
import platform
import sys
import zipfile
from collections.abc import Iterable, Mapping
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from reflow.fingerprint.code.unsaved import read_source
from reflow.model.canonical import digest
from reflow.permissions import make_folder
from reflow.rundir.files import write_whole
from reflow.rundir.layout import SOURCE_INDEX

LARGEST_EXTENSION = 50 * 2**20
"""Bytes of a compiled module that is copied; larger ones are loaded from their place."""


def freeze(files: Mapping[str, str], folder: Path) -> str:
    """Put modules into an archive in a folder, unless it is there already; return its name.

    `files` are places, links resolved, with the full name of the module where it was imported.
    Raises `OSError`.
    """
    contents = {file: content for file in sorted(files) if (content := _content(file)) is not None}
    key = [[file, files[file], digest(content)] for file, content in contents.items()]
    name = digest(json.dumps([key, MAGIC_NUMBER.hex()]))
    archive = folder / f"{name}.zip"
    if not _is_claimed(archive):
        make_folder(folder)
        _copy_extensions(contents, archive.with_suffix(".d"))
        write_whole(archive, _archive(contents, files))
    return name


def _is_claimed(archive: Path) -> bool:
    """Tell whether an archive is there, and give it the present time.

    So who removes archives that no run uses any more leaves it alone until the run has a record.
    """
    try:
        os.utime(archive)
    except FileNotFoundError:
        return False
    except PermissionError:  # another user's, who alone removes it
        return True
    return True


def _content(file: str) -> bytes | None:
    try:
        if _is_extension(file) and Path(file).stat().st_size > LARGEST_EXTENSION:
            return None
        return read_source(Path(file))
    except OSError:
        return None


def _is_extension(file: str) -> bool:
    return file.endswith(tuple(EXTENSION_SUFFIXES))


def _entries(files: Iterable[str]) -> dict[str, str]:
    return {file: f"{place}-{Path(file).name}" for place, file in enumerate(files)}


def _archive(contents: Mapping[str, bytes], names: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    entries = _entries(contents)
    compiled = []
    script = os.path.realpath(getattr(sys.modules["__main__"], "__file__", None) or os.devnull)
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, entry in entries.items():
            if _is_extension(file):
                continue
            archive.writestr(entry, contents[file])
            loaded = names[file] or os.path.realpath(file) == script
            code = _compiled(file, contents[file]) if loaded else None
            if code is not None:
                archive.writestr(f"{entry}.code", code)
                compiled.append(entry)
        index = {
            "python": platform.python_version(),
            "magic": MAGIC_NUMBER.hex(),
            "files": entries,
            "names": {name: file for file, name in names.items() if name and file in entries},
            "compiled": compiled,
        }
        archive.writestr(SOURCE_INDEX, json.dumps(index))
    return buffer.getvalue()


def _compiled(file: str, content: bytes) -> bytes | None:
    """Return the code of a module that runs here; others are compiled where they are needed."""
    try:
        return marshal.dumps(compile(content, file, "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _copy_extensions(contents: Mapping[str, bytes], folder: Path) -> None:
    for file, entry in _entries(contents).items():
        if _is_extension(file):
            make_folder(folder)
            write_whole(folder / entry, contents[file])


def modules_by_place() -> dict[str, str]:
    """Return the full name of each loaded module, by its place with links resolved; no scripts."""
    found: dict[str, str] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.isabs(file):  # noqa: PTH117
            spec = getattr(module, "__spec__", None)
            found.setdefault(os.path.realpath(file), name if spec is not None else "")
    return found
