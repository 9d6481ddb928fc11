"""Grid Engine behind reflow's executor contract."""

from __future__ import annotations

import logging
import os
import pwd
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from reflow.plugin_api import (
    ArrayStyle,
    BatchExecutor,
    Capabilities,
    Command,
    CommandResult,
    ExecutorError,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    ParameterError,
    SchedulerUnavailableError,
    StateTable,
    Variables,
    contiguous,
    whole_seconds,
)

from reflow_sge import answers, site
from reflow_sge.directives import Rules, check_script, output, wishes
from reflow_sge.options import handed_on
from reflow_sge.place import folder_of
from reflow_sge.states import (
    HARMLESS,
    IN_ERROR,
    NOT_IN_ACCOUNTING,
    STATES,
    TRANSIENT,
    UNREACHABLE,
    submission_error,
)
from reflow_sge.verification import Verification

logger = logging.getLogger("reflow.sge")


@dataclass(kw_only=True, eq=False)
class SGEExecutor(BatchExecutor):
    """Runs jobs through Grid Engine's own commands: qsub, qstat, qacct, qdel, qalter, qconf.

    The settings are keyword arguments here and keys of `[executor.sge]` in the configuration
    file; constructing an executor runs no command.
    """

    qsub: str = "qsub"
    """The command, or its path; so the other commands below."""
    qstat: str = "qstat"
    qacct: str = "qacct"
    qdel: str = "qdel"
    qalter: str = "qalter"
    qconf: str = "qconf"
    parallel_environment: str | None = None
    """For tasks of several CPUs; None to look for one whose slots are all on one host."""
    node_environment: str | None = None
    """For tasks of several nodes: it must give each node as many slots as the task has CPUs."""
    memory_resource: str = "h_vmem={mem}"
    """How memory is asked for; `h_vmem={mem},mem_free={mem}` for two resources."""
    memory_per_slot: bool = True
    """Whether `{mem}` is multiplied by the slots, as it is for `consumable YES` in `qconf -sc`."""
    gpu_resource: str = "gpu={gpus}"
    """How GPUs are asked for."""
    account_option: str = "-A"
    """What an account is here; `-P` where it is a project."""
    warning: int | None = None
    """Seconds before the time limit at which the function sees TaskInterrupted; None for no
    warning. It is `s_rt`, so it must be less than every task's time."""

    _environment: str | None = field(default=None, init=False, repr=False)
    """The parallel environment that was found."""
    _config: str | None = field(default=None, init=False, repr=False)

    name: ClassVar[str] = "sge"
    scheduler: ClassVar[str] = "Grid Engine"
    package: ClassVar[str] = "reflow_sge"
    template: ClassVar[str] = "sge.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(base=1, variable="SGE_TASK_ID")
    states: ClassVar[StateTable] = STATES
    variables: ClassVar[Variables] = Variables(
        # Those of the calling job, which `-V` would hand on.
        dropped=("SGE_TASK_", "SGE_O_", "SGE_STD", "JOB_ID", "JOB_NAME", "JOB_SCRIPT", "RESTARTED"),
        added={"SGE_SINGLE_LINE": "1"},
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        exclude_hosts=True,
        notes=(
            "Grid Engine has no dependency on success: reflow's own dispatch jobs decide what "
            "runs after a failure.",
            "A job deleted by hand while it waited leaves no trace; one deleted while it ran looks "
            "like one killed by signal 9.",
            "h_vmem limits address space: a task over it sees its own allocation fail.",
            "Jobs get no warning before they are killed, unless `warning` is set.",
            "After an element is deleted by hand, Grid Engine no longer keeps the array's limit on "
            "elements that run at once.",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = TRANSIENT

    # -- submitting ------------------------------------------------------------------------
    def script(self, request: JobRequest) -> str:
        """As the base does, with nothing that qsub would take for an option."""
        text = super().script(request)
        check_script(text)
        return text

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Directives of qsub(1)."""
        resources = request.resources
        slots = resources.cpus * resources.nodes
        environment = self.parallel_environment or self._environment or "smp"
        if resources.nodes > 1:
            if self.node_environment is None:
                raise ParameterError(
                    "Grid Engine gives a task several nodes by a parallel environment made for "
                    "that: name it as node_environment under [executor.sge]"
                )
            environment = self.node_environment
        rules = Rules(
            memory_resource=self.memory_resource,
            memory_per_slot=self.memory_per_slot,
            gpu_resource=self.gpu_resource,
            warning=self.warning,
        )
        return {
            "output": output(request),
            "array": None if request.size is None else self.array.expression(request.size),
            "slots": slots,
            "parallel_environment": environment,
            "wishes": list(wishes(request, rules)),
            "account_option": self.account_option,
            "options": handed_on(resources.options[self.name]),
        }

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """As the base does, with the parallel environment found out where one is needed."""
        if request.resources.cpus > 1 and self.parallel_environment is None:
            self._environment = self._environment or self._find_environment()
        return super().submit_one(request, after)

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """What is true of one submission only is not in the script, which people resubmit."""
        words = [self._path(self.qsub), "-terse", "-b", "n"]
        if request.begin_in is not None:
            seconds = whole_seconds(request.begin_in) + 1
            begin = datetime.now(UTC).astimezone() + timedelta(seconds=seconds)
            words += ["-a", begin.strftime("%Y%m%d%H%M.%S")]
        if after is not None:
            words += ["-hold_jid", after.native_id]
        return Command((*words, str(script)))

    def parse_submission(self, result: CommandResult) -> str | None:
        """`-terse` prints `ID` or `ID.1-9:1`; a site's wrapper may print more before it."""
        found = re.findall(r"^(\d+)(?:\.\d+-\d+:\d+)?$", result.stdout, re.MULTILINE)
        return found[-1] if found else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """For good, for now, or nobody knows: by what qsub says."""
        return submission_error(result.said, result.exit_code)

    # -- asking ----------------------------------------------------------------------------
    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """As the base does; then jobs in error state are deleted, as nothing else ends them."""
        statuses = list(super().poll(handles))
        broken = [status for status in statuses if status.reason in IN_ERROR]
        if broken:
            reasons = self._reasons(broken)
            self._delete([answers.name_of(status) for status in broken])
            statuses = [
                answers.explained(status, reasons) if status.reason in IN_ERROR else status
                for status in statuses
            ]
        return self._verification.judged(statuses, handles)

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """All of this user's jobs, by the queues they run in: qstat takes no ids here.

        The names of queues come with their states, which tell of a host that is away.
        """
        return self._queue("-f", "-ne")

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Finished and unknown jobs are left out."""
        by_id = {handle.native_id: handle for handle in handles}
        for row in self._rows(result):
            yield from answers.queue_statuses(row, by_id)

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Several jobs by what their names have in common: of `-j 24,25` qacct takes the first.

        Ids of elements are unknown to it. Times of starting or ending are no way to bound the
        search, as jobs that could not start have none.
        """
        return self._accounting(answers.accounting_pattern(handles))

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Up to `flush_time` behind, and never of jobs that were deleted while they waited."""
        if result.exit_code != 0:
            if NOT_IN_ACCOUNTING.search(result.stderr):
                return []
            raise self.unavailable(result)
        by_id = {handle.native_id: handle for handle in handles}
        return answers.accounting_statuses(result.stdout, by_id)

    def is_native_id(self, native_id: str) -> bool:
        """`24`, or `24.3` for an element; any other word would be a pattern for names."""
        return re.fullmatch(r"\d+(?:\.\d+)?(?:-\d+)?", native_id) is not None

    def _delete(self, native_ids: Sequence[str]) -> None:
        try:
            self._cancel(native_ids)
        except SchedulerUnavailableError as error:
            logger.warning("jobs in error state are still in the queue: %s", error)

    def _reasons(self, broken: Sequence[JobStatus]) -> dict[tuple[str, str], str]:
        ids = dict.fromkeys(status.native_id.partition(".")[0] for status in broken)
        result = self.ask(Command((self._path(self.qstat), "-j", ",".join(ids))))
        return answers.error_reasons(result.stdout)

    @cached_property
    def _verification(self) -> Verification:
        return Verification(self.ask, self._path(self.qalter))

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """The queue, then accounting; jobs deleted while they waited are in neither."""
        return [self._queue(), self._accounting(token)]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Ids of arrays and plain jobs."""
        if "-xml" in result.argv:
            ids = [row.job_id for row in self._rows(result) if row.name == token]
        elif result.exit_code == 0:
            records = answers.accounting_records(result.stdout)
            ids = [record["jobnumber"] for record in records if record["jobname"] == token]
        elif NOT_IN_ACCOUNTING.search(result.stderr):
            ids = []
        else:
            raise self.unavailable(result)
        return list(dict.fromkeys(ids))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Good ids are deleted whatever stands beside them."""
        return Command((self._path(self.qdel), *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        """Complaints about jobs that are gone are no failure."""
        lines = f"{result.stdout}\n{result.stderr}".strip().splitlines()
        harmless = bool(lines) and all(HARMLESS.search(line) for line in lines)
        if any(map(UNREACHABLE.search, lines)) or (result.exit_code != 0 and not harmless):
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """`24.2-4` and `24.8`: one word for each run of indices."""
        return [
            f"{handle.native_id}.{run.start}" + (f"-{run.stop - 1}" if len(run) > 1 else "")
            for run in contiguous(map(self.array.index, positions))
        ]

    # -- limits ----------------------------------------------------------------------------
    def count_command(self) -> Command:
        """All of this user's jobs."""
        return self._queue()

    def parse_count(self, result: CommandResult) -> int:
        """Each element counts."""
        return sum(row.size for row in self._rows(result))

    def ask_limits(self) -> Limits:
        """max_aj_tasks, and max_u_jobs, for which an array is one job whatever its size."""
        if self._config is None:
            result = self.ask(Command((self._path(self.qconf), "-sconf")))
            if result.exit_code != 0:
                raise self.unavailable(result)
            self._config = result.stdout
        largest = site.number(self._config, "max_aj_tasks")
        most = site.number(self._config, "max_u_jobs")
        if most is None:
            return Limits(max_array_size=largest)
        rows = list(self._rows(self.ask(self._queue())))
        queued = sum(row.size for row in rows)
        places = most - len({row.job_id for row in rows})
        return Limits(
            max_array_size=largest,
            max_submit_jobs=queued + site.room(places, largest or 1),
            queued_jobs=queued,
        )

    def _find_environment(self) -> str:
        listed = self._asked_qconf("-spl")
        names = site.in_usual_order(listed.stdout.split())
        for name in names:
            shown = self._asked_qconf("-sp", name)
            if shown.exit_code == 0 and site.on_one_host(shown.stdout):
                return name
        raise site.no_environment(names)

    def _asked_qconf(self, *words: str) -> CommandResult:
        result = self.ask(Command((self._path(self.qconf), *words)))
        if result.exit_code != 0 and UNREACHABLE.search(result.stderr):
            raise self.unavailable(result)
        return result

    # -- commands --------------------------------------------------------------------------
    def _queue(self, *words: str) -> Command:
        return Command((self._path(self.qstat), "-u", _user(), "-s", "prs", *words, "-xml"))

    def _accounting(self, job: str) -> Command:
        return Command((self._path(self.qacct), "-o", _user(), "-j", job))

    def _rows(self, result: CommandResult) -> Iterable[answers.Row]:
        if result.exit_code != 0:
            raise self.unavailable(result)
        return answers.queue_rows(result.stdout)

    def _path(self, command: str) -> str:
        return command if "/" in command or not self._folder else f"{self._folder}/{command}"

    @cached_property
    def _folder(self) -> str:
        """Where Grid Engine's commands are; empty where PATH leads to them."""
        return "" if "/" in self.qstat else folder_of(self.qstat, self.runner.run)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
