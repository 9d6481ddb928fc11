"""The entry points of installed distributions, found without `importlib.metadata`.

That module takes longer to import than the rest of a short command takes altogether, and every
command, every dispatch job and some workers would pay for it. The layout read here is standard:
https://packaging.python.org/specifications/entry-points/. Where distributions might be found in
another way (archives on the path, import hooks), `importlib.metadata` is used after all.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, NamedTuple


class EntryPoint(NamedTuple):
    """One entry point and the distribution that declares it."""

    name: str
    value: str
    """`package.module`, or `package.module:object`."""
    distribution: str
    version: str

    def load(self) -> object:
        """Import the object that the entry point names."""
        return import_object(self.value)


def find_entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group; of a distribution found twice, the first counts."""
    folders = [Path(folder) for folder in dict.fromkeys(sys.path)]
    if _elsewhere(folders):
        return _by_importlib(group)
    seen: set[str] = set()
    found: list[EntryPoint] = []
    for folder in folders:
        for information in _information_folders(folder):
            distribution = re.sub(r"[-_.]+", "-", information.stem.partition("-")[0]).lower()
            if distribution not in seen:
                seen.add(distribution)
                found.extend(_declared(information, group))
    return found


def import_object(value: str) -> Any:
    """Import the object or module that `package.module:object` or `package.module` names."""
    module, _, path = value.partition("[")[0].partition(":")
    found: Any = import_module(module.strip())
    for name in path.strip().split(".") if path.strip() else ():
        found = getattr(found, name)
    return found


def _elsewhere(folders: list[Path]) -> bool:
    """Tell whether distributions may be where only `importlib.metadata` finds them."""
    hooks = [hook for hook in sys.meta_path if hasattr(hook, "find_distributions")]
    return hooks != [PathFinder] or any(folder.is_file() for folder in folders)


def _information_folders(folder: Path) -> list[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [each for each in inside if each.suffix in (".dist-info", ".egg-info")]


def _declared(information: Path, group: str) -> Iterator[EntryPoint]:
    text = _read(information, "entry_points.txt")
    if f"[{group}]" not in text:
        return
    facts = _facts(information)
    section = ""
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("["):
            section = words.strip("[]")
        elif section == group and words and not words.startswith("#"):
            name, _, value = words.partition("=")
            yield EntryPoint(name.strip(), value.strip(), facts["name"], facts["version"])


def _facts(information: Path) -> dict[str, str]:
    """Read name and version from the head of the metadata."""
    facts = {"name": "", "version": ""}
    text = _read(information, "METADATA") or _read(information, "PKG-INFO")
    for line in text.splitlines():
        if not line:
            break
        field, _, value = line.partition(":")
        if field.lower() in facts:
            facts[field.lower()] = value.strip()
    return facts


def _read(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _by_importlib(group: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return [
        EntryPoint(
            point.name,
            point.value,
            point.dist.name if point.dist else "",
            point.dist.version if point.dist else "",
        )
        for point in entry_points(group=group)
    ]
