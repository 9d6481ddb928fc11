"""Naming jobs and elements of arrays in commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reflow.plugin_api import ArrayStyle, JobStatus, index_list

ARRAY = ArrayStyle(base=1, variable="LSB_JOBINDEX")

_LONGEST = 400
"""The most characters of a word: LSF's commands copy it into a line of 512 (MAXLINELEN; 4096 in
OpenLava 4) without checking its length."""
_ENDED_AT_ONCE = 1000
"""The most elements that one bkill ends; each takes a few milliseconds."""


def names(native_id: str, positions: Iterable[int]) -> Sequence[str]:
    """Write `24[1-3,7]`, or several such words where one would be too long for LSF."""
    found: list[str] = []
    for run in index_list(map(ARRAY.index, positions)).split(","):
        if found and len(found[-1]) + len(run) < _LONGEST:
            found[-1] = f"{found[-1].removesuffix(']')},{run}]"
        else:
            found.append(f"{native_id}[{run}]")
    return found


def of(status: JobStatus) -> Sequence[str]:
    """Write the ids of the job, or of the elements, that a status is about."""
    if status.positions is None:
        return [status.native_id]
    return names(status.native_id, status.positions)


def blocks(size: int) -> Iterator[range]:
    """Yield the positions of an array in ranges that one bkill is to end."""
    for start in range(0, size, _ENDED_AT_ONCE):
        yield range(start, min(start + _ENDED_AT_ONCE, size))
