"""Flux behind reflow's executor contract."""

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
    ExecutorError,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    SchedulerUnavailableError,
    StateTable,
    SubmissionUncertainError,
    Variables,
    index_list,
    long_options,
    whole_seconds,
)

from reflow_flux import answers
from reflow_flux.names import element_name, native_id, number, printed_ids
from reflow_flux.states import (
    OVER_ALREADY,
    STATES,
    TRANSIENT,
    UNKNOWN_ID,
    ParentUnknownError,
    submission_error,
)

_RESERVED = {
    "begin-time": "it decides when a job starts",
    "cc": "it follows from the number of elements",
    "bcc": "it follows from the number of elements",
    "cwd": "jobs change into their folder themselves",
    "dependency": "it follows from the workflow",
    "dry-run": "nothing would be submitted",
    "env": "set `export_environment` under [executor.flux]",
    "env-remove": "set `export_environment` under [executor.flux]",
    "error": "logs are in the run directory",
    "input": "a job reads nothing",
    "job-name": "jobs are found again by it",
    "log": "it reads the answer",
    "output": "logs are in the run directory",
    "progress": "it reads the answer",
    "quiet": "it reads the answer",
    "wait": "reflow does not wait for a job",
    "wait-event": "reflow does not wait for a job",
    "watch": "reflow does not wait for a job",
}
_INHERITED = ("HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TZ", "USER")
"""What a job gets of the environment of the process that submits it."""
_MARGIN = timedelta(hours=1)
"""How far the clocks of a submitting machine and of the instance may be apart."""


@dataclass(kw_only=True, eq=False)
class FluxExecutor(BatchExecutor):
    """Runs jobs through the commands of flux(1): flux submit, jobs and cancel.

    The settings are keyword arguments here and keys of `[executor.flux]` in the configuration
    file; constructing an executor runs no command.
    """

    flux: str = "flux"
    """The command, or its path."""
    uri: str | None = None
    """The instance, as FLUX_URI names it: `local:///run/flux/local`; None for the environment's."""
    max_array_size: int | None = 1000
    """Most elements that one command submits; it takes some 4 s for 1000."""

    _ids: dict[str, list[str]] = field(default_factory=dict, init=False, repr=False)
    """Ids of the elements of arrays that this process has submitted, by token."""
    _present: frozenset[int] = field(default=frozenset(), init=False, repr=False)
    """Positions of the array at hand that an earlier submission has got through."""
    _printed: list[str] = field(default_factory=list, init=False, repr=False)

    name: ClassVar[str] = "flux"
    scheduler: ClassVar[str] = "Flux"
    package: ClassVar[str] = "reflow_flux"
    template: ClassVar[str] = "flux.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(base=0, variable="FLUX_JOB_CC")
    states: ClassVar[StateTable] = STATES
    variables: ClassVar[Variables] = Variables(
        # Those of the calling job, which would be handed on with export_environment.
        dropped=("FLUX_JOB_", "FLUX_TASK_", "FLUX_KVS_NAMESPACE", "FLUX_SUBMIT_"),
        added={"FLUX_F58_FORCE_ASCII": "1"},
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        memory_limit=False,
        throttle=False,
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

    def passed_variables(self) -> Variables:
        """As the base's, and the instance."""
        if self.uri is None:
            return self.variables
        return replace(self.variables, added={**self.variables.added, "FLUX_URI": self.uri})

    # -- submitting ------------------------------------------------------------------------
    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """The command line, for people: flux submit reads no options from a script."""
        return {"submission": shlex.join([self.flux, "submit", *self._words(request)])}

    def _words(self, request: JobRequest) -> list[str]:
        """What flux submit is given about a request that is filled in, but for positions."""
        resources = request.resources
        name = request.token
        if request.size is not None:
            name = element_name(name, "{cc}", request.size)
        words = [f"--job-name={name}", f"--cores-per-task={resources.cpus}"]
        words += [f"--ntasks={resources.nodes}"]
        if resources.nodes > 1:
            # Else the others would be ended soon after the first of them has.
            words += [f"--nodes={resources.nodes}", "--setopt=exit-timeout=none"]
        if resources.gpus:
            words.append(f"--gpus-per-task={resources.gpus}")
        if resources.time is not None:
            words.append(f"--time-limit={whole_seconds(resources.time)}s")
        if resources.queue:
            words.append(f"--queue={resources.queue}")
        if resources.account:
            words.append(f"--bank={resources.account}")
        if not self.export_environment:
            words += ["--env=-*", *(f"--env={variable}" for variable in _INHERITED)]
        for option in long_options(self.name, resources.options[self.name], _RESERVED):
            words.extend(option)
        return words

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """As the base does; of an array, what an earlier attempt at this has not got through.

        What was to wait for a job that Flux has forgotten need not wait.
        """
        there: dict[int, str] = {}
        if request.size is not None and (request.directory / SCRIPT_NAME).exists():
            there = {position: known for position, _, known in self._elements(request.token, "-a")}
        self._present, self._printed = frozenset(there), []
        handle = JobHandle(native_id=request.token, token=request.token, size=request.size)
        if request.size is None or len(there) < request.size:
            try:
                handle = super().submit_one(request, after)
            except ParentUnknownError:
                handle = super().submit_one(request)
        if request.size is None:
            return handle
        self._ids[request.token] = [*there.values(), *self._printed]
        return replace(handle, native_id=request.token)

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """All elements by one command, as each call takes a third of a second."""
        words = self._words(self.filled(request))
        if request.size is not None:
            left = (item for item in range(request.size) if item not in self._present)
            words.append(f"--cc={index_list(left)}")
        if request.begin_in is not None:
            words.append(f"--begin-time=+{whole_seconds(request.begin_in)}s")
        if after is not None:
            words += [f"--dependency=afterany:{item}" for item in self._ids_of(after)]
        return self._command("submit", *words, *_run_script(self.shell, script))

    def parse_submission(self, result: CommandResult) -> str | None:
        """One id a line, in the order of the positions."""
        self._printed = list(printed_ids(result.stdout))
        return self._printed[-1] if self._printed else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """For good, for now, or nobody knows: some elements may have been accepted.

        Where an earlier attempt has got some through, those must be kept: the rest is submitted
        when Flux takes it.
        """
        if self._present or any(printed_ids(result.stdout)):
            return SubmissionUncertainError(f"flux submit stopped half-way: {result.said}")
        waits = any(word.startswith("--dependency=") for word in result.argv)
        return submission_error(result.said, waits)

    # -- asking ----------------------------------------------------------------------------
    def is_native_id(self, native_id: str) -> bool:
        """An id, or the token of an array; another word would spoil the whole command."""
        return number(native_id) is not None or _is_token(native_id)

    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Jobs by their ids; with arrays among them all jobs since the first was submitted."""
        ids = [handle.native_id for handle in handles]
        if all(number(native_id) is not None for native_id in ids):
            return self._command("jobs", "--json", *ids)
        times = [handle.submitted_at for handle in handles]
        known = [time for time in times if time is not None]
        if len(known) < len(times):
            return self._list("-a")
        age = datetime.now(UTC) - min(known) + _MARGIN
        return self._list("-a", f"--since=-{whole_seconds(age)}s")

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Unknown ids are left out; where all are, it is an error."""
        return answers.statuses(self._jobs(result), handles)

    def _jobs(self, result: CommandResult) -> list[answers.Job]:
        lines = result.stderr.strip().splitlines()
        only_unknown = bool(lines) and all(UNKNOWN_ID.search(line) for line in lines)
        if result.exit_code != 0 and not only_unknown:
            raise self.unavailable(result)
        return answers.jobs(result.stdout)

    def _elements(self, token: str, *words: str) -> list[tuple[int, int, str]]:
        """Position, size and id of the jobs of an array; with `-a` of those that are over too."""
        found = self._jobs(self.ask(self._list(*words)))
        return [
            (position, size, native_id(job.number))
            for position, size, job in answers.elements(found, token)
        ]

    def _ids_of(self, handle: JobHandle) -> Sequence[str]:
        if number(handle.native_id) is not None:
            return [handle.native_id]
        known = self._ids.get(handle.native_id)
        return known or [found for _, _, found in self._elements(handle.native_id, "-a")]

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """Names of elements differ, and Flux looks for one name only: all jobs it remembers."""
        return [self._list("-a")]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Ids of plain jobs, and an array's token where all of its jobs are there.

        An array that was submitted by half is not found: to submit it again adds the rest.
        """
        jobs = self._jobs(result)
        plain = [native_id(job.number) for job in jobs if job.name == token]
        parts = list(answers.elements(jobs, token))
        whole = bool(parts) and len({position for position, _, _ in parts}) >= parts[0][1]
        return [*plain, *([token] if whole else [])]

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Ask for these jobs' end; arrays by the ids of those that are not over."""
        tokens = {handle.native_id for handle in handles if number(handle.native_id) is None}
        ids = [handle.native_id for handle in handles if handle.native_id not in tokens]
        for token in tokens:
            ids += [found for _, _, found in self._elements(token)]
        self._cancel(ids)

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Good ids are cancelled beside unknown ones."""
        return self._command("cancel", *native_ids)

    def check_cancel(self, result: CommandResult) -> None:
        """Every complaint but those of jobs that are over means that something still runs."""
        lines = result.stderr.strip().splitlines()
        if result.exit_code != 0 and not (lines and all(map(OVER_ALREADY.search, lines))):
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """The ids of those of them that are not over."""
        active = self._elements(handle.native_id)
        return [found for position, _, found in active if position in positions]

    # -- limits ----------------------------------------------------------------------------
    def ask_limits(self) -> Limits:
        """Flux tells none. But no run is to begin where there is no instance to run it."""
        result = self.ask(self._command("getattr", "instance-level"))
        if result.exit_code != 0:
            raise SchedulerUnavailableError(
                f"there is no Flux instance here: {result.said}. Name one by FLUX_URI or by uri "
                "under [executor.flux], or start one with `flux start`"
            )
        return Limits()

    def count_command(self) -> Command:
        """All jobs of this user that wait or run."""
        return self._list()

    def parse_count(self, result: CommandResult) -> int:
        """Their number."""
        return len(self._jobs(result))

    # -- commands --------------------------------------------------------------------------
    def _list(self, *words: str) -> Command:
        return self._command("jobs", *words, "--count=0", "--json")

    def _command(self, *words: str) -> Command:
        return Command((self.flux, *words))


def _is_token(text: str) -> bool:
    return text.isascii() and text.replace("-", "a").replace("_", "a").isalnum()


def _run_script(shell: str, script: Path) -> list[str]:
    """A command for flux submit, in which braces stand for positions and for facts of the job."""
    words, text = shlex.split(shell), str(script)
    if "{" not in text and "}" not in text:
        return [*words, text]
    for letter, written in (("\\", "\\\\"), ("%", "%%"), ("{", "\\173"), ("}", "\\175")):
        text = text.replace(letter, written)
    return ["/bin/sh", "-c", 'exec "$@" "$(printf "$0")"', text, *words]
