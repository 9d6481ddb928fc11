"""The executor for Flux."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from reflow.plugin_api import (
    SCRIPT_NAME,
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
    Resources,
    SchedulerUnavailableError,
    StateTable,
    SubmissionUncertainError,
    Variables,
    index_list,
    whole_seconds,
)

from reflow_flux import errors, parse, site
from reflow_flux.errors import ERRORS, TRANSIENT
from reflow_flux.ids import is_token, number, printed_ids
from reflow_flux.script import script_command, submit_options
from reflow_flux.states import STATES

_MARGIN = timedelta(hours=1)
"""The most by which the clocks of a submitting machine and of the instance may differ."""


@dataclass(kw_only=True, eq=False)
class FluxExecutor(BatchExecutor):
    """Runs jobs through the commands of flux(1): flux submit, jobs and cancel.

    The settings are keyword arguments here and keys of `[executor.flux]` in the configuration
    file; constructing an executor runs no command.
    """

    flux: str = "flux"
    """The command, or its path."""
    uri: str | None = None
    """The instance, as FLUX_URI names it: `local:///run/flux/local`; None for the environment's,
    and an empty text for the machine's own, whatever the environment names."""
    max_array_size: int | None = 1000
    """The most elements that one command submits; it takes some 4 s for 1000."""

    _ids: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False)
    """The ids of the elements of arrays that this process has submitted, by token."""
    _present: frozenset[int] = field(default=frozenset(), init=False, repr=False)
    """Positions of the array being submitted that an earlier attempt has submitted."""
    _printed: list[str] = field(default_factory=list, init=False, repr=False)

    name: ClassVar[str] = "flux"
    template: ClassVar[str] = "flux.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(base=0, variable="FLUX_JOB_CC")
    states: ClassVar[StateTable] = STATES
    errors: ClassVar[ErrorTable] = ERRORS
    variables: ClassVar[Variables] = site.VARIABLES
    capabilities: ClassVar[Capabilities] = Capabilities(
        memory_limit=False,
        throttle=False,
        whole_nodes=True,
        notes=(
            "Flux has no arrays: each element is a job of its own.",
            "Flux has no limits on memory: mem= is not passed on, and a task that is killed for "
            "memory is one killed by signal 9.",
            "Flux cannot limit how many elements run at once: with array_parallelism=n reflow "
            "submits n of them, and the next n when those are over.",
            "Flux runs no job again after its node was lost: reflow submits the element anew.",
            "A task over several nodes is started on the first of them.",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = TRANSIENT
    chunk: ClassVar[int] = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.uri is None:
            self.uri = site.instance()

    def passed_variables(self) -> Variables:
        """Return the base's variables, and those of the instance."""
        return site.variables(self.uri)

    # -- submitting ------------------------------------------------------------------------
    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Return the command line to show to users: flux submit reads no options from a script."""
        arguments = submit_options(request, self.name, self.export_environment)
        line = shlex.join([self.flux, "submit", *arguments])
        return {"submission": line, "instance": self.uri}

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """Submit as the base does; of an array, the elements that no earlier attempt submitted."""
        self._present, self._printed = frozenset(), []
        if request.size is None:
            return self._submit_waiting(request, after)
        there: dict[int, str] = {}
        if (request.directory / SCRIPT_NAME).exists():
            there = self._got_through(request.token)
        self._present = frozenset(there)
        handle = JobHandle(native_id=request.token, token=request.token, size=request.size)
        if len(there) < request.size:
            handle = self._submit_waiting(request, after)
        self._ids[request.token] = [*there.values(), *self._printed]
        return replace(handle, native_id=request.token)

    def _got_through(self, token: str) -> dict[int, str]:
        """Find position and id of the elements of an array that were submitted, by asking Flux."""
        try:
            return dict(parse.elements(self._known("-a"), token))
        except SchedulerUnavailableError as error:
            raise SubmissionUncertainError(str(error)) from error

    def _submit_waiting(self, request: JobRequest, after: JobHandle | None) -> JobHandle:
        """Submit a job; without waiting where Flux has forgotten the job to wait for."""
        try:
            return super().submit_one(request, after)
        except errors.ParentUnknownError:
            return super().submit_one(request)

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Submit all elements by one command, as each call takes a third of a second."""
        arguments = submit_options(request, self.name, self.export_environment)
        if request.size is not None:
            left = (item for item in range(request.size) if item not in self._present)
            arguments.append(f"--cc={index_list(left)}")
        if after is not None:
            arguments += [f"--dependency=afterany:{item}" for item in self._ids_of(after)]
        return self._command("submit", *arguments, *script_command(self.shell, script))

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write flux's command; `--begin-time` counts from when flux submit is run."""
        return shlex.join(self.submit_command(script, request, None).argv)

    def parse_submission(self, result: CommandResult) -> str | None:
        """Parse one id per line, in the order in which Flux has accepted the jobs."""
        self._printed = list(printed_ids(result.stdout))
        return self._printed[-1] if self._printed else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """Classify the error; elements that were accepted, now or before, make it uncertain."""
        message = errors.complaint(result.stderr) or result.message
        if self._present or any(printed_ids(result.stdout)):
            return errors.half_way(message)
        waits = any(word.startswith("--dependency=") for word in result.argv)
        return errors.submission_error(message, waits)

    # -- asking ----------------------------------------------------------------------------
    def is_native_id(self, native_id: str) -> bool:
        """Accept an id, or the token of an array; another word makes the whole command fail."""
        return number(native_id) is not None or is_token(native_id)

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Query jobs by ids; with arrays among them, all jobs since the first was submitted."""
        ids = [handle.native_id for handle in handles]
        if all(number(native_id) is not None for native_id in ids):
            return self._command("jobs", "--json", *ids)
        times = [handle.submitted_at for handle in handles if handle.submitted_at is not None]
        if len(times) < len(handles):
            return self._list("-a")
        age = datetime.now(UTC) - min(times) + _MARGIN
        return self._list("-a", f"--since=-{whole_seconds(age)}s")

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse the answer, which leaves out unknown ids; an error where all are unknown."""
        return parse.statuses(self._jobs(result), handles)

    def _jobs(self, result: CommandResult) -> list[parse.Job]:
        if not parse.answered(result):
            raise self.unavailable(result)
        try:
            return parse.jobs(result.stdout)
        except ValueError as error:
            raise SchedulerUnavailableError(f"flux jobs cannot be read: {error}") from error

    def _known(self, *arguments: str) -> list[parse.Job]:
        """Query all jobs of this user that are not over; with `-a` also those that are."""
        return self._jobs(self.ask(self._list(*arguments)))

    def _ids_of(self, handle: JobHandle) -> Iterable[str]:
        token = handle.native_id
        if number(token) is not None:
            return [token]
        known = self._ids.get(token)
        return known or [found for _, found in parse.elements(self._known("-a"), token)]

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """List all jobs that Flux remembers: it filters by one name only, and elements' differ."""
        return [self._list("-a")]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Parse the ids of plain jobs, and an array's token where all of its jobs exist."""
        return list(parse.ids(self._jobs(result), token))

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Cancel these jobs; arrays by the ids of the elements that are not over."""
        ids = [handle.native_id for handle in handles]
        tokens = {native_id for native_id in ids if number(native_id) is None}
        active = self._known() if any(map(is_token, tokens)) else []
        parts = [found for token in tokens for _, found in parse.elements(active, token)]
        self._cancel([*(native_id for native_id in ids if native_id not in tokens), *parts])

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Cancel jobs; unknown ids beside them do not prevent that."""
        return self._command("cancel", *native_ids)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """Return the ids of those elements that are not over."""
        active = parse.elements(self._known(), handle.native_id)
        return [found for position, found in active if position in positions]

    # -- limits ----------------------------------------------------------------------------
    def ask_limits(self) -> Limits:
        """Check that there is an instance, without which no run may begin; Flux tells no limits."""
        result = self.ask(self._command("getattr", "instance-level"))
        if result.exit_code != 0:
            raise SchedulerUnavailableError(
                f"there is no Flux instance here: {result.message}. Name one by FLUX_URI or by uri "
                "under [executor.flux], or start one with `flux start`"
            )
        return Limits()

    def ask_longest_time(self, resources: Resources) -> timedelta | None:
        """Query the limit on durations of the job's queue, or of all jobs."""
        return site.longest_time(self.ask_once(self._command("config", "get")), resources.queue)

    def count_command(self) -> Command:
        """List all jobs of this user that wait or run."""
        return self._list()

    def parse_count(self, result: CommandResult) -> int:
        """Count the jobs."""
        return len(self._jobs(result))

    # -- commands --------------------------------------------------------------------------
    def _list(self, *arguments: str) -> Command:
        return self._command("jobs", *arguments, "--count=0", "--json")

    def _command(self, *arguments: str) -> Command:
        return Command((self.flux, *arguments))
