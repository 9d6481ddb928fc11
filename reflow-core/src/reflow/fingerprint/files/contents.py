"""The contents of files and folders, as one digest each, and the memory of earlier readings.

The digest is SHA-256: processors have instructions for it, and it must be the same on every host.
Contents are read in pieces, by a few threads where there are many files, so that neither large
files nor large trees take much memory. A file that changes while it is read has no digest.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Protocol

from reflow.errors import StoredValueError
from reflow.fingerprint.files.stamps import status_stamp
from reflow.model.canonical import dumps, loads

_PIECE = 2**20
"""Bytes read at once."""
_THREADS = 4
_BATCH = 1_000
"""Files handed to the threads at once."""
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Memory(Protocol):
    """Remembers the contents of places. One that forgets is only slower."""

    def recall(self, place: str, stamp: str) -> str | None:
        """Return the digest of what was at a place when it had this stamp."""
        ...

    def remember(self, place: str, stamp: str, content: str) -> None:
        """Remember the digest that was read."""
        ...


class OwnMemory:
    """Remembers within the process."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def recall(self, place: str, stamp: str) -> str | None:
        """Return what was read in this process."""
        return self._known.get((place, stamp))

    def remember(self, place: str, stamp: str, content: str) -> None:
        """Remember what was read in this process."""
        self._known[place, stamp] = content


class FolderMemory:
    """Remembers in a folder: one small file for each place, the newest reading of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def recall(self, place: str, stamp: str) -> str | None:
        """Return what the latest process to read the place found."""
        try:
            data = loads(self._file(place).read_text())
        except (OSError, ValueError, StoredValueError):
            return None
        match data:
            case [str(known), str(known_stamp), str(content)]:
                return content if (known, known_stamp) == (place, stamp) else None
        return None

    def remember(self, place: str, stamp: str, content: str) -> None:
        """Write the digest to the folder, if that can be done."""
        file = self._file(place)
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        with suppress(OSError):
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(dumps([place, stamp, content]))
            draft.replace(file)

    def _file(self, place: str) -> Path:
        name = hashlib.sha256(os.fsencode(place)).hexdigest()
        return self._folder / name[:2] / name[2:]


class Contents:
    """Reads contents, unless the memory has them. `progress` is given the bytes read so far."""

    def __init__(self, memory: Memory, progress: Callable[[int], None] | None = None) -> None:
        self._memory = memory
        self._progress = progress

    def of_file(self, place: str, stamp: str, path: str) -> str:
        """Digest a file's bytes. Raises `OSError`, also where it changes meanwhile."""
        return self._remembered(place, stamp, lambda: self._read(path))

    def of_tree(self, place: str, stamp: str, start: str, files: Iterable[str]) -> str:
        """Digest a tree: `start`, which says what else there is, and the bytes of its files."""
        return self._remembered(place, stamp, lambda: self._read_all(start, files))

    def _remembered(self, place: str, stamp: str, read: Callable[[], str]) -> str:
        content = self._memory.recall(place, stamp)
        if content is None:
            content = read()
            self._memory.remember(place, stamp, content)
        return content

    def _read(self, path: str) -> str:
        done = 0
        digest = hashlib.sha256()
        for piece in _pieces(path, _OPEN):
            digest.update(piece)
            done += len(piece)
            self._tell(done)
        return digest.hexdigest()

    def _read_all(self, start: str, files: Iterable[str]) -> str:
        from concurrent.futures import ThreadPoolExecutor  # workers hardly ever need it

        whole = hashlib.sha256(start.encode())
        done = 0
        stop = Event()
        remaining = iter(files)
        with ThreadPoolExecutor(_THREADS) as pool:
            try:
                while batch := list(islice(remaining, _BATCH)):
                    for digest, size in pool.map(lambda path: _read_quietly(path, stop), batch):
                        whole.update(digest)
                        done += size
                        self._tell(done)
            finally:
                stop.set()  # after Ctrl-C or an error, the threads end with their piece
        return whole.hexdigest()

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done)


def _read_quietly(path: str, stop: Event) -> tuple[bytes, int]:
    digest, size = hashlib.sha256(), 0
    for piece in _pieces(path, _OPEN | os.O_NOFOLLOW):
        if stop.is_set():
            raise InterruptedError
        digest.update(piece)
        size += len(piece)
    return digest.digest(), size


def _pieces(path: str, flags: int) -> Iterator[memoryview]:
    """Read a plain file piece by piece; each piece is gone when the next is asked for."""
    descriptor = os.open(path, flags)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.ESTALE, "it is no plain file any more", path)
        view = memoryview(bytearray(min(_PIECE, before.st_size + 1)))
        done = 0
        # A file that grows all the time is not read for ever.
        while done <= before.st_size and (count := os.readv(descriptor, [view])):
            yield view[:count]
            done += count
        if status_stamp(os.fstat(descriptor)) != status_stamp(before):
            raise OSError(errno.EBUSY, "it changes while it is read", path)
    finally:
        os.close(descriptor)
