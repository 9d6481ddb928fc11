"""LSF behind reflow's executor contract."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from reflow.plugin_api import (
    ArrayStyle,
    BatchExecutor,
    Capabilities,
    Command,
    CommandResult,
    ConfigError,
    ExecutorError,
    FailureCause,
    JobHandle,
    JobRequest,
    JobState,
    JobStatus,
    Limits,
    ParameterError,
    SchedulerUnavailableError,
    StateTable,
    SubmissionRefusedError,
    SubmissionUncertainError,
    Variables,
    index_list,
)

from reflow_lsf import answers, site
from reflow_lsf.directives import Rules, begin_time, directives, is_long
from reflow_lsf.hosts import Hosts
from reflow_lsf.options import check_script
from reflow_lsf.states import (
    IMPOSSIBLE,
    IN_PROGRESS,
    NO_JSON,
    OVER_ALREADY,
    STATES,
    TRANSIENT,
    ParentUnknownError,
    submission_error,
)

logger = logging.getLogger("reflow.lsf")

_OPTIONS = ("BSUB_", "LSB_", "LS_")
"""Variables that act as options, or are the calling job's own; BSUB_QUIET loses the job's id."""
_SITE = ("LSB_DEFAULTPROJECT", "LSB_DEFAULTQUEUE")
_FOR_JOBS = (
    *("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TZ", "USER"),
    *("EGO_CONFDIR", "EGO_TOP", "LD_LIBRARY_PATH"),
    *("LSF_BINDIR", "LSF_ENVDIR", "LSF_LIBDIR", "LSF_SERVERDIR"),
)
"""What a job inherits of the process that submits it; bsub hands on all that it is given."""
_ENDED_AT_ONCE = 1000
"""Elements that one bkill ends; each costs a few milliseconds."""


@dataclass(kw_only=True, eq=False)
class LSFExecutor(BatchExecutor):
    """Runs jobs through LSF's own commands: bsub, bjobs, bhist, bkill, bparams, and some more.

    The settings are keyword arguments here and keys of `[executor.lsf]` in the configuration
    file; constructing an executor runs no command.
    """

    bsub: str = "bsub"
    """The command, or its path; so the other commands below."""
    bjobs: str = "bjobs"
    bhist: str = "bhist"
    bkill: str = "bkill"
    bparams: str = "bparams"
    bhosts: str = "bhosts"
    lshosts: str = "lshosts"
    json: bool | None = None
    """Whether bjobs has `-json`; None finds out at the first question."""
    memory_unit: str | None = None
    """What memory is counted in: KB, MB, GB or TB; None to read LSF_UNIT_FOR_LIMITS in lsf.conf,
    and, where that says nothing, KB for limits and MB for reservations."""
    memory_limit_per: str | None = None
    """What `-M` limits: `job`, `process` or `slot`; None to read LSB_JOB_MEMLIMIT in lsf.conf.
    Only with `slot` is a task's memory divided by its cpus."""
    reserve_memory: bool = True
    """Whether memory is asked for by `rusage[mem=]` too, so that a host has that much free."""
    reserve_per_slot: bool = False
    """Whether `rusage[mem=]` counts for each slot (RESOURCE_RESERVE_PER_TASK) or each host."""
    account_option: str = "P"
    """What `account` stands for: `P`, a project; `G`, a fairshare group; `app`, a profile."""
    gpu_option: str = "-gpu num={gpus}"
    """How GPUs are asked for; a host's share of them."""

    _json: bool | None = field(default=None, init=False, repr=False)
    _largest: int | None = field(default=None, init=False, repr=False)

    name: ClassVar[str] = "lsf"
    scheduler: ClassVar[str] = "LSF"
    package: ClassVar[str] = "reflow_lsf"
    template: ClassVar[str] = "lsf.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(base=1, variable="LSB_JOBINDEX")
    states: ClassVar[StateTable] = STATES
    variables: ClassVar[Variables] = Variables(dropped=_OPTIONS, kept=_SITE)
    capabilities: ClassVar[Capabilities] = Capabilities(
        notes=(
            "LSF may report a job as done whose processes were killed: only a result counts.",
            "Whether memory is enforced, and for a job or each process, is the site's choice; "
            "OpenLava enforces none.",
            "Times of starting and limits on time are whole minutes.",
            "A task over several nodes is started on the first of them.",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = TRANSIENT

    def passed_variables(self) -> Variables:
        """Little more than LSF itself needs: a job inherits all that bsub is given."""
        if self.export_environment:
            return self.variables
        return Variables(dropped=("",), kept=(*_SITE, *_FOR_JOBS))

    # -- submitting ------------------------------------------------------------------------
    def script(self, request: JobRequest) -> str:
        """As the base does, with nothing that bsub would take for an option."""
        text = super().script(replace(request, label=f"task {request.label or request.token}"))
        check_script(text)
        return text

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Directives of bsub(1)."""
        return {"directives": self._directives(request)}

    def _directives(self, request: JobRequest) -> list[str]:
        rules = Rules(
            memory=self._memory(),
            reserve_memory=self.reserve_memory,
            reserve_per_slot=self.reserve_per_slot,
            account_option=self.account_option,
            gpu_option=self.gpu_option,
        )
        return list(directives(request, dict(request.resources.options[self.name]), rules))

    def _memory(self) -> site.Memory:
        """How this site counts memory: by the settings, then by its lsf.conf."""
        found = site.memory(site.read(os.environ.get("LSF_ENVDIR")))
        unit = self.memory_unit
        if unit is not None:
            if unit not in site.UNITS:
                raise ConfigError(f"memory_unit={unit!r} is none of {', '.join(site.UNITS)}")
            found = replace(found, limit_unit=unit, reserve_unit=unit)
        return replace(found, per=self.memory_limit_per or found.per)

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """As the base does; what was to wait for a job that LSF has forgotten need not wait."""
        try:
            unknown = [line for line in self._directives(self.filled(request)) if is_long(line)]
        except ParameterError as error:
            raise SubmissionRefusedError(str(error)) from error
        if unknown and self._is_openlava:
            # Its bsub would leave out the line, and those after it, without a word.
            raise SubmissionRefusedError(
                f"OpenLava's bsub has no {unknown[0].split()[0]}: leave that option out, or, for "
                "GPUs, set gpu_option under [executor.lsf] to what asks for them here, such as "
                "-R 'rusage[gpu={gpus}]'"
            )
        try:
            return super().submit_one(request, after)
        except ParentUnknownError:
            return super().submit_one(request)

    @cached_property
    def _is_openlava(self) -> bool:
        result = self.ask(Command((self.bsub, "-V")))
        return "openlava" in f"{result.stdout}{result.stderr}".lower()

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """What is true of one submission only is not in the script, which people resubmit.

        bsub reads the script from its standard input.
        """
        words = [self.bsub]
        if request.begin_in is not None:
            words += ["-b", begin_time(datetime.now(UTC).astimezone(), request.begin_in)]
        if after is not None:
            words += ["-w", f"ended({after.native_id})"]
        return Command(tuple(words), script.read_text("utf-8", "surrogateescape"))

    def parse_submission(self, result: CommandResult) -> str | None:
        """`Job <24> is submitted to queue <normal>.`, among what a site's wrapper prints."""
        found = re.findall(r"^Job <(\d+)> is submitted to ", result.stdout, re.MULTILINE)
        return found[-1] if found else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """For good, for now, or nobody knows: by what bsub says, which exits with 255 for all."""
        if result.exit_code < 0:
            return SubmissionUncertainError(f"bsub was killed by signal {-result.exit_code}")
        return submission_error(result.said, waits="-w" in result.argv)

    # -- asking ----------------------------------------------------------------------------
    def is_native_id(self, native_id: str) -> bool:
        """One word that is no id would spoil the whole answer."""
        return re.fullmatch(r"\d+(?:\[[\d,-]+\])?", native_id) is not None

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """As the base does; then jobs are killed whose condition can never be true.

        Nothing else ends them.
        """
        statuses = super().poll(handles)
        doomed = [status for status in statuses if IMPOSSIBLE.search(status.reason)]
        try:
            self._cancel([item for status in doomed for item in self._words_for(status)])
        except SchedulerUnavailableError as error:
            logger.warning("jobs that can never start are still in the queue: %s", error)
        return [_never_ran(status) if status in doomed else status for status in statuses]

    def _words_for(self, status: JobStatus) -> Sequence[str]:
        if status.positions is None:
            return [status.native_id]
        return self.element_ids(JobHandle(native_id=status.native_id), status.positions)

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Finished jobs too, for as long as mbatchd remembers them (CLEAN_PERIOD)."""
        as_json = self.json if self.json is not None else self._json
        shown = ("-l",) if as_json is False else ("-json", "-o", answers.JSON_FIELDS)
        return Command((self.bjobs, "-a", *shown, *(handle.native_id for handle in handles)))

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """In JSON where bjobs has it; a bjobs that has not is asked once more, for text."""
        if "-json" in result.argv and result.exit_code != 0 and NO_JSON.search(result.stderr):
            self._json = False
            result = self.ask(self.queue_command(handles))
        if result.exit_code != 0 and not answers.only_unknown(result):
            raise self.unavailable(result)
        read = answers.json_rows if "-json" in result.argv else answers.long_rows
        listed = read(result.stdout) if result.stdout.strip() else []
        rows = answers.of_these(listed, handles)
        rows = [self._hosts.judged(row) for row in self._explained(rows)]
        return answers.statuses(rows, {handle.native_id for handle in handles})

    @cached_property
    def _hosts(self) -> Hosts:
        unit = site.UNITS[self._memory().reserve_unit]
        return Hosts(self.ask, self.lshosts, self.bhosts, unit)

    def _explained(self, rows: Sequence[answers.Row]) -> Sequence[answers.Row]:
        """Ask bhist about jobs that may have been killed by bkill: bjobs does not tell."""
        suspects = list(dict.fromkeys(row.job_id for row in rows if row.may_be_killed))
        if not suspects:
            return rows
        try:
            return answers.with_killers(rows, self.ask(self._history(suspects)).stdout)
        except SchedulerUnavailableError:
            return rows

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """All of LSF's logs of events, for what mbatchd has forgotten."""
        return self._history([handle.native_id for handle in handles])

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Only ends count. Unknown ids are passed over, and alone are an error."""
        if result.exit_code != 0 and not answers.only_unknown(result):
            raise self.unavailable(result)
        wanted = {handle.native_id for handle in handles}
        rows = answers.of_these(answers.ended_rows(result.stdout), handles)
        return answers.statuses(rows, wanted)

    def _history(self, native_ids: Sequence[str]) -> Command:
        return Command((self.bhist, "-l", "-n", "0", *native_ids))

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """The queue, then the logs of events."""
        return [
            Command((self.bjobs, "-a", "-w", "-J", token)),
            Command((self.bhist, "-a", "-n", "0", "-J", token)),
        ]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Ids of arrays and plain jobs."""
        if result.exit_code != 0 and not answers.only_unknown(result):
            raise self.unavailable(result)
        return answers.found_ids(result.stdout)

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """As the base does, but arrays by their elements.

        Of the end of a whole array mbatchd makes a note only, and what waits may start meanwhile.
        """
        super().cancel([handle for handle in handles if handle.size is None])
        for handle in handles:
            for start in range(0, handle.size or 0, _ENDED_AT_ONCE):
                stop = min(start + _ENDED_AT_ONCE, handle.size or 0)
                self.cancel_positions(handle, range(start, stop))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Good ids are killed whatever stands beside them."""
        return Command((self.bkill, *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        """Every complaint but those of jobs that are over, or will be, is a failure."""
        lines = result.stderr.splitlines()
        heeded = (OVER_ALREADY.search(line) or IN_PROGRESS.search(line) for line in lines)
        if result.exit_code != 0 and not all(heeded):
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """`24[1-3,7]`."""
        return [f"{handle.native_id}[{index_list(map(self.array.index, positions))}]"]

    # -- limits ----------------------------------------------------------------------------
    def count_command(self) -> Command:
        """One line for each job and each element of this user's that is not over."""
        return Command((self.bjobs, "-w"))

    def parse_count(self, result: CommandResult) -> int:
        """Count them."""
        if result.exit_code != 0 and not answers.only_unknown(result):
            raise self.unavailable(result)
        return answers.jobs_listed(result.stdout)

    def ask_limits(self) -> Limits:
        """MAX_JOB_ARRAY_SIZE."""
        if self._largest is None:
            result = self.ask(Command((self.bparams, "-l")))
            if result.exit_code != 0:
                raise self.unavailable(result)
            self._largest = site.largest_array(result.stdout) or 0
        return Limits(max_array_size=self._largest or None)


def _never_ran(status: JobStatus) -> JobStatus:
    return replace(status, state=JobState.FAILED, cause=FailureCause.SUBMIT, impossible=False)
