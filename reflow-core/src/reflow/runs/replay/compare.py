"""How a result differs from the recorded one."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reflow.codecs.codecs import Codecs
from reflow.codecs.stored_result import may_refer
from reflow.errors import ReflowError
from reflow.model.canonical import dumps, loads
from reflow.model.json import Json
from reflow.runs.explain.shown import shown

MOST = 10
"""Differences that are told."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a replay writes, and what its paths stand for."""

    folders: Mapping[str, str]
    """Folders of the replay, and those that they stand for."""
    working_directory: str
    """Where relative paths start."""

    def meant(self, path: str) -> str:
        """Return the absolute path that a path of either stands for."""
        for folder, other in self.folders.items():
            if path == folder or path.startswith(f"{folder}/"):
                return f"{other}{path.removeprefix(folder)}" or "/"
        return os.path.join(self.working_directory, path)  # noqa: PTH118

    def said(self, text: str) -> str:
        """Return a stored value of the replay with the paths that its own stand for."""
        for folder, other in self.folders.items():
            text = text.replace(folder, other)
        return text


def differences(recorded: str, now: str, codecs: Codecs, moved: Moved) -> tuple[list[str], int]:
    """Return how a stored result differs from the recorded one, and in how many places.

    Paths count as equal when they stand for the same place, and lead to files of equal content.
    """
    found: list[str] = []
    number = 0
    for text in _walk("", loads(recorded), loads(now), codecs, moved):
        number += 1
        if number <= MOST:
            found.append(text)
    return found, number


def _walk(place: str, old: Json, new: Json, codecs: Codecs, moved: Moved) -> Iterator[str]:
    if old == new and not may_refer(dumps(old)):
        return
    if isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{place or 'it'} has {len(new):,} items, and had {len(old):,}"
            return
        for index, (before, now) in enumerate(zip(old, new, strict=True)):
            yield from _walk(f"{place}[{index}]", before, now, codecs, moved)
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_dicts(place, old, new, codecs, moved)
        return
    if old != new:
        yield _said(place, old, new)


def _of_dicts(
    place: str, old: dict[str, Json], new: dict[str, Json], codecs: Codecs, moved: Moved
) -> Iterator[str]:
    tags = {next(iter(each)) for each in (old, new) if len(each) == 1}
    if tags == {"$path"}:
        yield from _of_paths(place, str(old["$path"]), str(new["$path"]), moved)
    elif len(tags) == 1 and (tag := next(iter(tags))).startswith("$"):
        if _counts(old, codecs) == _counts(new, codecs):
            return
        if tag == "$numpy.array":
            yield f"{place or 'the array'}{_of_arrays(old, new, codecs)}"
        elif tag == "$dict":
            yield from _walk(place, _by_text(old[tag]), _by_text(new[tag]), codecs, moved)
        elif tag in ("$tuple", "$dataclass", "$namedtuple"):
            yield from _walk(place, _content(old[tag]), _content(new[tag]), codecs, moved)
        else:
            yield _said(place, old, new)
    elif old.keys() != new.keys():
        yield _said(place, old, new)
    else:
        for key in old:
            yield from _walk(f"{place}.{key}", old[key], new[key], codecs, moved)


def _by_text(pairs: Any) -> Json:
    """Return the values of a dict by their keys as texts; what is no dict, as it is."""
    try:
        return {str(key): value for key, value in pairs}
    except (TypeError, ValueError):
        whole: Json = pairs
        return whole


def _content(data: Any) -> Json:
    """Return the content of a wrapped value, without the tag of its class."""
    is_tagged = isinstance(data, list) and len(data) == 2 and isinstance(data[0], str)
    inner: Json = data[1] if is_tagged and isinstance(data[1], dict | list) else data
    return inner


def _counts(data: Json, codecs: Codecs) -> Json:
    """Return what a value counts by, wherever its bytes lie."""
    return codecs.fingerprint(data, {path: path for path in codecs.places(data)})


def _said(place: str, old: Json, new: Json) -> str:
    return f"{place or 'it'}: {shown(dumps(old))} → {shown(dumps(new))}"


def _of_paths(place: str, old: str, new: str, moved: Moved) -> Iterator[str]:
    before, now = moved.meant(old), moved.meant(new)
    if before != now:
        yield f"{place or 'it'}: {old} → {now}"
    elif new not in (old, before) and _have_other_content(Path(before), Path(new)):
        yield f"{place or 'the file'}: {Path(old).name} has another content"


def _have_other_content(old: Path, new: Path) -> bool:
    """Tell whether two files are there and differ; nothing is said of folders."""
    try:
        if not (old.is_file() and new.is_file()):
            return False
        return not filecmp.cmp(old, new, shallow=False)
    except OSError:
        return False


def _of_arrays(old: Json, new: Json, codecs: Codecs) -> str:
    try:
        before, now = codecs.decode(old), codecs.decode(new)
        if before.shape != now.shape or before.dtype != now.dtype:
            return (
                f" has shape {now.shape} of {now.dtype}, and had {before.shape} of {before.dtype}"
            )
        differ = before != now
        number = int(differ.sum())
        text = f": {number:,} of {before.size:,} values differ"
        if before.dtype.kind in "fiuc" and number:
            most = abs(now[differ].astype("complex") - before[differ].astype("complex")).max()
            text += f", by at most {float(most):.6g}"
        return text
    except (ReflowError, TypeError, ValueError, AttributeError, ImportError):
        return " differs"
