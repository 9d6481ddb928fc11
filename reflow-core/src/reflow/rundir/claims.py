"""Claims: which job runs a position, decided by a hard link.

The scheduler may start two jobs for one position: after a lost answer, or when a node comes back.
Only one may run the task. Each writes a private file and links it to the position's claim name.
Linking fails if the name exists, on network file systems too, so exactly one job holds the claim
and the others step back. A job that the scheduler has restarted finds the claim of its own earlier
incarnation and takes the next level (`POSITION.1` after `POSITION.0`, and so on).
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from reflow.permissions import FOLDER_MODE
from reflow.rundir.files import read_bytes, write_whole
from reflow.rundir.layout import WaveLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The job and process that hold a position."""

    native_id: str
    incarnation: str
    host: str
    pid: int


def claim(layout: WaveLayout, position: int, mine: Claim) -> bool:
    """Claim a position; return False where another job holds it.

    A later incarnation of the same job takes the next level. The link count of the private file
    decides, never what `link` returned: an answer lost on the way reads as a failure.
    Raises `OSError` where nothing can be written.
    """
    block = layout.claim_block(position)
    block.mkdir(FOLDER_MODE, exist_ok=True)
    private = block / f".{position}.{mine.host}.{mine.pid}"
    write_whole(private, json.dumps(asdict(mine)).encode())
    try:
        for level in range(_level(layout, position), 1_000_000):
            name = _path(layout, position, level)
            with contextlib.suppress(FileExistsError):
                os.link(private, name)
            if private.stat().st_nlink >= 2:
                return True
            if not _follows(mine, read_claim(name)):
                return False
    finally:
        private.unlink(missing_ok=True)
    return False


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
