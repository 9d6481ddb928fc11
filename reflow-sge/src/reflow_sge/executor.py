"""The executor for Grid Engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
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
)

from reflow_sge import broken, parse
from reflow_sge.commands import Commands
from reflow_sge.errors import ERRORS, HARMLESS, NOT_IN_ACCOUNTING, TRANSIENT, UNREACHABLE
from reflow_sge.script import Rules, check_script, directives
from reflow_sge.site import Cell, longest_time
from reflow_sge.states import STATES
from reflow_sge.verification import Verification, verdict

_VERIFIED = ("cpus", "mem", "gpus", "nodes", "time")
"""What `qsub -w v` compares with what hosts and queues offer."""


@dataclass(kw_only=True, eq=False)
class SGEExecutor(BatchExecutor):
    """Runs jobs through Grid Engine's own commands: qsub, qstat, qacct, qdel, qalter, qconf.

    The settings are keyword arguments here and keys of `[executor.sge]` in the configuration
    file; constructing an executor runs no command.
    """

    qsub: str = "qsub"
    """The command, or its path; the same holds for the commands below."""
    qstat: str = "qstat"
    qacct: str = "qacct"
    qdel: str = "qdel"
    qalter: str = "qalter"
    qconf: str = "qconf"
    parallel_environment: str | None = None
    """For tasks with several CPUs; None to find one whose slots are all on one host."""
    node_environment: str | None = None
    """For tasks with several nodes: it must give each node as many slots as the task has CPUs."""
    memory_resource: str = "h_vmem={mem}"
    """How memory is requested; `h_vmem={mem},mem_free={mem}` for two resources."""
    memory_per_slot: bool = True
    """Whether `{mem}` is multiplied by the slots, as it is for `consumable YES` in `qconf -sc`."""
    gpu_resource: str = "gpu={gpus}"
    """How GPUs are requested."""
    exclusive_resource: str | None = None
    """The resource by which a job has its host for itself, often `exclusive`: its relation in
    `qconf -sc` is EXCL. Without it, no whole nodes can be requested."""
    account_option: str = "-A"
    """The option that names an account; `-P` where it is a project."""
    warning: int | None = None
    """Seconds before the time limit at which the function gets TaskInterrupted; None for no
    warning. It is `s_rt`, so it must be less than every task's time."""

    _environment: str | None = field(default=None, init=False, repr=False)
    """The parallel environment that was found."""

    name: ClassVar[str] = "sge"
    template: ClassVar[str] = "sge.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(
        base=1, variable="SGE_TASK_ID", element="{job}.{indices}"
    )
    states: ClassVar[StateTable] = STATES
    # `24`, or `24.3` for an element; any other word would be a pattern for names.
    native_id: ClassVar[str] = r"\d+(?:\.\d+)?(?:-\d+)?"
    # `qsub -terse` prints `24` or `24.1-9:1`.
    submitted: ClassVar[str] = r"^(\d+)(?:\.\d+-\d+:\d+)?$"
    errors: ClassVar[ErrorTable] = ERRORS
    variables: ClassVar[Variables] = Variables(
        # Variables of the calling job, which `-V` would pass on.
        dropped=("SGE_TASK_", "SGE_O_", "SGE_STD", "JOB_ID", "JOB_NAME", "JOB_SCRIPT", "RESTARTED"),
        added={"SGE_SINGLE_LINE": "1"},
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        exclude_hosts=True,
        whole_nodes=True,
        notes=(
            "Grid Engine has no dependency on success: reflow's own dispatch jobs decide what "
            "runs after a failure.",
            "A job deleted by hand while it waited leaves no trace; one deleted while it ran looks "
            "like one killed by signal 9.",
            "h_vmem limits address space: a task over it sees its own allocation fail.",
            "Jobs get no warning before they are killed, unless `warning` is set.",
            "Whole nodes need a resource for that, named as `exclusive_resource`.",
            "After an element is deleted by hand, Grid Engine no longer keeps the array's limit on "
            "elements that run at once.",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = TRANSIENT

    # -- submitting ------------------------------------------------------------------------
    def script(self, request: JobRequest) -> str:
        """Render as the base does, and check that qsub finds no option in the script's body."""
        text = super().script(request)
        check_script(text)
        return text

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Return the directives of qsub(1)."""
        array = None if request.size is None else self.array.expression(request.size)
        rules = Rules(
            memory_resource=self.memory_resource,
            memory_per_slot=self.memory_per_slot,
            gpu_resource=self.gpu_resource,
            exclusive_resource=self.exclusive_resource,
            account_option=self.account_option,
            environment=self.parallel_environment or self._environment or "smp",
            node_environment=self.node_environment,
            warning=self.warning,
        )
        return {"array": array, **directives(request, rules)}

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """Submit as the base does, after finding a parallel environment where one is needed."""
        self._find_environment(request.resources)
        return super().submit_one(request, after)

    def _find_environment(self, resources: Resources) -> None:
        if resources.cpus > 1 and resources.nodes == 1 and self.parallel_environment is None:
            self._environment = self._cell.environment

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Add the options of this submission alone; users may resubmit the script without them."""
        return self._commands.submit(script, request.begin_in, after)

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write the command as it was submitted, except for the begin time."""
        assert request.begin_in is not None
        return self._commands.submit_again(script, request.begin_in)

    # -- asking ----------------------------------------------------------------------------
    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Poll as the base does, and delete jobs in error state, as nothing else ends them."""
        statuses = broken.settled(
            super().poll(handles),
            explain=lambda native_ids: self.ask(self._commands.explain(native_ids)).stdout,
            delete=self._cancel,
        )
        return self._verification.judged(statuses, handles)

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Query all of this user's jobs by queue: a queue's state shows that its host is down."""
        return self._commands.queue("-f", "-ne")

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse qstat's answer, which leaves out finished and unknown jobs."""
        by_id = {handle.native_id: handle for handle in handles}
        for row in self._rows(result):
            yield from parse.queue_statuses(row, by_id)

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Query several jobs by a pattern for their names: of `-j 24,25` qacct takes the first.

        It does not know ids of elements. Times of start or end cannot bound the search, as jobs
        that could not start have none.
        """
        return self._commands.accounting(parse.accounting_pattern(handles))

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse qacct's answer, up to `flush_time` late, without jobs deleted while they waited."""
        by_id = {handle.native_id: handle for handle in handles}
        return parse.accounting_statuses(self._remembered(result), by_id)

    # -- finding, cancelling, counting -----------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """Search the queue, then accounting; jobs deleted while they waited are in neither."""
        return [self._commands.queue(), self._commands.accounting(token)]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Parse the ids of arrays and plain jobs."""
        if "-xml" in result.argv:
            named = [(row.job_id, row.name) for row in self._rows(result)]
        else:
            records = parse.accounting_records(self._remembered(result))
            named = [(record["jobnumber"], record["jobname"]) for record in records]
        return list(dict.fromkeys(native_id for native_id, name in named if name == token))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Delete jobs; unknown ids beside them do not prevent that."""
        return self._commands.delete(native_ids)

    def check_cancel(self, result: CommandResult) -> None:
        """Raise `SchedulerUnavailableError`, except for errors about jobs that are gone."""
        lines = f"{result.stdout}\n{result.stderr}".strip().splitlines()
        harmless = bool(lines) and all(HARMLESS.search(line) for line in lines)
        if any(map(UNREACHABLE.search, lines)) or (result.exit_code != 0 and not harmless):
            raise self.unavailable(result)

    def count_command(self) -> Command:
        """List all of this user's jobs."""
        return self._commands.queue()

    def parse_count(self, result: CommandResult) -> int:
        """Count jobs, each array element separately."""
        return sum(row.size for row in self._rows(result))

    def ask_limits(self) -> Limits:
        """Query the limits of the cell."""
        return self._cell.limits(lambda: list(self._rows(self.ask(self._commands.queue()))))

    def ask_longest_time(self, resources: Resources) -> timedelta | None:
        """Query h_rt of the job's queues, or of all where it names none."""
        options = resources.options[self.name]
        queues = str(options.get("q") or resources.queue or "*").split(",")
        return longest_time(self.ask_once(self._commands.configuration("-sq", *queues)))

    def ask_feasibility(self, request: JobRequest) -> Feasibility:
        """Have qsub verify the script, which submits nothing: one question for each request."""
        self._find_environment(request.resources)
        result = self.ask(self._commands.check(self.write_script(request)))
        reason = verdict(f"{result.stdout}\n{result.stderr}")
        if reason:
            return Feasibility(impossible=f"can run nowhere: {reason}", checked=_VERIFIED)
        if result.exit_code != 0:
            raise self.submission_error(result)
        return Feasibility(checked=_VERIFIED)

    # -- queries ---------------------------------------------------------------------------
    @cached_property
    def _commands(self) -> Commands:
        names = ("qsub", "qstat", "qacct", "qdel", "qalter", "qconf")
        return Commands({name: getattr(self, name) for name in names}, self.runner.run)

    @cached_property
    def _cell(self) -> Cell:
        return Cell(lambda *arguments: self.ask(self._commands.configuration(*arguments)))

    @cached_property
    def _verification(self) -> Verification:
        return Verification(lambda native_id: self.ask(self._commands.verify(native_id)))

    def _rows(self, result: CommandResult) -> Iterable[parse.Row]:
        if result.exit_code != 0:
            raise self.unavailable(result)
        return parse.queue_rows(result.stdout)

    def _remembered(self, result: CommandResult) -> str:
        if result.exit_code == 0:
            return result.stdout
        if NOT_IN_ACCOUNTING.search(result.stderr):
            return ""
        raise self.unavailable(result)
