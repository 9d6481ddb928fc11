"""The configuration of a cluster: lsf.conf, and the output of bparams."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from reflow.plugin_api import ConfigError

_SETTING = re.compile(
    r"^[ \t]*(\w+)[ \t]*=[ \t]*[\"']?([^\"'#\n]*?)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE
)
_ARRAY_SIZE = re.compile(r"^\s*MAX_JOB_ARRAY_SIZE\s*=\s*(\d+)", re.MULTILINE)

UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4, "PB": 1024**5, "EB": 1024**6}


@dataclass(frozen=True, slots=True)
class Memory:
    """How a cluster counts memory."""

    limit_unit: str = "KB"
    """The unit of a number after `-M`."""
    reserve_unit: str = "MB"
    """The unit of a number in `rusage[mem=]`."""
    per: str = "process"
    """What `-M` limits: each process of a job, or the job as a whole."""
    enforced: bool = False
    """Whether LSF itself ends jobs that exceed their limit."""


def memory(text: str) -> Memory:
    """Parse how a cluster counts memory from the text of lsf.conf.

    It is set by LSF_UNIT_FOR_LIMITS, LSB_JOB_MEMLIMIT for limits per job, and LSB_MEMLIMIT_ENFORCE
    for limits per process that LSF is to enforce. LSF's defaults are KB for limits and MB for
    reservations, per process.
    """
    found, default = dict(_SETTING.findall(text)), Memory()
    unit = _unit(found.get("LSF_UNIT_FOR_LIMITS", ""))
    per_job = _is_yes(found.get("LSB_JOB_MEMLIMIT", ""))
    return Memory(
        limit_unit=unit or default.limit_unit,
        reserve_unit=unit or default.reserve_unit,
        per="job" if per_job else default.per,
        enforced=per_job or _is_yes(found.get("LSB_MEMLIMIT_ENFORCE", "")),
    )


def chosen(unit: str | None, per: str | None) -> Memory:
    """Choose how this site counts memory: by the settings, then by its lsf.conf.

    Raises `ConfigError` for an unknown unit.
    """
    found = memory(read(os.environ.get("LSF_ENVDIR")))
    if unit is not None:
        if unit not in UNITS:
            raise ConfigError(f"memory_unit={unit!r} is none of {', '.join(UNITS)}")
        found = replace(found, limit_unit=unit, reserve_unit=unit)
    return replace(found, per=per or found.per)


def read(folder: str | None) -> str:
    """Read lsf.conf in LSF_ENVDIR; an empty text where this machine has none."""
    path = Path(folder or "/etc") / "lsf.conf"
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def largest_array(text: str) -> int | None:
    """Parse the most elements of an array in the answer of `bparams -l`."""
    found = _ARRAY_SIZE.search(text)
    return int(found[1]) if found else None


def _is_yes(word: str) -> bool:
    return word.strip().lower() in ("y", "yes")


def _unit(word: str) -> str | None:
    """Parse a unit: `GB`, also written `G` or `gb`."""
    unit = word.strip().upper()
    unit = unit if unit.endswith("B") else f"{unit}B"
    return unit if unit in UNITS else None
