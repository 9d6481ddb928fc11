"""Finding Grid Engine's commands: PBS has a qsub, a qstat and a qdel of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from reflow.plugin_api import Command, CommandResult, SchedulerUnavailableError

_OURS = re.compile(r"^\s*(?:\w+/)?\w*GE\b")
"""How `qstat -help` of every Grid Engine begins: `SGE 8.1.9`, `GE 6.2u5`, `OGS/GE 2011.11`."""


def folder_of(qstat: str, run: Callable[[Command], CommandResult]) -> str:
    """Where Grid Engine's commands are, of all that are called so; empty: the first on PATH.

    Raises `SchedulerUnavailableError` where there are only another batch system's.
    """
    on_path = [folder for folder in os.get_exec_path() if _holds(folder, qstat)]
    elsewhere = [folder for folder in _of_jobs(os.environ) if _holds(folder, qstat)]
    for folder in (*on_path, *elsewhere):
        result = run(Command((f"{folder}/{qstat}", "-help")))
        if _OURS.match(result.stdout) or _OURS.match(result.stderr):
            return "" if on_path[:1] == [folder] else folder
    if not on_path:
        return ""
    raise SchedulerUnavailableError(
        f"{on_path[0]}/{qstat} is not Grid Engine's, but another batch system's. Name "
        'Grid Engine\'s commands under [executor.sge], such as qsub = "/opt/sge/bin/qsub", or '
        "choose another executor"
    )


def _of_jobs(environment: Mapping[str, str]) -> Iterator[str]:
    """What execd tells its jobs, whose PATH need not be the submitter's."""
    if folder := environment.get("SGE_BINARY_PATH"):
        yield folder
    root, kind = environment.get("SGE_ROOT"), environment.get("ARC")
    if root and kind:
        yield f"{root}/bin/{kind}"


def _holds(folder: str, command: str) -> bool:
    return os.access(Path(folder) / command, os.X_OK)
