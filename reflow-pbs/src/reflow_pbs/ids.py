"""The ids of jobs, arrays and elements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reflow.plugin_api import contiguous

_ID = re.compile(r"(?P<number>\d+)(?:\[(?P<index>\d*)\])?(?:\.|$)")


@dataclass(frozen=True, slots=True)
class JobId:
    """A parsed id: `24.server`, `24[].server` or `24[3].server`; the server's name may vary."""

    number: str
    index: str | None
    """None for a plain job, empty for a whole array."""


def job_id(text: str) -> JobId | None:
    """Parse an id; None for a text that is none."""
    found = _ID.match(text)
    return JobId(found["number"], found["index"]) if found else None


def by_ranges(array: str, positions: Sequence[int]) -> list[str]:
    """Write `24[2-4].server` and `24[8].server`: one word for each range of indices."""
    before, _, after = array.partition("[]")
    return [
        f"{before}[{run.start}{f'-{run.stop - 1}' if len(run) > 1 else ''}]{after}"
        for run in contiguous(positions)
    ]
