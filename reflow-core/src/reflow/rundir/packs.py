"""Waves whose elements share jobs: what each job, called a host, takes, and what it leaves.

The positions of such a wave are cut into blocks. A host claims a block as other workers claim a
position, and runs its elements in processes of its own. While it does, a file with a record for
each of its processes says what they are at. That file is all that is left of a host that is killed
at once, and by it the dispatcher tells the element that may be to blame from those that only shared
its host.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from reflow.errors import ReflowError
from reflow.model.fields import as_json, from_json
from reflow.permissions import FILE_MODE
from reflow.rundir.claims import Claim, plain
from reflow.rundir.files import open_regular, read_bytes, write_whole
from reflow.rundir.layout import WaveLayout

SLOTS = ".slots"
"""How the names of files end in which hosts record what they are at."""
SPARE = timedelta(minutes=2)
"""What jobs ask for beside the time of their elements, where their queue allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """How a wave's elements share jobs."""

    hosts: int
    """The number of jobs."""
    at_once: int
    """How many elements run at the same time in each."""
    block: int
    """How many elements are claimed together."""
    time: float | None = None
    """Seconds that each job has asked for; None where that is left to the site."""
    limited: bool = True
    """Whether an element ends that has more time or memory than it asked for."""
    long_after: float | None = None
    """Seconds from which elements take so long that those which no host has begun are to have jobs
    of their own; None where more jobs would be of no use, or durations are known."""
    open: bool = False
    """Whether the wave has no jobs, and the run's pilots take its elements."""
    permits: int | None = None
    """How many elements all pilots may run at once, each under a permit that a pilot has claimed;
    None where that is not limited."""

    def is_too_short_for(self, time: timedelta) -> bool:
        """Tell whether jobs could not ask for as much as one element does, and something spare."""
        return self.time is not None and self.time < (time + SPARE).total_seconds()

    def blocks(self, size: int) -> int:
        """Return the number of blocks in a wave of so many elements."""
        return -(-size // self.block)

    def block_of(self, position: int) -> int:
        """Return the block that a position is in."""
        return position // self.block

    def positions(self, block: int, size: int) -> range:
        """Return the positions of a block in a wave of so many elements."""
        return range(block * self.block, min(size, (block + 1) * self.block))

    def permit(self, number: int, size: int) -> int:
        """Return the number under which a permit is claimed: they follow the blocks."""
        return self.blocks(size) + number

    def share(self, host: int, size: int) -> range:
        """Return the blocks that a host takes before it looks for others; a pilot has none."""
        if self.open:
            return range(0)
        blocks = self.blocks(size)
        return range(host * blocks // self.hosts, (host + 1) * blocks // self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCounts:
    """What the scheduler last said of jobs that elements share, for `status`."""

    running: int
    queued: int
    at_once: int
    """How many elements the running jobs may run at the same time, in all."""

    def __add__(self, other: JobCounts) -> JobCounts:
        return JobCounts(
            running=self.running + other.running,
            queued=self.queued + other.queued,
            at_once=self.at_once + other.at_once,
        )


def write_job_counts(path: Path, counts: JobCounts) -> None:
    """Write the counts of jobs into a file. Where that fails, `status` shows older ones."""
    with suppress(OSError):
        write_whole(path, json.dumps(as_json(counts)).encode())


def read_job_counts(path: Path) -> JobCounts | None:
    """Return the counts of jobs that a file holds; None where elements have jobs of their own."""
    try:
        with open_regular(path) as file:
            counts = from_json(JobCounts, json.loads(file.read()))
    except (OSError, ValueError, LookupError, TypeError, ReflowError):
        return None
    # It may be the file of a run of another user.
    if not all(type(number) is int for number in (counts.running, counts.queued, counts.at_once)):
        return None
    return counts


def unclaimed_blocks(layout: WaveLayout, blocks: int) -> list[int]:
    """Return those of a wave's blocks that nobody has claimed, by one listing of its claims."""
    taken = {
        int(claim.name.partition(".")[0])
        for folder in layout.claims.iterdir()
        for claim in folder.iterdir()
        # The others are files by which claims are made.
        if not claim.name.startswith(".")
    }
    return [block for block in range(blocks) if block not in taken]


def note_long(layout: WaveLayout) -> bool:
    """Note that a wave's elements take long; return True to exactly one caller."""
    try:
        os.close(os.open(layout.long, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    except OSError:
        return False
    return True


def new_slots_file(folder: Path, host: Claim, *pilot: int) -> Path:
    """Name the file in which a host that begins now records the elements its workers are at.

    That of a `pilot` also says by which submission it was asked for, and as which of its jobs.
    """
    job, incarnation = plain(host.native_id), plain(host.incarnation)
    words = [job, incarnation, str(time.time_ns()), *map(str, pilot)]
    return folder / f"{'.'.join(words)}{SLOTS}"


def slots_files(folder: Path, host: Claim) -> list[Path]:
    """Return the file of a host, in a list that is empty where it has none."""
    job, incarnation = plain(host.native_id), plain(host.incarnation)
    return list(folder.glob(f"{job}.{incarnation}.*{SLOTS}"))


def read_slots(slots: Path) -> bytes:
    """Read a host's file, which another machine has written. Raises `OSError`."""
    # Imported here, as workers do without.
    from reflow.fingerprint.files.fresh import asked

    asked(str(slots))
    return read_bytes(slots)


def other_slots_files(folder: Path, host: Claim, own: Path) -> list[Path]:
    """Return the files of other incarnations of a host's job."""
    files = folder.glob(f"{plain(host.native_id)}.*{SLOTS}")
    return [path for path in files if path != own]


def has_successor(folder: Path, host: Claim, own: Path) -> bool:
    """Tell whether the scheduler has started a host's job once more, while this one still runs."""
    return any(is_later(other, own) for other in other_slots_files(folder, host, own))


def is_later(slots: Path, own: Path) -> bool:
    """Tell whether another file of a host's job is that of a later incarnation.

    Where incarnations are no numbers, the clocks of two machines decide, which may differ.
    """
    (_, other, *_), (_, mine, *_) = slots.name.split("."), own.name.split(".")
    if other.isdigit() and mine.isdigit():
        return int(other) > int(mine)
    return begun_at(slots) > begun_at(own)


def begun_at(slots: Path) -> int:
    """Return when the host of a file has begun, in nanoseconds since 1970."""
    return int(slots.name.split(".")[2])
