"""Claims: which job runs a position, decided by a hard link or by who creates a file.

The scheduler may start two jobs for one position: after a lost answer, or when a node comes back.
Only one may run the task. Each writes a private file and links it to the position's claim name.
Linking fails if the name exists, on network file systems too, so exactly one job holds the claim
and the others step back. Where the file system has no links, or does not count them, each tries
to create one more file beside the claim, which only one can, and puts its claim in place after
that: readers see a whole claim or none. The run's settings say which way all of its jobs go, as two
that went different ways would both hold the claim.

A job that the scheduler has restarted finds the claim of its own earlier
incarnation and takes the next level (`POSITION.1` after `POSITION.0`, and so on).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from reflow.executors.processes import process_id
from reflow.permissions import FILE_MODE, FOLDER_MODE
from reflow.rundir.files import read_bytes, write_whole
from reflow.rundir.layout import WaveLayout

BY_LINK, BY_CREATION = "link", "creation"
"""The ways to make a claim, as a run's settings name them."""
CLAIM_APPEARS_WITHIN = 10.0
"""Seconds between the creation of the file that decides and the claim's own, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The job and process that hold a position."""

    native_id: str
    incarnation: str
    host: str
    pid: int
    element: int | None = None
    """The number of the job in the wave's array, where elements share jobs."""

    @property
    def file_name(self) -> str:
        """A name for files that this job, in this incarnation, writes."""
        return f"{plain(self.native_id)}-{plain(self.incarnation)}"


def plain(text: str) -> str:
    """Return an id for use in the name of a file, without dots and slashes."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)


def own_claim(element: int | None = None) -> Claim:
    """Return the claim of this process: by the job script's variables, or the process itself."""
    return Claim(
        native_id=os.environ.get("REFLOW_NATIVE_ID") or process_id(),
        incarnation=os.environ.get("REFLOW_INCARNATION") or "0",
        host=os.uname().nodename,
        pid=os.getpid(),
        element=element,
    )


def claim(
    layout: WaveLayout,
    position: int,
    mine: Claim,
    way: str = BY_LINK,
    patience: float | None = None,
) -> bool:
    """Claim a position, in one of the ways; return False where another job holds it.

    A later incarnation of the same job takes the next level. It waits `patience` seconds for the
    claim of a process that has decided to make one, by default as long as that may take.
    Raises `OSError` where nothing can be written.
    """
    seconds = CLAIM_APPEARS_WITHIN if patience is None else patience
    take = _WAYS[way]
    block = layout.claim_block(position)
    block.mkdir(FOLDER_MODE, exist_ok=True)
    private = block / f".{position}.{mine.host}.{mine.pid}"
    write_whole(private, json.dumps(asdict(mine)).encode())
    try:
        for level in range(_level(layout, position), 1_000_000):
            name = _path(layout, position, level)
            if take(private, name):
                return True
            if way == BY_CREATION:
                _await(name, seconds)
            if not name.exists() or not _follows(mine, read_claim(name)):
                return False
    finally:
        private.unlink(missing_ok=True)
    return False


def _link(private: Path, name: Path) -> bool:
    """Link a claim to its name; return whether that succeeded.

    The link count of the private file decides, never what `link` returned: an answer lost on the
    way reads as a failure.
    """
    with contextlib.suppress(FileExistsError):
        os.link(private, name)
    return private.stat().st_nlink >= 2


def _create(private: Path, name: Path) -> bool:
    """Move a claim to its name if this process is the one that creates the file beside it.

    A process that dies between the two leaves a position that has no claim and is not run; its job
    has ended without a result then, and the dispatcher submits the position again.
    """
    try:
        descriptor = os.open(_decider(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        return False
    os.close(descriptor)
    private.replace(name)
    return True


_WAYS: Mapping[str, Callable[[Path, Path], bool]] = {BY_LINK: _link, BY_CREATION: _create}


def _decider(name: Path) -> Path:
    return name.with_name(f".{name.name}.taken")


def was_decided(layout: WaveLayout, position: int) -> bool:
    """Tell whether a process has decided, by creating a file, that a position is its own.

    Where there is no claim for long, it died before it made that.
    """
    return _decider(_path(layout, position, 0)).exists()


def is_being_claimed(layout: WaveLayout, position: int) -> bool:
    """Tell whether a process has decided to claim a position, and the claim is not there yet."""
    level = _level(layout, position)
    name = _path(layout, position, level)
    following = _path(layout, position, level + 1) if name.exists() else name
    return _decider(following).exists() and not following.exists()


def _await(name: Path, seconds: float) -> None:
    """Wait for a claim to appear that another process has decided to make."""
    end = time.monotonic() + seconds
    while not name.exists() and time.monotonic() < end:
        time.sleep(0.02)


def current_claim(layout: WaveLayout, position: int) -> Claim | None:
    """Return the newest claim of a position; None where there is none."""
    level = _level(layout, position)
    return (
        read_claim(_path(layout, position, level))
        if _path(layout, position, level).exists()
        else None
    )


def read_claim(path: Path) -> Claim:
    """Read one claim."""
    return Claim(**json.loads(read_bytes(path)))


def _path(layout: WaveLayout, position: int, level: int) -> Path:
    return layout.claim_block(position) / f"{position}.{level}"


def _level(layout: WaveLayout, position: int) -> int:
    """Return the highest level taken, 0 where there is none."""
    level = 0
    while _path(layout, position, level + 1).exists():
        level += 1
    return level


def _follows(mine: Claim, taken: Claim) -> bool:
    """Tell whether `mine` is a later incarnation of the job that holds the claim."""
    if mine.native_id != taken.native_id:
        return False
    try:
        return int(mine.incarnation) > int(taken.incarnation)
    except ValueError:
        return mine.incarnation != taken.incarnation
