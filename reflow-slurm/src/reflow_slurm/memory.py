"""Recognising jobs that were killed for their memory, where only the log tells."""

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
    """Return the ids of jobs that were killed for their memory, by the logs of such jobs.

    Only the logs of jobs in which signal 9 has ended a process are read.
    """
    suspects = {row.array_id for row in rows if row.signal == 9}
    killed: set[str] = set()
    for handle in handles:
        if handle.directory is not None and handle.native_id.partition("_")[0] in suspects:
            killed |= told_by(_text_of(handle.directory / LOG_NAME))
    return killed


def told_by(log: str) -> set[str]:
    """Return the ids of jobs that slurmstepd, in a log, says it killed for exceeding their memory.

    Slurm itself reports these as killed by signal 9, like any other job.
    """
    return {found["job"] for found in _KILLED.finditer(log)}


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
