"""The protocol of a pool and its workers, in records of fixed size.

Tokens name positions. All workers read them from one pipe, a token at a time: the kernel hands each
to exactly one worker, so that nothing waits behind a long element. Reports name positions whose
results are on the disk. Slots, in a file that all have open, record which element each worker runs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

TOKEN = struct.Struct("<II")
"""Number of the wave, position in it."""
_BEGUN = struct.Struct("<IId")
"""A token, and the time at which its element was begun."""
_TOLD = struct.Struct("<III")
"""A token, and why its element is to end."""
_SLOT_BYTES = 32
_TOLD_AT = _BEGUN.size
REPORTS_AT_ONCE = 512
"""So many tokens are written to a pipe in one piece (PIPE_BUF is 4096 bytes)."""


class Why(IntEnum):
    """Why a worker was told to end its element."""

    CANCELLED = 1
    WALLTIME = 2
    """The element has had all the time that it asked for."""
    MEMORY = 3
    """The element has more memory than it asked for."""
    LEAVING = 4
    """The job that runs the pool ends; the element is to be run again elsewhere."""


class Begun(NamedTuple):
    """The element that a worker runs."""

    at: tuple[int, int]
    time: float
    """Seconds since 1970."""


def pack(tokens: list[tuple[int, int]]) -> bytes:
    """Convert tokens to bytes."""
    return b"".join(TOKEN.pack(*token) for token in tokens)


def unpack(data: bytes) -> Iterator[tuple[int, int]]:
    """Read `pack` back."""
    return TOKEN.iter_unpack(data)


class Slots:
    """The element that each worker runs, and the one it was told to end.

    They are written to a file and not to shared memory: where the file lies in a run directory, it
    tells others which elements a pool that was killed had begun.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @staticmethod
    def size_for(workers: int) -> int:
        """Return how large the file must be, in bytes."""
        return workers * _SLOT_BYTES

    @staticmethod
    def workers_in(size: int) -> int:
        """Return for how many workers a file of so many bytes is."""
        return size // _SLOT_BYTES

    def set(self, worker: int, wave: int, position: int, time: float = 0.0) -> None:
        """Record the position that a worker runs. Waves count from 1, so that 0 means none."""
        os.pwrite(self._descriptor, _BEGUN.pack(wave, position, time), worker * _SLOT_BYTES)

    def clear(self, worker: int) -> None:
        """Record that a worker runs nothing."""
        self.set(worker, 0, 0)

    def get(self, worker: int) -> Begun | None:
        """Return the element that a worker runs."""
        return _begun(os.pread(self._descriptor, _BEGUN.size, worker * _SLOT_BYTES))

    def tell(self, worker: int, at: tuple[int, int] | None, why: Why = Why.CANCELLED) -> None:
        """Record what a worker is told to end, by a signal that may reach it too late."""
        data = _TOLD.pack(*(at or (0, 0)), why)
        os.pwrite(self._descriptor, data, worker * _SLOT_BYTES + _TOLD_AT)

    def told(self, worker: int) -> tuple[tuple[int, int], Why] | None:
        """Return the element that a worker was told to end, and why."""
        data = os.pread(self._descriptor, _TOLD.size, worker * _SLOT_BYTES + _TOLD_AT)
        if len(data) < _TOLD.size:
            return None
        wave, position, why = _TOLD.unpack(data)
        return ((wave, position), Why(why)) if wave and why in _REASONS else None


def begun_elements(data: bytes) -> Iterator[Begun]:
    """Yield the elements that the slots in a file's content name."""
    for start in range(0, len(data) - _SLOT_BYTES + 1, _SLOT_BYTES):
        begun = _begun(data[start : start + _BEGUN.size])
        if begun is not None:
            yield begun


_REASONS = frozenset(Why)


def _begun(data: bytes) -> Begun | None:
    # A file that was damaged tells of what is whole.
    if len(data) < _BEGUN.size:
        return None
    wave, position, time = _BEGUN.unpack(data)
    return Begun((wave, position), time) if wave else None
