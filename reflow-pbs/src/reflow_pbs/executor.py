"""PBS behind reflow's executor contract: PBS Pro, OpenPBS and Torque."""

from __future__ import annotations

import contextlib
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
    Submission,
    SubmissionUncertainError,
    Variables,
    contiguous,
    long_options,
    whole_seconds,
)

from reflow_pbs import answers
from reflow_pbs.directives import RESERVED, pro_wishes, torque_wishes, umask
from reflow_pbs.installation import TORQUE, Installation, find_installation
from reflow_pbs.states import (
    NO_HISTORY,
    PRO_CAUSES,
    STATES,
    TORQUE_CAUSES,
    TRANSIENT,
    only_gone,
    submission_error,
)

logger = logging.getLogger("reflow.batch")

_ALIVE = "EHQRSTUW"
"""States of jobs and elements that take a place in the queue."""
_SERVER_AWAY = re.compile(r"cannot connect|Connection refused|Couldn't connect|No default server")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before(JobHandle):
    """A job that waits to be let go by the end of the one that is submitted."""


_ONE_MORE = JobHandle(native_id="on:1")
"""What a follow-up waits for: the end of one job, whichever names it."""


@dataclass(kw_only=True, eq=False)
class PBSExecutor(BatchExecutor):
    """Runs jobs through PBS's own commands: qsub, qstat, qselect, qdel.

    The settings are keyword arguments here and keys of `[executor.pbs]` in the configuration
    file; constructing an executor runs no command.
    """

    qsub: str = "qsub"
    """The command, or its path; so the other commands below."""
    qstat: str = "qstat"
    qselect: str = "qselect"
    qdel: str = "qdel"
    variant: str = "auto"
    """`pro` for PBS Pro and OpenPBS, `torque`, or `auto` to ask qstat at first use."""
    gpu_resource: str = "ngpus={gpus}"
    """How a node's GPUs are asked for, as part of `-l select`; in Torque's `-l nodes`, `gpus=`."""
    place: str = ""
    """How several nodes are chosen: `-l place`. By default each chunk has a node of its own."""
    account_option: str = "-A"
    """What an account is here; `-P` where it is a project."""

    _history: bool = field(default=True, init=False, repr=False)
    """False once the server has said that it forgets jobs as they end."""
    _server: str | None = field(default=None, init=False, repr=False)

    name: ClassVar[str] = "pbs"
    scheduler: ClassVar[str] = "PBS"
    package: ClassVar[str] = "reflow_pbs"
    template: ClassVar[str] = "pbs.sh.j2"
    array: ClassVar[ArrayStyle] = ArrayStyle(
        base=0,
        # The second is Torque's.
        variable="{PBS_ARRAY_INDEX:-$PBS_ARRAYID}",
        throttled="{first}-{last}%{throttle}",
    )
    states: ClassVar[StateTable] = STATES
    variables: ClassVar[Variables] = Variables(
        # Those of the calling job, which `-V` would hand on, and what would act as an option.
        dropped=("PBS_O_", "PBS_JOB", "PBS_ARRAY", "PBS_TASK", "PBS_NODE", "PBS_DPREFIX")
    )
    capabilities: ClassVar[Capabilities] = Capabilities(
        notes=(
            "PBS forgets a job as it ends unless job history is on: then reflow's own result files "
            "are all that tells how it ended.",
            "An exit code of 129 to 159 cannot be told from a death by signal.",
            "Hosts cannot be left out.",
        ),
    )
    transient: ClassVar[tuple[str, ...]] = TRANSIENT

    # -- submitting ------------------------------------------------------------------------
    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit the follow-up first, waiting to be let go, and the work so that it does that.

        The other way round a follow-up waits for ever when a plain job is deleted before it
        starts, and is dropped when the work is over and forgotten already. On Torque, which
        knows no such order for arrays, the work comes first.
        """
        if follow_up is None or self._is_torque:
            return super().submit(request, follow_up)
        waiting = self._submit_waiting(follow_up)
        if waiting is None:
            return Submission(self.submit_one(request))
        try:
            return Submission(
                self.submit_one(request, _Before(native_id=waiting.native_id)), waiting
            )
        except SubmissionUncertainError:
            # It may have been accepted: then it needs what waits for it, and both are found.
            raise
        except BaseException:
            # Else it would wait for ever.
            with contextlib.suppress(SchedulerUnavailableError):
                self.cancel([waiting])
            raise

    def _submit_waiting(self, follow_up: JobRequest) -> JobHandle | None:
        """A job that waits for the next one; None where PBS did not take it.

        Raises `SubmissionUncertainError` where nobody can say: what was accepted unseen would
        wait for ever.
        """
        if (follow_up.directory / SCRIPT_NAME).exists():
            # Nothing will ever let go what an earlier attempt at this has left.
            own = os.environ.get("REFLOW_NATIVE_ID")
            self.cancel([job for job in self.find(follow_up.token) if job.native_id != own])
        try:
            return self.submit_one(follow_up, _ONE_MORE)
        except SubmissionUncertainError:
            with contextlib.suppress(SchedulerUnavailableError):
                for found in self.find(follow_up.token):
                    return found
            raise
        except ExecutorError as error:
            logger.warning("%s was not submitted: %s", follow_up.token, error)
            return None

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Directives of qsub(1B)."""
        resources, size = request.resources, request.size
        option = "-t" if self._is_torque else "-J"
        wishes = (
            torque_wishes(resources)
            if self._is_torque
            else pro_wishes(resources, self.gpu_resource, self.place)
        )
        return {
            "array": size and (option, self.array.expression(size, request.throttle)),
            "wishes": list(wishes),
            "account_option": self.account_option,
            "umask": umask(),
            "options": long_options(self.name, resources.options[self.name], RESERVED),
        }

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """What is true of one submission only is not in the script, which people resubmit."""
        words = [self._path(self.qsub)]
        if request.begin_in is not None:
            seconds = whole_seconds(request.begin_in) + 1
            begin = datetime.now(UTC).astimezone() + timedelta(seconds=seconds)
            words += ["-a", begin.strftime("%Y%m%d%H%M.%S")]
        if isinstance(after, _Before):
            if request.size is None:
                # An array of one: a plain job deleted before it starts lets nobody go.
                words += ["-J", "0-1:2"]
            words += ["-W", f"depend=beforeany:{after.native_id}"]
        elif after is _ONE_MORE:
            words += ["-W", f"depend={after.native_id}"]
        elif after is not None:
            kind = "afteranyarray" if self._is_torque and "[]" in after.native_id else "afterany"
            words += ["-W", f"depend={kind}:{after.native_id}"]
        return Command((*words, str(script)))

    def parse_submission(self, result: CommandResult) -> str | None:
        """`24.server` or `24[].server`; a site's wrapper may print more before it."""
        found = re.findall(r"^(\d+(?:\[\])?(?:\.[\w.-]+)?)\s*$", result.stdout, re.MULTILINE)
        return found[-1] if found else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """For good, for now, or nobody knows: by what qsub says."""
        return submission_error(result.said)

    # -- asking ----------------------------------------------------------------------------
    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Each element by itself, those that are over too while their array is not."""
        return self._show(handles)

    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """One unknown or finished job makes an exit code, and is no failure."""
        if result.exit_code != 0 and not only_gone(result.stderr):
            raise self.unavailable(result)
        if NO_HISTORY in result.stderr:
            self._history = False
        causes = TORQUE_CAUSES if self._is_torque else PRO_CAUSES
        return answers.statuses(answers.rows(result.stdout), handles, causes)

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """The history of the server, where it keeps one."""
        if self._is_torque or not self._history:
            return None
        return self._show(handles, "-x")

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """The same form as that of the queue."""
        return self.parse_queue(result, handles)

    def is_native_id(self, native_id: str) -> bool:
        """Any other word would be the name of a queue."""
        return re.fullmatch(r"\d+(?:\[[\d,-]*\])?(?:\.[\w.-]+)?", native_id) is not None

    # -- finding and cancelling ------------------------------------------------------------
    def find_commands(self, token: str) -> Sequence[Command]:
        """The queue, then the server's history; Torque's qselect knows no names of arrays."""
        select = self._path(self.qselect)
        if self._is_torque:
            whole = Command((self._path(self.qstat), "-t", "-f"))
            return [Command((select, "-N", token)), whole]
        if not self._history:
            return [Command((select, "-N", token))]
        return [Command((select, "-N", token)), Command((select, "-x", "-N", token))]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Ids of arrays and plain jobs."""
        if result.exit_code != 0:
            if NO_HISTORY in result.stderr:
                return []
            raise self.unavailable(result)
        if "-f" in result.argv:
            return answers.arrays_named(result.stdout, token)
        return list(dict.fromkeys(filter(self.is_native_id, result.stdout.split())))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Good ids are deleted whatever stands beside them."""
        return Command((self._path(self.qdel), *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        """Complaints about jobs that are gone are no failure."""
        if result.exit_code != 0 and not only_gone(result.stderr):
            raise self.unavailable(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """`24[2-4].server` and `24[8].server`: one word for each run of indices."""
        before, _, after = handle.native_id.partition("[]")
        return [
            f"{before}[{run.start}{f'-{run.stop - 1}' if len(run) > 1 else ''}]{after}"
            for run in contiguous(positions)
        ]

    # -- limits ----------------------------------------------------------------------------
    def count_command(self) -> Command:
        """Jobs and elements of this user's that wait or run."""
        words = ("-u", _user(), "-s", _ALIVE)
        return Command((self._path(self.qselect), *(() if self._is_torque else ("-T",)), *words))

    def parse_count(self, result: CommandResult) -> int:
        """One line for each; an array as a whole is none."""
        if result.exit_code != 0:
            raise self.unavailable(result)
        return sum("[]" not in line for line in result.stdout.split())

    def ask_limits(self) -> Limits:
        """max_array_size, and max_queued of the server and of the queue."""
        if self._server is None:
            self._server = self._text("-B", "-f")
        queue = self.queue or answers.attribute(self._server, "default_queue")
        shown = [self._server, self._text("-Q", "-f", queue) if queue else ""]
        found = [answers.user_limit(text, _user()) for text in shown]
        largest = answers.attribute(self._server, "max_array_size")
        most = min((limit for limit in found if limit is not None), default=None)
        return Limits(
            max_array_size=int(largest) if largest and largest.isdigit() else None,
            max_submit_jobs=most,
            queued_jobs=0 if most is None else self.parse_count(self.ask(self.count_command())),
        )

    # -- commands --------------------------------------------------------------------------
    def _show(self, handles: Sequence[JobHandle], *words: str) -> Command:
        form = ("-F", "dsv") if self._installation.delimited else ()
        ids = (handle.native_id for handle in handles)
        return Command((self._path(self.qstat), *words, "-t", "-f", *form, *ids))

    def _text(self, *words: str) -> str:
        result = self.ask(Command((self._path(self.qstat), *words)))
        if result.exit_code != 0 and _SERVER_AWAY.search(result.stderr):
            raise self.unavailable(result)
        return result.stdout

    def _path(self, command: str) -> str:
        return self._installation.path(command)

    @property
    def _is_torque(self) -> bool:
        return self._installation.variant == TORQUE

    @cached_property
    def _installation(self) -> Installation:
        return find_installation(self.qstat, self.variant, self.runner.run)


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name
