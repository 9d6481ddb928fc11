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

    Paths count as equal when they stand for the same place, and lead to files of equal content;
    dicts whatever the order of their keys. What cannot be compared differs.
    """
    found: list[str] = []
    number = 0
    try:
        for text in _walk("", loads(recorded), loads(now), codecs, moved):
            number += 1
            if number <= MOST:
                found.append(text)
    except Exception as error:  # damaged text; whatever the codec of a plugin raises
        number += 1
        found.append(f"it cannot be compared ({type(error).__name__}), and counts as different")
    return found, number


def _walk(place: str, old: Json, new: Json, codecs: Codecs, moved: Moved) -> Iterator[str]:
    if dumps(old) == dumps(new) and not may_refer(dumps(old)):
        return
    before, now = _as_dict(old), _as_dict(new)
    if before is not None and now is not None:
        for key in dict.fromkeys([*before, *now]):
            at = f"{place}{key}"
            if key not in now:
                yield f"{at} is gone, and was {shown(dumps(before[key]))}"
            elif key not in before:
                yield f"{at} is new: {shown(dumps(now[key]))}"
            else:
                yield from _walk(at, before[key], now[key], codecs, moved)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{place or 'it'} has {len(new):,} items, and had {len(old):,}"
            return
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _walk(f"{place}[{index}]", one, other, codecs, moved)
    elif (tag := _tag(old)) and tag == _tag(new):
        assert isinstance(old, dict)
        assert isinstance(new, dict)
        yield from _of_wrapped(place, tag, old, new, codecs, moved)
    else:
        yield _said(place, old, new)


def _tag(data: Json) -> str:
    """Return the tag of a wrapped value; empty where it is none."""
    tag = next(iter(data)) if isinstance(data, dict) and len(data) == 1 else ""
    return tag if tag.startswith("$") else ""


def _as_dict(data: Json) -> dict[str, Json] | None:
    """Return the items of a dict by their place, in whichever form they are stored.

    None for what is no dict. A dict whose keys are sorted texts is stored as an object, all others
    as pairs.
    """
    if not isinstance(data, dict):
        return None
    if _tag(data) != "$dict":
        return None if _tag(data) else {f".{key}": value for key, value in data.items()}
    pairs: Any = data["$dict"]
    return {
        f".{key}" if isinstance(key, str) else f"[{shown(dumps(key))}]": value
        for key, value in pairs
    }


def _of_wrapped(
    place: str,
    tag: str,
    old: dict[str, Json],
    new: dict[str, Json],
    codecs: Codecs,
    moved: Moved,
) -> Iterator[str]:
    """Yield how two values differ that are wrapped in the same tag."""
    before, now = old[tag], new[tag]
    if tag == "$path":
        yield from _of_paths(place, str(before), str(now), moved)
    elif _counts(old, codecs) == _counts(new, codecs):
        return
    elif tag == "$numpy.array":
        yield f"{place or 'the array'}{_of_arrays(old, new, codecs)}"
    elif tag == "$tuple":
        yield from _walk(place, before, now, codecs, moved)
    elif tag in ("$dataclass", "$namedtuple") and _class_of(before) == _class_of(now):
        yield from _walk(place, _content(before), _content(now), codecs, moved)
    else:
        yield _said(place, old, new)


def _class_of(data: Any) -> Any:
    """Return the name of the class of a wrapped value; None where it has none."""
    is_tagged = isinstance(data, list) and len(data) == 2 and isinstance(data[0], str)
    return data[0] if is_tagged else None


def _content(data: Any) -> Json:
    """Return the content of a wrapped value, without the name of its class."""
    inner: Json = data if _class_of(data) is None else data[1]
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
