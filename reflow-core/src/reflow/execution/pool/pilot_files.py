"""The files by which pilots tell that they live, what they are at, and that they ended in order.

Each pilot has a file with what its workers are at, as each host has, in one folder of the run. It
touches that file while it lives. Once it has ended in order, or is known to have ended otherwise, a
second file lies beside it. Others beside it name cancelled waves of which it has nothing left.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reflow.execution.pool.protocol import Slots
from reflow.permissions import touch
from reflow.rundir.packs import SLOTS

HEARTBEAT_EVERY = 30.0
"""Seconds between two signs of life."""
SILENT_AFTER = 120.0
"""Seconds without one after which the scheduler is asked what became of a pilot."""
WATCHED = 3
"""How many living pilots each looks after."""
_LEFT, _GONE = ".left", ".gone"


@dataclass(frozen=True, slots=True)
class PilotFile:
    """The file of one life of a pilot; a job that is started once more has another one."""

    path: Path
    job: str
    """The scheduler's id, as it is written in names of files; so is the incarnation."""
    incarnation: str
    begun_at: int
    """Nanoseconds since 1970."""
    submission: int
    """The number under which it was submitted."""
    element: int
    """Which of the pilots of that submission it is."""
    has_left: bool
    """Whether it has ended in order: it ran what it had, or had nothing to run."""
    is_gone: bool
    """Whether it has ended, in whatever way."""


def pilot_files(folder: Path) -> Iterator[PilotFile]:
    """Yield the files of all pilots that have begun, by one listing."""
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except FileNotFoundError:
        return
    for name in names:
        stem = name.removesuffix(SLOTS)
        words = stem.split(".")
        if stem != name and len(words) == 5:
            job, incarnation, *numbers = words
            begun_at, submission, element = map(int, numbers)
            yield PilotFile(
                folder / name,
                job,
                incarnation,
                begun_at,
                submission,
                element,
                has_left=f"{stem}{_LEFT}" in names,
                is_gone=not names.isdisjoint((f"{stem}{_LEFT}", f"{stem}{_GONE}")),
            )


def mark_left(slots: Path) -> None:
    """Note that a pilot has ended in order: all its results are on the disk."""
    touch(slots.with_suffix(_LEFT))


def mark_gone(slots: Path) -> None:
    """Note that a pilot has ended, and writes no more results."""
    touch(slots.with_suffix(_GONE))


def mark_ended(slots: Path, wave: int) -> None:
    """Note that a pilot has nothing left of a cancelled wave, and takes nothing more of it."""
    touch(_ended(slots, wave))


def has_ended(slots: Path, wave: int) -> bool:
    """Tell whether a pilot has noted that it has nothing left of a cancelled wave."""
    from reflow.fingerprint.files.fresh import asked  # which loads ctypes

    try:
        asked(str(_ended(slots, wave)))
    except FileNotFoundError:
        return False
    return True


def _ended(slots: Path, wave: int) -> Path:
    return slots.with_suffix(f".x{wave}")


def last_sign(slots: Path) -> float:
    """Return when a pilot last gave a sign of life, in seconds since 1970. Raises `OSError`."""
    from reflow.fingerprint.files.fresh import asked  # which loads ctypes

    return asked(str(slots)).st_mtime


def workers_of(slots: Path) -> int:
    """Return how many workers a pilot has; 0 where its file cannot be seen yet."""
    try:
        return Slots.workers_in(slots.stat().st_size)
    except OSError:
        return 0


def silent_pilots(folder: Path, own: Path) -> set[Path]:
    """Return the files of pilots that have ended without a word, as the one of `own` sees them.

    Its own sign of life, given just now, is what the file server's clock says. It looks at those
    that follow it by name, the first behind the last, until it has seen that `WATCHED` live: so
    each is watched by as many, and the file server is asked little however many there are. The
    dispatch step that one has taken looks at all.
    """
    now = last_sign(own)
    others = sorted(file.path for file in pilot_files(folder) if not file.is_gone)
    first = bisect_right(others, own)
    silent: set[Path] = set()
    alive = 0
    for path in (*others[first:], *others[:first]):
        if path == own or alive == WATCHED:
            break
        with suppress(OSError):
            if now - last_sign(path) > SILENT_AFTER:
                silent.add(path)
            else:
                alive += 1
    return silent
