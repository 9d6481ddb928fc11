"""The executor for Slurm."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from reflow.plugin_api import (
    ArrayStyle,
    BatchExecutor,
    Capabilities,
    Command,
    CommandResult,
    ErrorTable,
    Feasibility,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Resources,
    StateTable,
    Variables,
    index_list,
    whole_seconds,
)

from reflow_slurm import feasibility, limits, parse
from reflow_slurm.errors import ERRORS, NO_ACCOUNTING, REMEMBERS_NOTHING, TRANSIENT
from reflow_slurm.memory import killed_for_memory
from reflow_slurm.script import directives
from reflow_slurm.site import Site
from reflow_slurm.states import STATES

_REMEMBERED = "now-7days"
"""How far accounting is searched back for a submission whose answer was lost."""
_MOST_INDICES = 1000
"""The most indices in one list of a cancel command."""
_CLOCK_MARGIN = timedelta(hours=1)
"""The most by which the clocks of a submitting machine and of the controller may differ."""


@dataclass(kw_only=True, eq=False)
class SlurmExecutor(BatchExecutor):
    """Runs jobs through Slurm's own commands: sbatch, squeue, sacct, scancel, scontrol.

    The settings are keyword arguments here and keys of `[executor.slurm]` in the configuration
    file; constructing an executor runs no command.
    """

    sbatch: str = "sbatch"
    """The command, or its path; the same holds for the commands below."""
    squeue: str = "squeue"
    sacct: str = "sacct"
    scancel: str = "scancel"
    scontrol: str = "scontrol"
    sinfo: str = "sinfo"
    sacctmgr: str = "sacctmgr"
    cluster: str | None = None
    """One of several clusters: `--clusters` of every command."""
    signal: str | None = None
    """A signal before the time limit, `TERM@60` for one minute: the task's function gets it as
    TaskInterrupted. Without it, SIGTERM comes at the limit, and SIGKILL after KillWait."""
    gpu_option: str = "--gpus-per-node={gpus}"
    """How GPUs are requested; `--gres=gpu:a100:{gpus}` where they have types."""

    _accounting: bool = field(default=True, init=False, repr=False)
    """False once sacct has reported that there is no accounting."""
    _site: Site | None = field(default=None, init=False, repr=False)

    name: ClassVar[str] = "slurm"
    template: ClassVar[str] = "slurm.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(
        base=0, variable="SLURM_ARRAY_TASK_ID", throttled="{first}-{last}%{throttle}"
    )
    states: ClassVar[StateTable] = STATES
    # `24`; of an array `24_3` and `24_[2-4]`. Any other word would make the whole query fail.
    native_id: ClassVar[str] = r"\d+(?:_(?:\d+|\[[\d,-]+\]))?"
    # `--parsable` prints `ID` or `ID;CLUSTER`.
    submitted: ClassVar[str] = r"^(\d+)(?:;\S*)?$"
    errors: ClassVar[ErrorTable] = ERRORS
    variables: ClassVar[Variables] = Variables(
        # Variables of the calling job would act as options, and SLURM_* would reach the submitted
        # job and be taken for its own: SLURM_RESTART_COUNT, SLURM_ARRAY_TASK_ID.
        dropped=("SBATCH_", "SLURM_", "SLURMD_", "SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_"),
        kept=("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"),
        added={"SLURM_BITSTR_LEN": "0", "SLURM_TIME_FORMAT": "standard"},
    )
    capabilities: ClassVar[Capabilities] = Capabilities(exclude_hosts=True, whole_nodes=True)
    transient: ClassVar[tuple[str, ...]] = TRANSIENT

    # -- submitting ------------------------------------------------------------------------
    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Return the directives of sbatch(1)."""
        array = None
        if request.size is not None:
            array = self.array.expression(request.size, request.throttle)
        return {"array": array, **directives(request, self.signal, self.gpu_option)}

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Add the options of this submission alone; users may resubmit the script without them."""
        arguments = [self.sbatch, "--parsable", *self._clusters()]
        if request.begin_in is not None:
            arguments.append(f"--begin=now+{whole_seconds(request.begin_in)}")
        if after is not None:
            arguments.append(f"--dependency=afterany:{after.native_id}")
        return Command((*arguments, str(script)))

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write sbatch's command; `--begin` counts from when sbatch is run."""
        return shlex.join(self.submit_command(script, request, None).argv)

    # -- asking ----------------------------------------------------------------------------
    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Query the queue, with finished jobs as long as slurmctld remembers them (MinJobAge)."""
        return self._squeue(f"--jobs={_ids(handles)}")

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse squeue's answer: a single unknown id is an error, several are left out."""
        if result.exit_code != 0 and REMEMBERS_NOTHING not in result.stderr:
            raise self.unavailable(result)
        return self._statuses(list(parse.queue_rows(result.stdout)), handles)

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Query accounting since the first submission, as ids are reused after a long time."""
        if not self._accounting:
            return None
        times = [handle.submitted_at for handle in handles]
        known = [time for time in times if time is not None]
        since = [_local(min(known) - _CLOCK_MARGIN)] if len(known) == len(times) else []
        return self._sacct(f"--jobs={_ids(handles)}", *(f"--starttime={time}" for time in since))

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse sacct's answer; only ends count, as jobs unknown to slurmctld do not wait or run.

        For some seconds after its start, accounting has an array as one record without index,
        whose state is that of no element.
        """
        if result.exit_code != 0:
            if NO_ACCOUNTING not in result.stderr:
                raise self.unavailable(result)
            self._accounting = False
            return []
        arrays = {handle.native_id for handle in handles if handle.size is not None}
        rows = [
            row
            for row in parse.accounting_rows(result.stdout)
            if row.indices is not None or row.array_id not in arrays
        ]
        return [status for status in self._statuses(rows, handles) if status.state.over]

    def _statuses(self, rows: Sequence[parse.Row], handles: Sequence[JobHandle]) -> list[JobStatus]:
        killed = killed_for_memory(rows, handles)
        wanted = {handle.native_id for handle in handles}
        return [status for row in rows for status in parse.statuses(row, wanted, killed)]

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """Search the queue, then accounting, where jobs that never started have lost their name."""
        queue = self._squeue(f"--name={token}", f"--user={os.getuid()}")
        if not self._accounting:
            return [queue]
        return [queue, self._sacct(f"--name={token}", f"--starttime={_REMEMBERED}")]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Parse the ids of arrays and plain jobs."""
        if result.exit_code != 0:
            if NO_ACCOUNTING in result.stderr:
                return []
            raise self.unavailable(result)
        in_queue = result.argv[0] == self.squeue
        rows = (parse.queue_rows if in_queue else parse.accounting_rows)(result.stdout)
        return list(dict.fromkeys(row.array_id for row in rows))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Cancel jobs; scancel ignores unknown and finished ids."""
        return Command((self.scancel, *self._clusters(), *native_ids))

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """Write `24_[1-3,7]`; several of these where one would be too long for a command line."""
        starts = range(0, len(positions), _MOST_INDICES)
        lists = (index_list(positions[start : start + _MOST_INDICES]) for start in starts)
        return [f"{handle.native_id}_[{indices}]" for indices in lists]

    # -- limits ----------------------------------------------------------------------------
    def count_command(self) -> Command:
        """Print one line for each job and each element of this user's that waits or runs."""
        arguments = ("--noheader", "--array", f"--user={os.getuid()}", "--format=%F")
        return Command((self.squeue, *self._clusters(), *arguments))

    def parse_count(self, result: CommandResult) -> int:
        """Count the jobs."""
        if result.exit_code != 0:
            raise self.unavailable(result)
        return sum(line.strip().isdigit() for line in result.stdout.splitlines())

    def ask_limits(self) -> Limits:
        """Query MaxArraySize, and the tightest visible limit on submitted jobs."""
        if self._site is None:
            scontrol = (self.scontrol, *self._clusters())
            self._site = Site(self.ask, scontrol, (self.sacctmgr,), self.answers)
        return self._site.ask(self.account, (self.options or {}).get("qos"))

    def ask_longest_time(self, resources: Resources) -> timedelta | None:
        """Query MaxTime of the job's partitions, or of the default one."""
        return limits.longest_time(self._shown_partitions(), self._partitions(resources))

    def _shown_partitions(self) -> str:
        shown = ("--oneliner", "show", "partition")
        return self.ask_once(Command((self.scontrol, *self._clusters(), *shown)))

    def ask_feasibility(self, request: JobRequest) -> Feasibility:
        """Compare the request with the nodes of its partitions: one question for all requests."""
        shown = ("--exact", "--noheader", f"--format={feasibility.FORMAT}")
        text = self.ask_once(Command((self.sinfo, *self._clusters(), *shown)))
        found = feasibility.judged(text, request.resources, self._partitions(request.resources))
        # Where partitions are shown, one without a limit is known to have none.
        is_time_known = found.checked and self._shown_partitions()
        return replace(found, checked=(*found.checked, "time")) if is_time_known else found

    def _partitions(self, resources: Resources) -> str | None:
        """Return the partitions of a request, with commas between them; None for the default."""
        options = resources.options[self.name]
        names = options.get("partition") or options.get("p") or resources.queue
        return None if names is None else str(names)

    # -- commands --------------------------------------------------------------------------
    def _clusters(self) -> list[str]:
        return [] if self.cluster is None else [f"--clusters={self.cluster}"]

    def _squeue(self, *arguments: str) -> Command:
        shown = ("--noheader", "--array", "--states=all", f"--Format={parse.QUEUE_FIELDS}")
        return Command((self.squeue, *self._clusters(), *shown, *arguments))

    def _sacct(self, *arguments: str) -> Command:
        shown = ("--allocations", "--noheader", "--parsable2")
        fields = f"--format={parse.ACCOUNTING_FIELDS}"
        return Command((self.sacct, *self._clusters(), *shown, fields, *arguments))


def _ids(handles: Sequence[JobHandle]) -> str:
    return ",".join(handle.native_id for handle in handles)


def _local(time: datetime) -> str:
    """Write a time for sacct, which reads it in the time zone of the calling process."""
    return time.astimezone().strftime("%Y-%m-%dT%H:%M:%S")
