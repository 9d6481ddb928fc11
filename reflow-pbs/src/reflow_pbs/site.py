"""Finding out which PBS is installed, and where its commands are."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reflow.plugin_api import Command, CommandResult, SchedulerUnavailableError

_VERSION = re.compile(r"pbs_version\s*=\s*\D*(?P<major>\d+)")
"""What `qstat --version` prints."""
_TORQUE = re.compile(r"^\s*version:\s*\d+", re.IGNORECASE | re.MULTILINE)
"""What Torque's prints: a relative of PBS with other options and other answers."""
_FIRST_DELIMITED = 18
"""The version of PBS since which `qstat -F dsv` is reliable."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The PBS that the commands belong to."""

    version: int
    """The first number of its version, such as 23."""
    folder: str = ""
    """The folder of its commands; empty where the first on PATH are its own."""

    @property
    def delimited(self) -> bool:
        """Whether qstat has a delimited form."""
        return self.version >= _FIRST_DELIMITED

    def path(self, command: str) -> str:
        """Return a command's path: with its folder where another system's comes first on PATH."""
        return command if "/" in command or not self.folder else f"{self.folder}/{command}"


def find_installation(qstat: str, run: Callable[[Command], CommandResult]) -> Installation:
    """Ask each qstat on PATH for its version, as other batch systems have a qstat too.

    Raises `SchedulerUnavailableError` where there are some and none is that of PBS.
    """
    others = []
    for command, folder in _places(qstat):
        result = run(Command((command, "--version")))
        printed = f"{result.stdout}\n{result.stderr}"
        if match := _VERSION.search(printed):
            return Installation(int(match["major"]), folder)
        others.append(
            (command, "Torque's" if _TORQUE.search(printed) else "another batch system's")
        )
    if not others:
        # Scripts can be shown where PBS is not installed.
        return Installation(_FIRST_DELIMITED)
    raise SchedulerUnavailableError(_not_pbs(*others[0]))


def _not_pbs(command: str, whose: str) -> str:
    return (
        f"{command} is not PBS's, but {whose}. reflow-pbs works with OpenPBS and PBS Professional. "
        "Where one of them is installed too, name its commands under [executor.pbs], such as "
        'qsub = "/opt/pbs/bin/qsub"; otherwise choose another executor'
    )


def _places(qstat: str) -> Iterator[tuple[str, str]]:
    """Yield each executable qstat, and the folder by which the other commands are called."""
    if "/" in qstat:
        yield qstat, ""
        return
    folders = [path for path in os.get_exec_path() if os.access(Path(path) / qstat, os.X_OK)]
    for folder in folders:
        yield f"{folder}/{qstat}", folder if folder != folders[0] else ""
