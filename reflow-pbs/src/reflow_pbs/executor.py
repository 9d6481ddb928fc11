"""The executor for OpenPBS and PBS Professional."""

from __future__ import annotations

import shlex
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
    Feasibility,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Resources,
    StateTable,
    Submission,
    SubmissionDeferredError,
    Variables,
    shell_time,
)

from reflow_pbs import errors, feasibility, ids, parse
from reflow_pbs.dependencies import FollowUpFirst, dependency_options
from reflow_pbs.limits import Places, longest_time, number_of
from reflow_pbs.script import (
    BEGIN_TIME,
    begin_time,
    left_over,
    options,
    requests_nodes,
    resource_requests,
)
from reflow_pbs.site import Installation, find_installation
from reflow_pbs.states import STATES


@dataclass(kw_only=True, eq=False)
class PBSExecutor(BatchExecutor):
    """Runs jobs through PBS's own commands: qsub, qstat, qselect, qdel.

    The settings are keyword arguments here and keys of `[executor.pbs]` in the configuration
    file; constructing an executor runs no command.
    """

    qsub: str = "qsub"
    """The command, or its path; the same holds for the commands below."""
    qstat: str = "qstat"
    qselect: str = "qselect"
    qdel: str = "qdel"
    pbsnodes: str = "pbsnodes"
    gpu_resource: str = "ngpus={gpus}"
    """How a node's GPUs are requested, as part of `-l select`."""
    place: str = ""
    """How several nodes are chosen: `-l place`. By default each chunk has a node of its own."""
    account_option: str = "-A"
    """The option that names an account; `-P` where it is a project."""

    _history: bool = field(default=True, init=False, repr=False)
    """False once the server has reported that it forgets jobs as they end."""

    name: ClassVar[str] = "pbs"
    template: ClassVar[str] = "pbs.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(
        base=0,
        variable="PBS_ARRAY_INDEX",
        throttled="{first}-{last}%{throttle}",
    )
    states: ClassVar[StateTable] = STATES
    # `24.server`, `24[].server`, `24[3].server`; any other word would be the name of a queue.
    native_id: ClassVar[str] = r"\d+(?:\[[\d,-]*\])?(?:\.[\w.-]+)?"
    submitted: ClassVar[str] = r"^(\d+(?:\[\])?(?:\.[\w.-]+)?)\s*$"
    variables: ClassVar[Variables] = Variables(
        # Variables of the calling job, which `-V` would pass on, and those that act as options.
        dropped=("PBS_O_", "PBS_JOB", "PBS_ARRAY", "PBS_TASK", "PBS_NODE", "PBS_DPREFIX")
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        whole_nodes=True,
        notes=(
            "Without job history, PBS forgets a job when it ends: then only reflow's own result "
            "files tell how it ended.",
            "An exit code of 129 to 159 cannot be told from a death by signal.",
            "Hosts cannot be excluded.",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = errors.TRANSIENT

    # -- submitting ------------------------------------------------------------------------
    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit the follow-up first, so that the end of the work releases it."""
        if follow_up is None:
            return super().submit(request, follow_up)
        return FollowUpFirst(self, self._queued).submit(request, follow_up)

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """Submit one script; refuse a job without room where no job's end will make room."""
        try:
            return super().submit_one(request, after)
        except SubmissionDeferredError as error:
            own = request.size is None and errors.is_own_limit(error)
            if not (own and self._places.none_will_come(after)):
                raise
        try:
            # The jobs in the way may have ended before the queue was queried.
            return super().submit_one(request, after)
        except SubmissionDeferredError as error:
            if not errors.is_own_limit(error):
                raise
            raise errors.NoRoomToComeError(error) from error

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Return the directives of qsub(1B)."""
        resources, size = request.resources, request.size
        given = resources.options[self.name]
        ours = resource_requests(resources, self.gpu_resource, self.place)
        return {
            "array": size and self.array.expression(size, request.throttle),
            "resource_requests": left_over(ours, given),
            "replaces_queue": "q" in given,
            "replaces_account": self.account_option.lstrip("-") in given,
            "account_option": self.account_option,
            "options": options(given),
        }

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Add the options of this submission alone; users may resubmit the script without them."""
        arguments = [self._path(self.qsub)]
        if request.begin_in is not None:
            arguments += ["-a", begin_time(datetime.now(UTC), request.begin_in)]
        if after is not None:
            arguments += dependency_options(request, after)
        return Command((*arguments, str(script)))

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write the command as it was submitted, except for the begin time."""
        assert request.begin_in is not None
        time = shell_time(request.begin_in + timedelta(seconds=1), BEGIN_TIME)
        return f"{shlex.quote(self._path(self.qsub))} -a {time} {shlex.quote(str(script))}"

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """Classify qsub's error as refused, deferred or uncertain."""
        return errors.submission_error(result.message)

    # -- asking ----------------------------------------------------------------------------
    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Query each element separately, with those that are over while their array is not."""
        return self._show(handles)

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse the answer; a non-zero exit code for unknown or finished jobs is no failure."""
        if result.exit_code != 0 and not errors.only_gone(result.stderr):
            raise self.unavailable(result)
        if errors.NO_HISTORY in result.stderr:
            self._history = False
        return parse.statuses(parse.rows(result.stdout), handles)

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Query the history of the server, where it keeps one."""
        return self._show(handles, "-x") if self._history else None

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse the answer, which has the form of the queue's."""
        return self.parse_queue(result, handles)

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """Search the queue, then the server's history where it keeps one."""
        commands = [self._select("-N", token)]
        if self._history:
            commands.append(self._select("-x", "-N", token))
        return commands

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Parse the ids of arrays and plain jobs."""
        if result.exit_code != 0:
            raise self.unavailable(result)
        return list(dict.fromkeys(filter(self.is_native_id, result.stdout.split())))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Delete jobs; unknown ids beside them do not prevent that."""
        return Command((self._path(self.qdel), *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        """Raise `SchedulerUnavailableError`, except for errors about jobs that are gone."""
        if result.exit_code != 0 and not errors.only_gone(result.stderr):
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """Write one word for each range of indices."""
        return ids.by_ranges(handle.native_id, positions)

    # -- limits ----------------------------------------------------------------------------
    def count_command(self) -> Command:
        """List this user's jobs and elements that wait or run."""
        return self._select(*self._places.counted())

    def parse_count(self, result: CommandResult) -> int:
        """Count one per line; an array as a whole does not count."""
        if result.exit_code != 0:
            raise self.unavailable(result)
        return number_of(result.stdout.split())

    def ask_limits(self) -> Limits:
        """Query max_array_size and max_queued of the server and of the queue."""
        return self._places.limits(self.queue)

    def ask_longest_time(self, resources: Resources) -> timedelta | None:
        """Query resources_max.walltime of the server and of the job's queue."""
        qstat = self._path(self.qstat)
        server = self.ask_once(Command((qstat, "-B", "-f")))
        queue = resources.queue or parse.attributes(server).get("default_queue")
        texts = [self.ask_once(Command((qstat, "-Q", "-f", queue)))] if queue else []
        return longest_time([server, *texts])

    def ask_feasibility(self, request: JobRequest) -> Feasibility:
        """Compare the request with all hosts: one question for all requests.

        Nothing is known of a request whose nodes the user describes in PBS's own words.
        """
        if requests_nodes(request.resources.options[self.name]):
            return Feasibility()
        text = self.ask_once(Command((self._path(self.pbsnodes), "-a")))
        return feasibility.judged(text, request.resources)

    # -- commands --------------------------------------------------------------------------
    def _show(self, handles: Sequence[JobHandle], *arguments: str) -> Command:
        form = ("-F", "dsv") if self._installation.delimited else ()
        native_ids = (handle.native_id for handle in handles)
        return Command((self._path(self.qstat), *arguments, "-t", "-f", *form, *native_ids))

    def _select(self, *arguments: str) -> Command:
        return Command((self._path(self.qselect), *arguments))

    def _selected(self, *arguments: str) -> Sequence[str]:
        return self.parse_found(self.ask(self._select(*arguments)), "")

    def _queued(self, token: str) -> Sequence[JobHandle]:
        return [JobHandle(native_id=found) for found in self._selected("-N", token)]

    def _text(self, *arguments: str) -> str:
        result = self.ask(Command((self._path(self.qstat), *arguments)))
        if result.exit_code != 0 and errors.SERVER_AWAY.search(result.stderr):
            raise self.unavailable(result)
        return result.stdout

    def _path(self, command: str) -> str:
        return self._installation.path(command)

    @cached_property
    def _places(self) -> Places:
        return Places(self._text, self._selected)

    @cached_property
    def _installation(self) -> Installation:
        return find_installation(self.qstat, self.runner.run)
