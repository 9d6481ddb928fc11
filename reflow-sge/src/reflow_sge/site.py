"""Finding Grid Engine's commands, and the configuration of its cell by qconf."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from reflow.plugin_api import (
    Command,
    CommandResult,
    Limits,
    SchedulerUnavailableError,
    SubmissionRefusedError,
)

from reflow_sge.errors import UNREACHABLE
from reflow_sge.parse import Row

_OURS = re.compile(r"^\s*(?:\w+/)?\w*GE\b")
"""The beginning of every Grid Engine's `qstat -help`: `SGE 8.1.9`, `GE 6.2u5`, `OGS/GE 2011.11`."""
USUAL_ENVIRONMENTS = ("smp", "threaded", "threads", "shm", "sharedmem", "multicore", "openmp")
"""The most frequent names of parallel environments on one host."""


class Cell:
    """The configuration of a cell, queried once per process."""

    def __init__(self, qconf: Callable[..., CommandResult]) -> None:
        self._ask = qconf

    @cached_property
    def environment(self) -> str:
        """A parallel environment whose slots are all on one host, preferably with a usual name.

        Raises `SubmissionRefusedError` where there is none.
        """
        listed = self._qconf("-spl").stdout.split()
        usual = [name for name in USUAL_ENVIRONMENTS if name in listed]
        for name in dict.fromkeys([*usual, *listed]):
            shown = self._qconf("-sp", name)
            if shown.exit_code == 0 and on_one_host(shown.stdout):
                return name
        raise SubmissionRefusedError(
            "a task asks for several CPUs, and Grid Engine has no parallel environment here "
            f"whose slots are all on one host (there are: {', '.join(listed) or 'none'}). Name "
            "one as parallel_environment under [executor.sge], or ask for cpus=1"
        )

    def limits(self, queue: Callable[[], Sequence[Row]]) -> Limits:
        """Query max_aj_tasks, and max_u_jobs, for which an array of any size is one job."""
        largest = number(self._configuration, "max_aj_tasks")
        most = number(self._configuration, "max_u_jobs")
        if most is None:
            return Limits(max_array_size=largest)
        queued = len({row.job_id for row in queue()})
        return Limits(max_array_size=largest, max_whole_jobs=most, queued_whole_jobs=queued)

    @cached_property
    def _configuration(self) -> str:
        result = self._qconf("-sconf")
        if result.exit_code != 0:
            raise _unavailable(result)
        return result.stdout

    def _qconf(self, *arguments: str) -> CommandResult:
        result = self._ask(*arguments)
        if result.exit_code != 0 and UNREACHABLE.search(result.stderr):
            raise _unavailable(result)
        return result


def number(configuration: str, name: str) -> int | None:
    """Find a number in the answer of `qconf -sconf`; None for 0, which means no limit."""
    found = re.search(rf"^{name}\s+(\d+)\s*$", configuration, re.MULTILINE)
    return int(found[1]) or None if found else None


def longest_time(queues: str) -> timedelta | None:
    """Find the longest h_rt of the queues, or of the hosts of one, that `qconf -sq` shows.

    None where one has no limit: a job goes to whichever takes it.
    """
    found = re.findall(r"^h_rt\s+(.+)$", queues, re.MULTILINE)
    if "INFINITY" in "".join(found):
        return None
    clocks = re.findall(r"\b(\d+):(\d+):(\d+)\b", "\n".join(found))
    times = (timedelta(hours=int(h), minutes=int(m), seconds=int(s)) for h, m, s in clocks)
    return max(times, default=None)


def on_one_host(environment: str) -> bool:
    """Tell whether `qconf -sp` shows a parallel environment whose slots are all on one host."""
    rule = re.search(r"^allocation_rule\s+(\S+)", environment, re.MULTILINE)
    return rule is None or rule[1] == "$pe_slots"


def _unavailable(result: CommandResult) -> SchedulerUnavailableError:
    return SchedulerUnavailableError(f"Grid Engine did not answer: qconf: {result.message}")


# -- where the commands are: PBS has a qsub, a qstat and a qdel of its own ------------------
def folder_of(qstat: str, run: Callable[[Command], CommandResult]) -> str:
    """Find the folder of Grid Engine's commands; empty where they are the first on PATH.

    Raises `SchedulerUnavailableError` where there are only those of another batch system.
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
    """Yield the folders that execd passes to its jobs, whose PATH need not be the submitter's."""
    if folder := environment.get("SGE_BINARY_PATH"):
        yield folder
    root, kind = environment.get("SGE_ROOT"), environment.get("ARC")
    if root and kind:
        yield f"{root}/bin/{kind}"


def _holds(folder: str, command: str) -> bool:
    return os.access(Path(folder) / command, os.X_OK)
