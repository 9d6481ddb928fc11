"""One pass over everything below a folder: names, kinds, sizes, link texts, and times of files.

Links are not followed, and nothing but folders is opened (plain files, too, where that is asked
for), so that nothing waits: a FIFO or a device is an entry like any other. What vanishes while
the walk goes on is not there. What cannot be read ends it with the `OSError`.

A tree may have a million entries, and asking the system for their status should be what takes
the time. So folders are taken as a whole, and no line of Python is run for each file but that.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Protocol

_NEVER_COUNTED = (r"\.nfs.*", "__pycache__")
"""Names of what was removed while an NFS client had it open, and of folders that Python writes."""
_RUN_FOLDER, _LOGS = ".reflow", "logs"
_STORE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What the system says of a folder that was removed or replaced after it was listed."""
_BATCH = 10_000
"""Entries of one folder between two words on progress."""

_mode_of = itemgetter(0)
_size_of = itemgetter(6)
_time_of = attrgetter("st_mtime_ns")


class Look(Protocol):
    """Gives the status of a name in an open folder; never that of what a link leads to."""

    def __call__(self, name: str, /, *, dir_fd: int) -> os.stat_result:
        """Ask for the status."""
        ...


without_opening: Look = partial(os.stat, follow_symlinks=False)
"""Asks for the status by name, which a file server's client may answer from memory."""
Seen = Callable[[str, Mapping[str, os.stat_result]], None]
"""Is told each folder's relative path, with a slash at its end, and its files."""


class TooManyEntriesError(Exception):
    """A tree has more entries than were to be looked at."""


@dataclass(slots=True)
class Tree:
    """What a walk has found."""

    digest: str
    """Of names, kinds, sizes and link texts."""
    entries: int
    size: int
    times: list[int] = field(repr=False)
    """Of files, in ns since 1970, in the order of the digest."""


class Uncounted:
    """Knows which entries of trees do not count."""

    def __init__(self, ignore: Sequence[str], store_files: Sequence[str]) -> None:
        """Take patterns for names, or with a slash for relative paths; and database files."""
        names = [fnmatch.translate(each) for each in ignore if "/" not in each]
        paths = [fnmatch.translate(each) for each in ignore if "/" in each]
        self._name = re.compile("|".join((*_NEVER_COUNTED, *names)), re.DOTALL).fullmatch
        self._path = re.compile("|".join(paths)).fullmatch if paths else None
        self._store_files = [os.path.split(os.path.abspath(file)) for file in store_files]  # noqa: PTH100

    def store_files(self) -> dict[tuple[int, int], set[str]]:
        """Names of the files of stores, by device and inode of their folder."""
        found: dict[tuple[int, int], set[str]] = {}
        for folder, name in self._store_files:
            try:
                status = os.stat(folder)  # noqa: PTH116
            except OSError:
                continue  # then there is no such file either
            names = found.setdefault((status.st_dev, status.st_ino), set())
            names.update(name + suffix for suffix in _STORE_SUFFIXES)
        return found

    def without(self, names: list[str], relative: str) -> list[str]:
        """Leave out of a folder's names what its name or relative path says does not count."""
        if any(map(self._name, names)):
            names = [name for name in names if not self._name(name)]
        if self._path is not None:
            names = [name for name in names if not self._path(relative + name)]
        return names


def walk(
    root: str,
    uncounted: Uncounted,
    *,
    look: Look = without_opening,
    seen: Seen | None = None,
    at_most: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tree:
    """Look at everything below a folder.

    `progress` is given the number of entries so far, often. Raises `OSError` for what cannot be
    read, and `TooManyEntriesError` after more than `at_most` entries.
    """
    walking = _Walk(uncounted, look, seen, at_most, progress or _say_nothing)
    folders = [("", root)]
    while folders:
        relative, path = folders.pop()
        below = walking.folder(relative, path)
        folders += ((f"{relative}{name}/", f"{path}/{name}") for name in reversed(below))
    walking.progress(walking.entries)
    return Tree(walking.digest.hexdigest(), walking.entries, walking.size, walking.times)


def _say_nothing(entries: int) -> None:
    pass


class _Walk:
    """Takes folders one by one, and adds up."""

    def __init__(
        self,
        uncounted: Uncounted,
        look: Look,
        seen: Seen | None,
        at_most: int | None,
        progress: Callable[[int], None],
    ) -> None:
        self.digest = hashlib.sha256()
        self.entries = 0
        self.size = 0
        self.times: list[int] = []
        self._uncounted = uncounted
        self._store_files = uncounted.store_files()
        self._waiting: list[str] = []
        """Folders around the one at hand that count only if something in them does: one that holds
        runs and nothing else does not."""
        self._look = look
        self._seen = seen
        self._at_most = at_most
        self.progress = progress

    def folder(self, relative: str, path: str) -> list[str]:
        """Count a folder and what is in it. Returns the names of the folders there, in order."""
        try:
            with _opened(path, _OPEN_FOLDER | (os.O_NOFOLLOW if relative else 0)) as descriptor:
                return self._count(relative, descriptor)
        except OSError as error:
            if relative and error.errno in _VANISHED:
                return []
            error.filename = path if not isinstance(error.filename, str) else error.filename
            raise

    def _count(self, relative: str, folder: int) -> list[str]:
        files = self._look_at(self._names(relative, folder), folder)
        is_run = _is_folder(files.get(_RUN_FOLDER))
        if is_run:
            for name in (_RUN_FOLDER, _LOGS):
                if _is_folder(files.get(name)):
                    del files[name]
        others = _take_others(files)
        below = [name for name, kind in others.items() if stat.S_ISDIR(kind)]
        lines = [
            f"{kind:o}\0{name}\0{_link_text(name, kind, folder)}\0"
            for name, kind in others.items()
            if not stat.S_ISDIR(kind)
        ]
        while self._waiting and not relative.startswith(self._waiting[-1]):
            self._waiting.pop()
        if files or lines or not (below or is_run):
            for around in self._waiting:
                self._add(around, [], {})
            self._waiting.clear()
            self._add(relative, lines, files)
        else:
            self._waiting.append(relative)
        return below

    def _add(self, relative: str, lines: list[str], files: Mapping[str, os.stat_result]) -> None:
        self.entries += len(files) + len(lines) + bool(relative)
        self.digest.update(os.fsencode(f"{relative}\0{len(lines)}\0{''.join(lines)}"))
        sizes = array("q", map(_size_of, files.values()))
        self.digest.update(os.fsencode(f"{len(sizes)}\0{'/'.join(files)}/"))
        self.digest.update(sizes.tobytes())
        self.size += sum(sizes)
        self.times += map(_time_of, files.values())
        if self._seen is not None:
            self._seen(relative, files)

    def _names(self, relative: str, folder: int) -> list[str]:
        if self._at_most is None:
            names = os.listdir(folder)
        else:
            with os.scandir(folder) as listing:  # no more of a million names than need be
                names = [entry.name for entry in islice(listing, self._at_most + 1)]
        names = self._uncounted.without(names, relative)
        if self._store_files:
            status = os.fstat(folder)
            hidden = self._store_files.get((status.st_dev, status.st_ino), ())
            names = [name for name in names if name not in hidden]
        if self._at_most is not None and self.entries + len(names) > self._at_most:
            raise TooManyEntriesError
        names.sort()
        return names

    def _look_at(self, names: list[str], folder: int) -> dict[str, os.stat_result]:
        """Give the status of each name that is still there."""
        found: dict[str, os.stat_result] = {}
        look = self._look
        for batch in _batches(names):
            try:
                found.update(zip(batch, [look(name, dir_fd=folder) for name in batch], strict=True))
            except FileNotFoundError:
                for name in batch:
                    with suppress(FileNotFoundError):
                        found[name] = look(name, dir_fd=folder)
            self.progress(self.entries + len(found))
        return found


def _batches(names: list[str]) -> Iterator[list[str]]:
    return (names[start : start + _BATCH] for start in range(0, len(names), _BATCH))


def _is_folder(status: os.stat_result | None) -> bool:
    return status is not None and stat.S_ISDIR(status.st_mode)


def _take_others(files: dict[str, os.stat_result]) -> dict[str, int]:
    """Take from entries what is no plain file. Returns the kind of each."""
    if all(map(stat.S_ISREG, set(map(_mode_of, files.values())))):
        return {}
    others = {
        name: stat.S_IFMT(status.st_mode)
        for name, status in files.items()
        if not stat.S_ISREG(status.st_mode)
    }
    for name in others:
        del files[name]
    return others


def _link_text(name: str, kind: int, folder: int) -> str:
    if not stat.S_ISLNK(kind):
        return ""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # replaced since: no look is right now
            return ""
        raise


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
