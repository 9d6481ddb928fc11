"""Array indices as Slurm reads and writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence

WRITTEN_AT_MOST = 64
"""Characters of an irregular list before it is cut, unless SLURM_BITSTR_LEN is 0."""

_PART = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?$")


def parse_list(text: str) -> list[int] | None:
    """Read `0-9:3,12`, sorted and without doubles; None for what Slurm calls invalid."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.match(part)
        if match is None:
            return None
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        step = int(match[3]) if match[3] else 1
        if last < first or step < 1 or last - first > 10**7:
            return None
        found.update(range(first, last + 1, step))
    return sorted(found)


def parse_array(text: str, largest: int) -> tuple[list[int], int | None] | None:
    """Read the value of `--array`: the indices and the limit after `%`; None for invalid."""
    listed, percent, limit = text.partition("%")
    if percent and not limit.isdigit():
        return None
    indices = parse_list(listed)
    if not indices or indices[-1] > largest:
        return None
    return indices, int(limit or 0) or None


def write_list(indices: Sequence[int]) -> str:
    """Write indices as Slurm does: `0-9`, `1-199:2`, `2-3,5,7`."""
    if len(indices) > 4:
        step = indices[1] - indices[0]
        if step > 1 and list(indices) == list(range(indices[0], indices[-1] + 1, step)):
            return f"{indices[0]}-{indices[-1]}:{step}"
    parts: list[str] = []
    start = previous = indices[0]
    for index in [*indices[1:], None]:
        if index is not None and index == previous + 1:
            previous = index
            continue
        parts.append(str(start) if start == previous else f"{start}-{previous}")
        if index is not None:
            start = previous = index
    return ",".join(parts)


def cut(text: str, *, whole: bool) -> str:
    """Cut a list of indices as slurmctld does before it sends it to anybody."""
    if whole or len(text) < WRITTEN_AT_MOST:
        return text
    return text[: WRITTEN_AT_MOST - 4] + "..."
