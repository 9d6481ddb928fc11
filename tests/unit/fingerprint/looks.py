"""Looks at files in a folder of a test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from reflow.fingerprint.files.look import Looks
from reflow.fingerprint.files.places import Surroundings
from reflow.fingerprint.files.states import State


def surroundings(folder: Path) -> Surroundings:
    return Surroundings(str(folder), str(folder / "run"), str(folder / "home"))


def looks(folder: Path, **options: Any) -> Looks:
    return Looks(surroundings(folder), **options)


def look_at(path: Path, **options: Any) -> State:
    """Look once, with eyes that remember nothing."""
    return looks(path.parent, **options).state(str(path))


def set_time(path: Path, nanoseconds: int) -> None:
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def tree(folder: Path, **files: str) -> Path:
    """Make a folder with these files, all of the same time; `a__b` is `b` in `a`."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        set_time(path, 10**18)
    folder.mkdir(exist_ok=True)
    return folder
