"""Removing copies of source that no run of a run directory uses any more.

Runs of one run directory share copies, and a run that is being created may begin to use one that
is there. So a copy is renamed before anything is removed, and looked at once more: a run that has
begun to use it since has given it the present time (`rundir/source_archive.py`), and it gets its
name back.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from reflow.rundir.files import server_time
from reflow.rundir.layout import RunLayout

FRESH = 60.0
"""Seconds for which a copy is left alone that a run has begun to use: until it has a record."""
_AWAY = ".unused-"


def remove_unused_copies(run_dir: Path) -> None:
    """Remove what no record in a run directory refers to. Raises `OSError`."""
    folder = RunLayout(run_dir, "").copies
    if not folder.is_dir() or folder.is_symlink() or folder.parent.is_symlink():
        return
    used = _used(folder.parent)
    if used is None:
        return
    clock = folder / ".clock"
    now = server_time(clock)
    clock.unlink(missing_ok=True)
    for away in folder.glob(f"{_AWAY}*.zip"):
        _decide(folder, away.stem.removeprefix(_AWAY), used, now)
    for archive in folder.glob("[!.]*.zip"):
        if archive.stem not in used and archive.stat().st_mtime < now - FRESH:
            _rename(folder, archive.stem, "", _AWAY)
            _decide(folder, archive.stem, used, now)
    if not any(folder.glob("*.zip")):
        with suppress(OSError):
            folder.rmdir()
            folder.parent.rmdir()


def _decide(folder: Path, name: str, used: set[str], now: float) -> None:
    """Give a copy its name back that is used after all, or remove it."""
    away = folder / f"{_AWAY}{name}.zip"
    if (name in used or away.stat().st_mtime >= now - FRESH) and not (
        folder / f"{name}.zip"
    ).exists():
        _rename(folder, name, _AWAY, "")
        return
    extensions = away.with_suffix(".d")
    if extensions.is_dir() and not extensions.is_symlink():
        for file in extensions.iterdir():
            file.unlink()
        extensions.rmdir()
    away.unlink()


def _rename(folder: Path, name: str, old: str, new: str) -> None:
    """Rename a copy; last of it the archive, which says that the rest is there."""
    for end in (".d", ".zip"):
        with suppress(FileNotFoundError):
            (folder / f"{old}{name}{end}").rename(folder / f"{new}{name}{end}")


def _used(own: Path) -> set[str] | None:
    """Return the copies that records refer to; None where one cannot be read."""
    found = set()
    try:
        for record in (*own.glob("*/source-*.json"), *own.glob("*/draft-*.json")):
            found.add(str(json.loads(record.read_bytes())["copy"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None  # perhaps a draft that came and went: the next cleaning decides
    return found
