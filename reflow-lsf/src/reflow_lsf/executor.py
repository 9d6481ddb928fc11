"""The executor for LSF."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    ExecutorError,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    SchedulerUnavailableError,
    StateTable,
    Variables,
)

from reflow_lsf import environment, errors, ids, meaning, parse, site, submission
from reflow_lsf.errors import ERRORS, TRANSIENT
from reflow_lsf.hosts import Hosts
from reflow_lsf.inquiry import Inquiry
from reflow_lsf.options import check_script
from reflow_lsf.script import Rules, directives
from reflow_lsf.states import STATES

logger = logging.getLogger("reflow.lsf")


@dataclass(kw_only=True, eq=False)
class LSFExecutor(BatchExecutor):
    """Runs jobs through LSF's own commands, from bsub to bkill.

    The settings are keyword arguments here and keys of `[executor.lsf]` in the configuration
    file; constructing an executor runs no command.
    """

    bsub: str = "bsub"
    """The command, or its path; the same holds for the commands below."""
    bjobs: str = "bjobs"
    bhist: str = "bhist"
    bkill: str = "bkill"
    bparams: str = "bparams"
    bhosts: str = "bhosts"
    lshosts: str = "lshosts"
    json: bool | None = None
    """Whether bjobs has `-json`; None to find out at the first query."""
    memory_unit: str | None = None
    """The unit of memory: KB, MB, GB or TB; None to read LSF_UNIT_FOR_LIMITS in lsf.conf, by
    default KB for limits and MB for reservations."""
    memory_limit_per: str | None = None
    """What `-M` limits: `job`, `process` or `slot`; None to read LSB_JOB_MEMLIMIT in lsf.conf.
    Only with `slot` is a task's memory divided by its cpus."""
    reserve_memory: bool = True
    """Whether memory is also requested by `rusage[mem=]`, so that a host has that much free."""
    reserve_per_slot: bool = False
    """Whether `rusage[mem=]` counts for each slot (RESOURCE_RESERVE_PER_TASK) or each host."""
    account_option: str = "P"
    """What `account` stands for: `P`, a project; `G`, a fairshare group; `app`, a profile."""
    gpu_option: str = "-gpu num={gpus}"
    """How GPUs are requested; a host's share of them."""

    name: ClassVar[str] = "lsf"
    template: ClassVar[str] = "lsf.sh.j2"
    array: ClassVar[ArrayStyle] = ids.ARRAY
    states: ClassVar[StateTable] = STATES
    # One word that is no id would make the whole query fail.
    native_id: ClassVar[str] = r"\d+(?:\[[\d,-]+\])?"
    submitted: ClassVar[str] = r"^Job <(\d+)> is submitted to "
    errors: ClassVar[ErrorTable] = ERRORS
    variables: ClassVar[Variables] = environment.ALL
    capabilities: ClassVar[Capabilities] = Capabilities(
        whole_nodes=True,
        notes=(
            "LSF may report a job as done whose processes were killed: only a result counts.",
            "Whether memory is enforced, and for a job or each process, is the site's choice.",
            "Begin times and time limits are whole minutes.",
            "A task over several nodes is started on the first of them.",
            "Whole nodes need a queue that allows exclusive jobs (EXCLUSIVE in lsb.queues).",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = TRANSIENT

    def passed_variables(self) -> Variables:
        """Choose by what jobs are to inherit: a job gets all variables that bsub has."""
        return environment.ALL if self.export_environment else environment.LITTLE

    # -- submitting ------------------------------------------------------------------------
    def script(self, request: JobRequest) -> str:
        """Render as the base does, and check that bsub finds no option in the script's body."""
        text = super().script(replace(request, label=f"task {request.label or request.token}"))
        check_script(text)
        return text

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Return the directives of bsub(1)."""
        rules = Rules(
            memory=site.chosen(self.memory_unit, self.memory_limit_per),
            reserve_memory=self.reserve_memory,
            reserve_per_slot=self.reserve_per_slot,
            account_option=self.account_option,
            gpu_option=self.gpu_option,
        )
        own = dict(request.resources.options[self.name])
        return {"directives": list(directives(request, own, rules))}

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """Submit as the base does, without waiting for a job that LSF has forgotten."""
        try:
            return super().submit_one(request, after)
        except errors.ParentUnknownError:
            return super().submit_one(request)
        except errors.TriedInVainError as error:
            return submission.got_through(request, error, self.find)

    @cached_property
    def _is_openlava(self) -> bool:
        return submission.is_openlava(self.ask(Command((self.bsub, "-V"))))

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Submit the script by bsub's standard input."""
        text = script.read_text("utf-8", "surrogateescape")
        unknown = submission.long_options(text)
        if unknown and self._is_openlava:
            raise submission.not_in_openlava(unknown[0])
        return Command((self.bsub, *submission.arguments(text, request, after)), text)

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write the command as it was submitted, except for the begin time."""
        assert request.begin_in is not None
        return submission.again(self.bsub, script, request.begin_in)

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """Classify bsub's error by its text, as it exits with 255 for all errors."""
        return errors.submission_error(result.message, waits="-w" in result.argv)

    def submission_timeout(self, text: str, message: str) -> ExecutorError:
        """Recognise too many waiting jobs, for which bsub retries for ever; else uncertain."""
        return errors.full(message) or super().submission_timeout(text, message)

    def submit_directory(self, request: JobRequest) -> Path:
        """Return the base's directory, or another where LSF cannot handle its name."""
        return submission.directory(request.working_directory)

    # -- asking ----------------------------------------------------------------------------
    @cached_property
    def _inquiry(self) -> Inquiry:
        memory = site.chosen(self.memory_unit, self.memory_limit_per)
        return Inquiry(
            ask=self.ask,
            bjobs=self.bjobs,
            bhist=self.bhist,
            hosts=Hosts(self.ask, self.lshosts, self.bhosts, site.UNITS[memory.reserve_unit]),
            memory_enforced=memory.enforced,
            json=self.json,
        )

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Poll as the base does, and kill jobs that wait for ever, as nothing else ends them."""
        found = super().poll(handles)
        doomed = [status for status in found if meaning.never_starts(status)]
        try:
            self._cancel([word for status in doomed for word in ids.of(status)])
        except SchedulerUnavailableError as error:
            logger.warning("jobs that can never start are still in the queue: %s", error)
        return [meaning.refused(status) if status in doomed else status for status in found]

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Query bjobs in JSON, until it is known that bjobs has none."""
        return self._inquiry.queue(handles)

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse bjobs' answer, with what bhist and the hosts add to it."""
        result = self._inquiry.understood(result, handles)
        return self._inquiry.statuses(self._answered(result), handles)

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Query all of LSF's event logs for jobs that mbatchd has forgotten."""
        return self._inquiry.history([handle.native_id for handle in handles])

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse the ends in bhist's answer. Unknown ids are left out, and alone are an error."""
        return self._inquiry.ends(self._answered(result), handles)

    def _answered(self, result: CommandResult) -> CommandResult:
        """Return the result. Raises `SchedulerUnavailableError` where it is no answer."""
        if not parse.answered(result):
            raise self.unavailable(result)
        return result

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """Search the queue, then the event logs."""
        queue = Command((self.bjobs, "-a", "-w", "-J", token))
        return [queue, Command((self.bhist, "-a", "-n", "0", "-J", token))]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Parse the ids of arrays and plain jobs."""
        return parse.found_ids(self._answered(result).stdout)

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Cancel as the base does, but arrays by their elements.

        To end a whole array mbatchd only makes a note, and waiting elements may start meanwhile.
        """
        super().cancel([handle for handle in handles if handle.size is None])
        for handle in handles:
            for positions in ids.blocks(handle.size or 0):
                self.cancel_positions(handle, positions)

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Kill jobs; unknown ids beside them do not prevent that."""
        return Command((self.bkill, *native_ids))

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """Write `24[1-3,7]`."""
        return ids.names(handle.native_id, positions)

    # -- limits ----------------------------------------------------------------------------
    def count_command(self) -> Command:
        """Print one line for each job and each element of this user's that is not over."""
        return Command((self.bjobs, "-w"))

    def parse_count(self, result: CommandResult) -> int:
        """Count the jobs."""
        return parse.jobs_listed(self._answered(result).stdout)

    def ask_limits(self) -> Limits:
        """Query MAX_JOB_ARRAY_SIZE."""
        return Limits(max_array_size=self._largest_array)

    @cached_property
    def _largest_array(self) -> int | None:
        told = self._answered(self.ask(Command((self.bparams, "-l"))))
        return site.largest_array(told.stdout)
