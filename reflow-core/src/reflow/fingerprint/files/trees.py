"""One pass over everything below a folder: names, kinds, sizes, link texts, and times of files.

Links are not followed, and nothing but folders is opened (plain files, too, where that is asked
for), so that nothing blocks: a FIFO or a device is an entry like any other. An entry that vanishes
during the walk is left out. An entry that cannot be read ends the walk with the `OSError`.

A tree may have a million entries, and asking the system for their status should be what takes the
time. So little is done for each entry, and the rest for a folder as a whole.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import compress, islice

_NEVER_COUNTED = ((".nfs", ".nft"), ("__pycache__", "__pycache__\0"))
"""Ranges of names that never count, from the first up to before the second: of what was removed
while an NFS client had it open, and of folders that Python writes."""
_RUN_FOLDER, _LOGS = ".reflow", "logs"
_STORE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What the system says of a folder that was removed or replaced after it was listed."""
_BATCH = 10_000
"""Entries of one folder between two words on progress."""


Look = Callable[[Sequence[str], int], list[os.stat_result]]
"""Gives the status of each name in an open folder; never that of what a link leads to. Raises
`FileNotFoundError` where one of them is not there."""


def by_name(names: Sequence[str], folder: int) -> list[os.stat_result]:
    """Ask for the status by name, which a file server's client may answer from memory."""
    # All in one loop with a local function: over a million entries each extra call matters.
    lstat = os.lstat
    return [lstat(name, dir_fd=folder) for name in names]


Seen = Callable[[str, Mapping[str, os.stat_result]], None]
"""Is told each folder's relative path, with a slash at its end, and its files."""


class TooManyEntriesError(Exception):
    """A tree has more entries than the limit of the look."""


@dataclass(slots=True)
class Tree:
    """The findings of a walk."""

    digest: str
    """Of names, kinds, sizes and link texts."""
    entries: int
    size: int
    times: list[int] = field(repr=False)
    """Of files, in ns since 1970, in the order of the digest."""


class Uncounted:
    """Decides which entries of trees do not count."""

    def __init__(self, ignore: Sequence[str], store_files: Sequence[str]) -> None:
        """Take patterns for names, or with a slash for relative paths; and database files."""
        names = [fnmatch.translate(each) for each in ignore if "/" not in each]
        paths = [fnmatch.translate(each) for each in ignore if "/" in each]
        self._name = re.compile("|".join(names)).fullmatch if names else None
        self._path = re.compile("|".join(paths)).fullmatch if paths else None
        self._store_files = [os.path.split(os.path.abspath(file)) for file in store_files]  # noqa: PTH100

    def store_files(self) -> dict[tuple[int, int], set[str]]:
        """Names of the files of stores, by device and inode of their folder."""
        found: dict[tuple[int, int], set[str]] = {}
        for folder, name in self._store_files:
            try:
                status = os.stat(folder)  # noqa: PTH116
            except OSError:
                continue  # then the file does not exist either
            names = found.setdefault((status.st_dev, status.st_ino), set())
            names.update(name + suffix for suffix in _STORE_SUFFIXES)
        return found

    def without(self, names: list[str], relative: str) -> list[str]:
        """Remove from a folder's sorted names those that do not count, by name or relative path.

        The names that never count are found by bisection: hardly a folder has one.
        """
        for first, behind in _NEVER_COUNTED:
            del names[bisect_left(names, first) : bisect_left(names, behind)]
        if self._name is not None:
            names = [name for name in names if not self._name(name)]
        if self._path is not None:
            names = [name for name in names if not self._path(relative + name)]
        return names


def walk(
    root: str,
    uncounted: Uncounted,
    *,
    look: Look,
    few: int,
    seen: Seen | None = None,
    at_most: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tree:
    """Look at everything below a folder: with `look` at the first `few` entries, by name at others.

    `progress` is given the number of entries so far, often. Raises `OSError` for what cannot be
    read, and `TooManyEntriesError` after more than `at_most` entries.
    """
    walking = _Walk(uncounted, look, few, seen, at_most, progress or _say_nothing)
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
    """Visits folders one by one, and adds up."""

    def __init__(
        self,
        uncounted: Uncounted,
        look: Look,
        few: int,
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
        self._few = few
        self._seen = seen
        self._at_most = at_most
        self.progress = progress

    def folder(self, relative: str, path: str) -> list[str]:
        """Count a folder and its entries; return the names of the folders in it, in order."""
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
        others = files.take_others()
        is_run = stat.S_ISDIR(others.get(_RUN_FOLDER, 0))
        if is_run:
            for name in (_RUN_FOLDER, _LOGS):
                if stat.S_ISDIR(others.get(name, 0)):
                    del others[name]
        below = [name for name, kind in others.items() if stat.S_ISDIR(kind)]
        lines = [
            f"{kind:o}\0{name}\0{_link_text(name, kind, folder)}\0"
            for name, kind in others.items()
            if not stat.S_ISDIR(kind)
        ]
        while self._waiting and not relative.startswith(self._waiting[-1]):
            self._waiting.pop()
        if files.names or lines or not (below or is_run):
            for around in self._waiting:
                self._add(around, [], _Entries())
            self._waiting.clear()
            self._add(relative, lines, files)
        else:
            self._waiting.append(relative)
        return below

    def _add(self, relative: str, lines: list[str], files: _Entries) -> None:
        self.entries += len(files.names) + len(lines) + bool(relative)
        self.digest.update(os.fsencode(f"{relative}\0{len(lines)}\0{''.join(lines)}"))
        self.digest.update(os.fsencode(f"{len(files.names)}\0{'/'.join(files.names)}/"))
        self.digest.update(array("q", files.sizes).tobytes())
        self.size += sum(files.sizes)
        self.times += files.times
        if self._seen is not None:
            self._seen(relative, dict(zip(files.names, files.statuses, strict=True)))

    def _names(self, relative: str, folder: int) -> list[str]:
        if self._at_most is None:
            names = os.listdir(folder)
        else:
            with os.scandir(folder) as listing:  # no more of a million names than need be
                names = [entry.name for entry in islice(listing, self._at_most + 1)]
        if self._at_most is not None and self.entries + len(names) > self._at_most:
            raise TooManyEntriesError
        names.sort()
        names = self._uncounted.without(names, relative)
        if self._store_files:
            status = os.fstat(folder)
            hidden = self._store_files.get((status.st_dev, status.st_ino))
            if hidden is not None:
                names = [name for name in names if name not in hidden]
        return names

    def _look_at(self, names: list[str], folder: int) -> _Entries:
        """Ask for the status of each name; leave out what has vanished."""
        found = _Entries()
        few = max(0, self._few - self.entries)
        batches = [(self._look, names[:few])] if few else []
        batches += [
            (by_name, names[start : start + _BATCH]) for start in range(few, len(names), _BATCH)
        ]
        for look, there in batches:
            try:
                statuses = look(there, folder)
            except FileNotFoundError:
                there, statuses = _one_by_one(look, there, folder)
            found.add(there, statuses, keep=self._seen is not None)
            if look is by_name:
                self.progress(self.entries + len(found.names))
        return found


@dataclass(slots=True)
class _Entries:
    """The entries of a folder, one list for each thing that is known of all."""

    names: list[str] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    statuses: list[os.stat_result] = field(default_factory=list)
    """Empty unless requested."""

    def add(self, names: list[str], statuses: list[os.stat_result], keep: bool) -> None:
        """Add what is known of some names; all of it where it is to be kept."""
        self.names += names
        # By position: a million times, it matters.
        self.modes += [status[0] for status in statuses]
        self.sizes += [status[6] for status in statuses]
        self.times += [status.st_mtime_ns for status in statuses]
        if keep:
            self.statuses += statuses

    def take_others(self) -> dict[str, int]:
        """Keep plain files only; return the mode of each of the others, by name."""
        if all(map(stat.S_ISREG, set(self.modes))):
            return {}
        plain = [stat.S_ISREG(mode) for mode in self.modes]
        others = {
            name: stat.S_IFMT(mode)
            for name, mode, is_plain in zip(self.names, self.modes, plain, strict=True)
            if not is_plain
        }
        self.names = list(compress(self.names, plain))
        self.sizes = list(compress(self.sizes, plain))
        self.times = list(compress(self.times, plain))
        self.statuses = list(compress(self.statuses, plain))
        return others


def _one_by_one(
    look: Look, names: Sequence[str], folder: int
) -> tuple[list[str], list[os.stat_result]]:
    """Look at names of which some have vanished; return those that are there."""
    there: list[str] = []
    statuses: list[os.stat_result] = []
    for name in names:
        with suppress(FileNotFoundError):
            statuses += look([name], folder)
            there.append(name)
    return there, statuses


def _link_text(name: str, kind: int, folder: int) -> str:
    if not stat.S_ISLNK(kind):
        return ""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (
            errno.ENOENT,
            errno.EINVAL,
        ):  # replaced meanwhile: no look would be right
            return ""
        raise


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
