"""How Grid Engine writes the ids of jobs and elements."""

from __future__ import annotations

import re


def submitted(printed: str) -> str | None:
    """The id in the answer of `qsub -terse`: `24` or `24.1-9:1`.

    A site's wrapper may print more before it.
    """
    found = re.findall(r"^(\d+)(?:\.\d+-\d+:\d+)?$", printed, re.MULTILINE)
    return found[-1] if found else None


def is_id(text: str) -> bool:
    """`24`, or `24.3` for an element; any other word would be a pattern for names."""
    return re.fullmatch(r"\d+(?:\.\d+)?(?:-\d+)?", text) is not None


def elements(job_id: str, indices: range) -> str:
    """`24.8` or `24.2-4`, by the scheduler's own numbers."""
    first, last = indices.start, indices.stop - 1
    return f"{job_id}.{first}" + (f"-{last}" if last > first else "")
