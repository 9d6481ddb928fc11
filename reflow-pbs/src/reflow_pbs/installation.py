"""Finding out which PBS is here, and where its commands are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reflow.plugin_api import Command, CommandResult, SchedulerUnavailableError

PRO, TORQUE = "pro", "torque"
_SAID = {
    PRO: re.compile(r"pbs_version\s*=\s*\D*(?P<major>\d+)"),
    TORQUE: re.compile(r"^\s*version:\s*(?P<major>\d+)", re.IGNORECASE | re.MULTILINE),
}
"""What `qstat --version` prints."""
_FIRST_DELIMITED = 18
"""The version of PBS Pro since which `qstat -F dsv` can be counted on."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The PBS that the commands belong to."""

    variant: str
    version: int
    folder: str = ""
    """Where on PATH its commands are; empty for the first that are found there."""

    @property
    def delimited(self) -> bool:
        """Whether qstat has a delimited form."""
        return self.variant == PRO and self.version >= _FIRST_DELIMITED

    def path(self, command: str) -> str:
        """A command, with its folder where another batch system's comes first on PATH."""
        return command if "/" in command or not self.folder else f"{self.folder}/{command}"


def find_installation(
    qstat: str, variant: str, run: Callable[[Command], CommandResult]
) -> Installation:
    """Ask each qstat that is here; `variant` is what the settings say, or `auto`.

    Grid Engine has a qsub, a qstat and a qdel of its own, and a machine may have both.
    Raises `SchedulerUnavailableError` where none is PBS's.
    """
    places = list(_places(qstat))
    for command, folder in places:
        result = run(Command((command, "--version")))
        said = f"{result.stdout}\n{result.stderr}"
        for kind, pattern in _SAID.items():
            if match := pattern.search(said):
                chosen = kind if variant == "auto" else variant
                return Installation(chosen, int(match["major"]), folder)
    if not places or variant != "auto":
        # Scripts can be looked at where there is no PBS.
        return Installation(PRO if variant == "auto" else variant, _FIRST_DELIMITED)
    raise SchedulerUnavailableError(
        f"{places[0][0]} is not PBS's, but another batch system's. Name PBS's commands under "
        '[executor.pbs], such as qsub = "/opt/pbs/bin/qsub", or choose another executor'
    )


def _places(qstat: str) -> Iterator[tuple[str, str]]:
    """Each qstat that can be run, and the folder that its neighbours are called by."""
    if "/" in qstat:
        yield qstat, ""
        return
    folders = [path for path in os.get_exec_path() if os.access(Path(path) / qstat, os.X_OK)]
    for folder in folders:
        yield f"{folder}/{qstat}", folder if folder != folders[0] else ""
