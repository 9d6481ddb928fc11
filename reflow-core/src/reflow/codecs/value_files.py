"""The files that hold bytes of values, where these are too many to stand in the store.

Up to `LONGEST_INLINE` bytes stay in the JSON. Up to `LONGEST_PACKED` are appended, aligned, to one
file of each process that writes, so that many elements do not make many files. Whatever is longer
has a file of its own, named by the digest of its content, which readers map into memory.
What refers to such bytes says where they lie and what they are: `FileReference`.

To compare the digest of what is mapped would be to read all of it, in each process that takes the
value. So this is done only where the file was written to since, as its time of modification says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from reflow.errors import MissingFileError, StoredValueError
from reflow.model.json import Json
from reflow.model.outcomes import HeldFile
from reflow.permissions import FILE_MODE, make_folder

LONGEST_INLINE = 4 << 10
LONGEST_PACKED = 1 << 20
ALIGNMENT = 64
"""Bytes; a multiple of what any processor needs, and what `.npy` and Arrow files align to."""
_CHUNK = 4 << 20
_READ_ONLY = FILE_MODE & ~0o222
_LOOK_EVERY = 0.1
_BEFORE = 2
"""Seconds by which files are made older than they are: some file systems count in two seconds."""


@dataclass(frozen=True, slots=True)
class FileReference:
    """Bytes in a file: where they lie, how many they are, and their SHA-256."""

    path: str
    offset: int
    length: int
    digest: str
    written: int = 0
    """When a file of its own was last written to, in nanoseconds."""

    @property
    def end(self) -> int:
        """How long the file must be at least."""
        return self.offset + self.length

    @property
    def held(self) -> HeldFile:
        """The file."""
        return HeldFile(self.path, self.end, self.written)

    def as_json(self) -> Json:
        """Return what `from_json` reads."""
        data: list[Json] = [self.path, self.offset, self.length, self.digest]
        return [*data, self.written] if self.written else data

    @classmethod
    def from_json(cls, data: Json) -> FileReference:
        """Read `as_json` back. Raises `StoredValueError`."""
        match data:
            case [str() as path, int() as offset, int() as length, str() as digest]:
                return cls(path, offset, length, digest)
            case [str() as path, int() as offset, int() as length, str() as digest, int() as at]:
                return cls(path, offset, length, digest, at)
        raise StoredValueError(f"no reference to a part of a file: {str(data)[:80]}")

    def read(self, *, check: bool = False, patience: float = 0.0) -> memoryview:
        """Return the bytes, which may be changed: the file stays as it is.

        Where they are not there, wait for them for `patience` seconds, as another host may have
        written them just now. `check` compares the digest of what is mapped, as is done without it
        where the file was written to meanwhile; what is short enough to be read at once is always
        compared. Raises `MissingFileError` where the file is gone, too short, or holds something
        else.
        """
        until = time.monotonic() + patience
        while (found := self._found()) is None:
            if time.monotonic() >= until:
                raise MissingFileError(self.path)
            time.sleep(_LOOK_EVERY)
        content, written = found
        if check or self.length <= LONGEST_PACKED or written != self.written:
            self.require(content)
        return content

    def require(self, content: memoryview) -> None:
        """Raise `MissingFileError` unless bytes are those that were stored, by their digest."""
        if sha256(content).hexdigest() != self.digest:
            raise MissingFileError(self.path, "is damaged: it does not hold what was stored")

    def _found(self) -> tuple[memoryview, int] | None:
        """Return the bytes, and when the file was written to; None where they are not there."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if status.st_size < self.end:
                return None
            read = self._copied if self.length <= LONGEST_PACKED else self._mapped
            content = read(descriptor)
            return None if content is None else (content, status.st_mtime_ns)
        finally:
            os.close(descriptor)

    def _copied(self, descriptor: int) -> memoryview | None:
        content = memoryview(bytearray(self.length))
        done = 0
        while done < self.length:
            count = os.preadv(descriptor, [content[done:]], self.offset + done)
            if not count:
                return None
            done += count
        return content

    def _mapped(self, descriptor: int) -> memoryview:
        """Map the bytes privately: pages are shared with all who read them, until changed."""
        import mmap

        start = self.offset - self.offset % mmap.ALLOCATIONGRANULARITY
        mapped = mmap.mmap(descriptor, self.end - start, access=mmap.ACCESS_COPY, offset=start)
        return memoryview(mapped)[self.offset - start :]


class ValueFiles:
    """Writes bytes of values into files below one folder."""

    def __init__(self, directory: Path, packed: Path | None = None) -> None:
        """Append short ones to a file in the folder `packed`; without it each has its own file."""
        self._directory = directory
        self._packed = packed
        self._path = ""
        self._descriptor = -1
        self._end = 0
        self._unsynced = False

    def put(
        self, pieces: Sequence[memoryview], suffix: str, own_file: bool = False
    ) -> FileReference:
        """Write the bytes of all pieces and return the reference to them.

        What was appended is on the disk after `sync` only. Raises `OSError`.
        """
        length = sum(piece.nbytes for piece in pieces)
        if self._packed is not None and length <= LONGEST_PACKED and not own_file:
            return self._append(self._packed, b"".join(pieces))
        return self._write(list(_chunks(pieces)), length, suffix)

    def sync(self) -> None:
        """Put what was appended on the disk, before anything refers to it. Raises `OSError`."""
        if self._unsynced:
            # First: another thread may append meanwhile, which the next call is for.
            self._unsynced = False
            try:
                os.fsync(self._descriptor)
            except OSError:
                self._unsynced = True
                raise

    def close(self) -> None:
        """Close the file that short ones were appended to."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, folder: Path, content: bytes) -> FileReference:
        if self._descriptor < 0:
            self._begin(folder)
        start = -(-self._end // ALIGNMENT) * ALIGNMENT
        done = 0
        while done < len(content):
            done += os.pwrite(self._descriptor, content[done:], start + done)
        self._end = start + done
        self._unsynced = True
        return FileReference(self._path, start, len(content), sha256(content).hexdigest())

    def _begin(self, folder: Path) -> None:
        name = os.urandom(8).hex()
        path = folder / name[:2] / f"{name}.values"
        make_folder(path.parent, within=self._directory.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, FILE_MODE)
        self._path, self._end = str(path), 0

    def _write(self, chunks: Sequence[memoryview], length: int, suffix: str) -> FileReference:
        from concurrent.futures import ThreadPoolExecutor

        make_folder(self._directory, within=self._directory.parent)
        temporary = self._directory / f".{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, _READ_ONLY)
        digest = sha256()
        try:
            try:
                with ThreadPoolExecutor(1) as beside:  # one, so that chunks keep their order
                    for chunk in chunks:
                        beside.submit(digest.update, chunk)
                        _write_all(descriptor, chunk)
                    _set_time(descriptor)
                    os.fsync(descriptor)
                    written = os.fstat(descriptor).st_mtime_ns
            finally:
                os.close(descriptor)
            return self._named(temporary, length, digest.hexdigest(), suffix, written)
        finally:
            temporary.unlink(missing_ok=True)

    def _named(
        self, temporary: Path, length: int, digest: str, suffix: str, written: int
    ) -> FileReference:
        """Name a file by its content, unless an intact file of that name is there."""
        path = self._directory / digest[:2] / f"{digest}{suffix}"
        reference = FileReference(str(path), 0, length, digest, written)
        try:
            there = replace(reference, written=path.stat().st_mtime_ns)
        except OSError:
            there = reference
        if is_intact(there):
            return there
        make_folder(path.parent, within=self._directory.parent)
        temporary.replace(path)
        return reference


def is_intact(reference: FileReference, *, check: bool = True) -> bool:
    """Tell whether a file holds what was stored in it, by its digest.

    Without `check` the digest is compared only where `FileReference.read` does so.
    """
    try:
        reference.read(check=check)
    except StoredValueError:
        return False
    return True


def _chunks(pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    for piece in pieces:
        flat = piece.cast("B") if piece.nbytes else piece
        for start in range(0, piece.nbytes, _CHUNK):
            yield flat[start : start + _CHUNK]


def _set_time(descriptor: int) -> None:
    """Set the time at which a file was written to one that writing to it again cannot give it.

    Full seconds are what every file system keeps, and what all hosts are told alike.
    """
    seconds = int(time.time()) - _BEFORE
    with suppress(OSError):  # then it has the time that it has
        os.utime(descriptor, (seconds, seconds))


def _write_all(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
