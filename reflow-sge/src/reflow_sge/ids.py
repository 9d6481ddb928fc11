"""How Grid Engine writes the ids of jobs and elements."""

from __future__ import annotations


def elements(job_id: str, indices: range) -> str:
    """Write `24.8` or `24.2-4`, with the scheduler's own indices."""
    first, last = indices.start, indices.stop - 1
    return f"{job_id}.{first}" + (f"-{last}" if last > first else "")
