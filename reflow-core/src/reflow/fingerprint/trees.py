"""One pass over everything below a folder: names, kinds, sizes, link texts, and times of files.

Links are not followed, and nothing but folders is opened (plain files, too, where that is asked
for), so that nothing waits: a FIFO or a device is an entry like any other. What vanishes while
the walk goes on is not there. What cannot be read ends it with the `OSError`.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

_NEVER_COUNTED = (r"\.nfs.*", "__pycache__")
"""Names of what was removed while an NFS client had it open, and of folders that Python writes."""
_RUN_FOLDER, _LOGS = ".reflow", "logs"
_STORE_SUFFIXES = ("", "-wal", "-shm", "-journal")
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""What the system says of a folder that was removed or replaced after it was listed."""

_by_name = attrgetter("name")

Look = Callable[["os.DirEntry[str]", int], os.stat_result]
"""Gives the status of an entry in the open folder; never that of what a link leads to."""
Seen = Callable[[str, os.stat_result], None]
"""Is told the relative path and status of each file, in the order of the digest."""


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
        self.name = re.compile("|".join((*_NEVER_COUNTED, *names)), re.DOTALL).fullmatch
        self.path = re.compile("|".join(paths)).fullmatch if paths else None
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


def look(entry: os.DirEntry[str], folder: int) -> os.stat_result:
    """Ask for the status of an entry, which a file server's client may answer from memory."""
    return entry.stat(follow_symlinks=False)


def walk(
    root: str,
    uncounted: Uncounted,
    *,
    look: Look = look,
    seen: Seen | None = None,
    at_most: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tree:
    """Look at everything below a folder.

    `progress` is given the number of entries so far, folder by folder. Raises `OSError` for what
    cannot be read, and `TooManyEntriesError` after more than `at_most` entries.
    """
    walking = _Walk(uncounted, look, seen)
    folders = [("", root)]
    while folders:
        relative, path = folders.pop()
        below = walking.folder(relative, path)
        folders += ((f"{relative}{name}/", f"{path}/{name}") for name in reversed(below))
        if progress is not None:
            progress(walking.entries)
        if at_most is not None and walking.entries > at_most:
            raise TooManyEntriesError(root)
    return Tree(walking.digest.hexdigest(), walking.entries, walking.size, walking.times)


class _Walk:
    """Takes folders one by one, and adds up."""

    def __init__(self, uncounted: Uncounted, look: Look, seen: Seen | None) -> None:
        self.digest = hashlib.sha256()
        self.entries = 0
        self.size = 0
        self.times: list[int] = []
        self._uncounted = uncounted
        self._store_files = uncounted.store_files()
        self._look = look
        self._seen = seen

    def folder(self, relative: str, path: str) -> list[str]:
        """Count a folder and what is in it. Returns the names of the folders there, sorted."""
        try:
            descriptor = os.open(path, _OPEN_FOLDER | (os.O_NOFOLLOW if relative else 0))
        except OSError as error:
            if relative and error.errno in _VANISHED:
                return []
            raise
        try:
            with os.scandir(descriptor) as listing:
                entries = sorted(listing, key=_by_name)
            is_run, entries = self._counted(entries, relative, descriptor)
            return self._entries(entries, relative, descriptor, is_run)
        except OSError as error:
            error.filename = path if isinstance(error.filename, int | None) else error.filename
            raise
        finally:
            os.close(descriptor)

    def _counted(
        self, entries: list[os.DirEntry[str]], relative: str, descriptor: int
    ) -> tuple[bool, list[os.DirEntry[str]]]:
        """Leave out what does not count, and say whether this is a run directory."""
        is_run = any(each.name == _RUN_FOLDER and _is_folder(each) for each in entries)
        if is_run:
            entries = [
                each
                for each in entries
                if each.name not in (_RUN_FOLDER, _LOGS) or not _is_folder(each)
            ]
        if self._store_files:
            status = os.fstat(descriptor)
            hidden = self._store_files.get((status.st_dev, status.st_ino), ())
            entries = [each for each in entries if each.name not in hidden]
        name, path = self._uncounted.name, self._uncounted.path
        entries = [each for each in entries if name(each.name) is None]
        if path is not None:
            entries = [each for each in entries if path(relative + each.name) is None]
        return is_run, entries

    def _entries(
        self, entries: Iterable[os.DirEntry[str]], relative: str, descriptor: int, is_run: bool
    ) -> list[str]:
        written: list[str] = []
        below: list[str] = []
        for entry in entries:
            try:
                status = self._look(entry, descriptor)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFREG:
                    written.append(f"file\0{entry.name}\0{status.st_size}\0")
                    self.size += status.st_size
                    self.times.append(status.st_mtime_ns)
                    if self._seen is not None:
                        self._seen(relative + entry.name, status)
                elif kind == stat.S_IFDIR:
                    below.append(entry.name)
                elif kind == stat.S_IFLNK:
                    text = os.readlink(entry.name, dir_fd=descriptor)
                    written.append(f"link\0{entry.name}\0{text}\0")
                else:
                    written.append(f"{kind:o}\0{entry.name}\0\0")
            except FileNotFoundError:
                continue
        # A folder counts by being listed here; one that holds a run and nothing else does not.
        if written or below or not is_run:
            self.digest.update(os.fsencode(f"folder\0{relative}\0{''.join(written)}"))
            self.entries += len(written) + bool(relative)
        return below


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)
