"""Telling a death for want of memory from any other by signal 9, where only a log can."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from reflow.plugin_api import LOG_NAME, JobHandle

from reflow_slurm.parse import Row

_KILLED = re.compile(
    r"(?:StepId=|Step |Job )(?P<job>[\d_]+)\S* exceeded memory limit .*being killed"
)


def killed_for_memory(rows: Iterable[Row], handles: Sequence[JobHandle]) -> set[str]:
    """Ids of jobs that were; the logs are read of those of which signal 9 has ended something."""
    suspects = {row.array_id for row in rows if row.signal == 9}
    killed: set[str] = set()
    for handle in handles:
        if handle.directory is not None and handle.native_id.partition("_")[0] in suspects:
            killed |= told_by(_text_of(handle.directory / LOG_NAME))
    return killed


def told_by(log: str) -> set[str]:
    """Ids of jobs that slurmstepd says it killed because polling found them over their memory.

    Slurm itself reports these as killed by signal 9, like any other.
    """
    return {found["job"] for found in _KILLED.finditer(log)}


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
