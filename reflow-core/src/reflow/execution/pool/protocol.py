"""The protocol of the pool and its workers, in records of fixed size.

Tokens name positions. All workers read them from one pipe, a token at a time: the kernel hands each
to exactly one worker, so that nothing waits behind a long element. Reports name positions whose
results are on the disk. Slots, in memory that all share, record which element each worker runs.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

TOKEN = struct.Struct("<II")
"""Number of the wave, position in it."""
REPORTS_AT_ONCE = 512
"""So many tokens are written to a pipe in one piece (PIPE_BUF is 4096 bytes)."""


def pack(tokens: list[tuple[int, int]]) -> bytes:
    """Convert tokens to bytes."""
    return b"".join(TOKEN.pack(*token) for token in tokens)


def unpack(data: bytes) -> Iterator[tuple[int, int]]:
    """Read `pack` back."""
    return TOKEN.iter_unpack(data)


class Slots:
    """The element that each worker runs, and the one it was told to end: two tokens per worker.

    The slots are in a file that the pool and all workers have mapped.
    """

    def __init__(self, descriptor: int, workers: int) -> None:
        self._map = mmap.mmap(descriptor, self.size_for(workers))

    @staticmethod
    def size_for(workers: int) -> int:
        """Return how large the file must be, in bytes."""
        return 2 * workers * TOKEN.size

    def set(self, worker: int, wave: int, position: int) -> None:
        """Record the position that a worker runs. Waves count from 1, so that 0 means none."""
        TOKEN.pack_into(self._map, 2 * worker * TOKEN.size, wave, position)

    def clear(self, worker: int) -> None:
        """Record that a worker runs nothing."""
        self.set(worker, 0, 0)

    def get(self, worker: int) -> tuple[int, int] | None:
        """Return the element that a worker runs."""
        return self._token(2 * worker)

    def tell(self, worker: int, at: tuple[int, int] | None) -> None:
        """Record what a worker is told to end, by a signal that may reach it too late."""
        TOKEN.pack_into(self._map, (2 * worker + 1) * TOKEN.size, *(at or (0, 0)))

    def told(self, worker: int) -> tuple[int, int] | None:
        """Return the element that a worker was told to end."""
        return self._token(2 * worker + 1)

    def _token(self, place: int) -> tuple[int, int] | None:
        wave, position = TOKEN.unpack_from(self._map, place * TOKEN.size)
        return (wave, position) if wave else None
