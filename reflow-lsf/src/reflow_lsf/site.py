"""Reading how a cluster is set up: lsf.conf, and what bparams prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SETTING = re.compile(
    r"^[ \t]*(\w+)[ \t]*=[ \t]*[\"']?([^\"'#\n]*?)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE
)
_ARRAY_SIZE = re.compile(r"^\s*MAX_JOB_ARRAY_SIZE\s*=\s*(\d+)", re.MULTILINE)

UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4, "PB": 1024**5, "EB": 1024**6}


@dataclass(frozen=True, slots=True)
class Memory:
    """How a cluster counts memory."""

    limit_unit: str = "KB"
    """What a number after `-M` is in."""
    reserve_unit: str = "MB"
    """What a number in `rusage[mem=]` is in."""
    per: str = "process"
    """What `-M` limits: each process of a job, or the job as a whole."""


def memory(text: str) -> Memory:
    """What lsf.conf says: LSF_UNIT_FOR_LIMITS, and LSB_JOB_MEMLIMIT for limits per job.

    Where it says nothing, LSF's own: KB for limits and MB for reservations, per process.
    """
    found = dict(_SETTING.findall(text))
    unit = _unit(found.get("LSF_UNIT_FOR_LIMITS", ""))
    per = "job" if found.get("LSB_JOB_MEMLIMIT", "").lower() in ("y", "yes") else "process"
    return Memory(per=per) if unit is None else Memory(unit, unit, per)


def read(folder: str | None) -> str:
    """The text of lsf.conf in LSF_ENVDIR; nothing where this machine has none."""
    path = Path(folder or "/etc") / "lsf.conf"
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def largest_array(text: str) -> int | None:
    """Most elements of an array, in the answer of `bparams -l`."""
    found = _ARRAY_SIZE.search(text)
    return int(found[1]) if found else None


def _unit(word: str) -> str | None:
    """`GB`, also written `G` or `gb`."""
    unit = word.strip().upper()
    unit = unit if unit.endswith("B") else f"{unit}B"
    return unit if unit in UNITS else None
