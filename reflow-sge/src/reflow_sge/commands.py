"""The command lines of Grid Engine's commands."""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

from reflow.plugin_api import Command, CommandResult, JobHandle, shell_time, whole_seconds

from reflow_sge.site import folder_of

_PLAIN = ("-terse", "-b", "n")
_ENDS_BY_ITSELF = ("-o", "/dev/null")
"""For dispatch jobs: one whose log cannot be opened would stay in error state until it is
deleted, and where the run directory was removed it never would be. The script opens the log."""
_BEGIN_TIME = "%Y%m%d%H%M.%S"
"""The time format of qsub's `-a`."""


def begin_time(now: datetime, delay: timedelta) -> str:
    """Write `-a`, which qsub reads in this machine's time zone, as of that day."""
    begin = now + timedelta(seconds=whole_seconds(delay) + 1)
    return begin.astimezone().strftime(_BEGIN_TIME)


@dataclass
class Commands:
    """The command lines, with the folder of each command."""

    settings: Mapping[str, str]
    """The name or path of each command."""
    run: Callable[[Command], CommandResult]

    def submit(self, script: Path, begin_in: timedelta | None, after: JobHandle | None) -> Command:
        """Submit a script, to begin after a delay, or once another job is over."""
        arguments = [*_PLAIN]
        if begin_in is not None:
            arguments += ["-a", begin_time(datetime.now(UTC), begin_in)]
        if after is not None:
            arguments += ["-hold_jid", after.native_id]
        if len(arguments) > len(_PLAIN):
            arguments += _ENDS_BY_ITSELF
        return self._typed("qsub", *arguments, str(script))

    def check(self, script: Path) -> Command:
        """Check whether any queue could run a script if all were empty; nothing is submitted."""
        return self._typed("qsub", *_PLAIN, "-w", "v", str(script))

    def submit_again(self, script: Path, begin_in: timedelta) -> str:
        """Write a line of shell that submits a script, to begin `begin_in` after it is run."""
        time = shell_time(begin_in + timedelta(seconds=1), _BEGIN_TIME)
        command = shlex.join(self._typed("qsub", *_PLAIN, *_ENDS_BY_ITSELF).argv)
        return f"{command} -a {time} {shlex.quote(str(script))}"

    def queue(self, *arguments: str) -> Command:
        """List this user's jobs that are not over."""
        return self._typed("qstat", "-u", _user(), "-s", "prs", *arguments, "-xml")

    def explain(self, native_ids: Sequence[str]) -> Command:
        """Show all details of some jobs in the queue."""
        return self._typed("qstat", "-j", ",".join(native_ids))

    def accounting(self, job: str) -> Command:
        """Query accounting for this user's jobs by an id or a pattern for names."""
        return self._typed("qacct", "-o", _user(), "-j", job)

    def delete(self, native_ids: Sequence[str]) -> Command:
        """Delete jobs and elements; unknown ids beside them do not prevent that."""
        return self._typed("qdel", *native_ids)

    def verify(self, native_id: str) -> Command:
        """Check whether any queue could run a job if all were empty."""
        return self._typed("qalter", "-w", "v", native_id)

    def configuration(self, *arguments: str) -> Command:
        """Query the configuration of the cell."""
        return self._typed("qconf", *arguments)

    @cached_property
    def folder(self) -> str:
        """The folder of the commands; empty where they are the first on PATH."""
        qstat = self.settings["qstat"]
        return "" if "/" in qstat else folder_of(qstat, self.run)

    def _typed(self, name: str, *arguments: str) -> Command:
        command = self.settings[name]
        path = command if "/" in command or not self.folder else f"{self.folder}/{command}"
        return Command((path, *arguments))


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
