"""How much space runs take: on the disk, and in the store.

Of a run directory only what reflow wrote is measured, which is what cleaning up can free. The walk
ends after a given time; which runs were not looked at by then is told.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from reflow.model.cleaning import StoreSize
from reflow.model.records import RunRecord
from reflow.runs.cleaning.choose import layout_of
from reflow.stores.contract import CleansUp, Store

AGES = (("up to a week", 7), ("up to a month", 30), ("up to a quarter", 91), ("older", None))
"""Groups of runs by the days since they ended."""
AT_ONCE = 50
"""Runs whose records are counted by one query."""


@dataclass(slots=True)
class FilesSize:
    """What files take, and what could not be looked at."""

    values: int = 0
    """Bytes on the disk of the values of results."""
    logs: int = 0
    others: int = 0
    files: int = 0
    unreadable: list[str] = field(default_factory=list)
    """Folders that could not be read, and why."""
    is_whole: bool = True
    """Whether there was time enough."""

    @property
    def total(self) -> int:
        """Bytes on the disk."""
        return self.values + self.logs + self.others


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What one run takes."""

    record: RunRecord
    size: FilesSize
    instances: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What runs take."""

    runs: Sequence[RunUsage]
    """The largest first."""
    store: StoreSize | None
    """None where the store does not tell."""

    @property
    def not_looked_at(self) -> int:
        """How many runs there was no time for, or not enough."""
        return sum(not each.size.is_whole for each in self.runs)


def age_of(record: RunRecord, now: datetime) -> str:
    """Return the group of a run by its age; what ends in the future is new."""
    ended = max(record.created_at, record.finished_at or record.created_at)
    for name, days in AGES:
        if days is None or now - ended <= timedelta(days=days):
            return name
    raise AssertionError("the last group holds all others")


def measure(
    store: Store,
    records: Sequence[RunRecord],
    seconds: float,
    on_step: Callable[[int], None] = lambda done: None,
) -> Usage:
    """Measure runs, for at most so many seconds; `on_step` is given how many are done."""
    end = time.monotonic() + seconds
    counts: dict[str, int] = {}
    size: StoreSize | None = None
    if isinstance(store, CleansUp):
        size = store.size()
        for start in range(0, len(records), AT_ONCE):
            some = [record.run_id for record in records[start : start + AT_ONCE]]
            counts |= store.instance_counts(some)
    walk = Walk(end)
    found = []
    for done, record in enumerate(records):
        on_step(done)
        found.append(RunUsage(record, walk.size_of(record), counts.get(record.run_id, 0)))
    found.sort(key=lambda each: (-each.size.total, each.record.run_id))
    return Usage(found, size)


class Walk:
    """Measures the files of runs; a file with several names counts once."""

    def __init__(self, end: float) -> None:
        """Stop at a time of the monotonic clock."""
        self._end = end
        self._seen: set[tuple[int, int]] = set()

    def size_of(self, record: RunRecord) -> FilesSize:
        """Measure the files of a run."""
        layout, size = layout_of(record), FilesSize()
        values = f"{layout.files}/"
        for path, taken in self._files(str(layout.root), size):
            if path.startswith(values):
                size.values += taken
            else:
                size.others += taken
        for _, taken in self._files(str(layout.logs), size):
            size.logs += taken
        return size

    def _files(self, top: str, size: FilesSize) -> Iterator[tuple[str, int]]:
        """Yield the path of every file below a folder, and what it takes; follow no links."""
        if os.path.islink(top):  # noqa: PTH114
            return
        folders = [top]
        while folders:
            if time.monotonic() >= self._end:
                size.is_whole = False
                return
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(entry.path)
                        else:
                            size.files += 1
                            yield entry.path, self._taken(entry)
            except FileNotFoundError:
                continue
            except OSError as error:
                size.unreadable.append(f"{folder}: {error.strerror}")

    def _taken(self, entry: os.DirEntry[str]) -> int:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return 0
        if status.st_nlink > 1:
            place = (status.st_dev, status.st_ino)
            if place in self._seen:
                return 0
            self._seen.add(place)
        return status.st_blocks * 512


def ages(records: Sequence[RunUsage], now: datetime | None = None) -> dict[str, list[RunUsage]]:
    """Group runs by their age, new ones first; groups without runs are left out."""
    groups: dict[str, list[RunUsage]] = {name: [] for name, _ in AGES}
    for each in records:
        groups[age_of(each.record, now or datetime.now(UTC))].append(each)
    return {name: group for name, group in groups.items() if group}
