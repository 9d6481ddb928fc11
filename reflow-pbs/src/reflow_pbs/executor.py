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
    clock,
    contiguous,
    in_units,
    long_options,
    whole_seconds,
)

from reflow_pbs import answers
from reflow_pbs.states import (
    GONE,
    NO_HISTORY,
    PRO_CAUSES,
    STATES,
    TORQUE_CAUSES,
    TRANSIENT,
    submission_error,
)

logger = logging.getLogger("reflow.batch")

_RESERVED = {
    "a": "it decides when a job starts",
    "C": "the script's directives begin with #PBS",
    "e": "logs are in the run directory",
    "f": "a submission has to end",
    "h": "nobody would release the job",
    "I": "reflow's jobs are not interactive",
    "j": "logs are in the run directory",
    "J": "it follows from the number of elements; see array_parallelism= for its limit",
    "k": "logs are in the run directory",
    "N": "jobs are found again by it",
    "o": "logs are in the run directory",
    "S": "set `shell` under [executor.pbs]",
    "t": "it follows from the number of elements; see array_parallelism= for its limit",
    "V": "set `export_environment` under [executor.pbs]",
    "X": "reflow's jobs are not interactive",
    "z": "it reads the answer",
}
_PRO = re.compile(r"pbs_version\s*=\s*\D*(?P<major>\d+)")
_TORQUE = re.compile(r"^\s*version:\s*(?P<major>\d+)", re.IGNORECASE | re.MULTILINE)
_FIRST_DELIMITED = 18
"""The version of PBS Pro since which `qstat -F dsv` can be counted on."""
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
        try:
            waiting = self.submit_one(follow_up, _ONE_MORE)
        except ExecutorError as error:
            logger.warning("the follow-up of %s was not submitted: %s", request.token, error)
            if isinstance(error, SubmissionUncertainError):
                self._give_up(self.find(follow_up.token))
            return Submission(self.submit_one(request))
        try:
            return Submission(
                self.submit_one(request, _Before(native_id=waiting.native_id)), waiting
            )
        except BaseException:
            # Else it would wait for ever.
            self._give_up([waiting])
            raise

    def _give_up(self, handles: Sequence[JobHandle]) -> None:
        with contextlib.suppress(SchedulerUnavailableError):
            self.cancel(handles)

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Directives of qsub(1B)."""
        option = "-t" if self._is_torque else "-J"
        size = request.size
        return {
            "array": size and (option, self.array.expression(size, request.throttle)),
            "wishes": list(
                self._torque_wishes(request) if self._is_torque else self._wishes(request)
            ),
            "account_option": self.account_option,
            "umask": _umask(),
            "options": long_options(self.name, request.resources.options[self.name], _RESERVED),
        }

    def _wishes(self, request: JobRequest) -> Iterable[str]:
        resources = request.resources
        chunk = [str(resources.nodes), f"ncpus={resources.cpus}"]
        if resources.mem is not None:
            chunk.append(f"mem={in_units(resources.mem, 1024**2)}mb")
        if resources.gpus:
            chunk.append(self.gpu_resource.format(gpus=resources.gpus))
        yield f"select={':'.join(chunk)}"
        if self.place or resources.nodes > 1:
            yield f"place={self.place or 'scatter'}"
        if resources.time is not None:
            yield f"walltime={clock(resources.time)}"

    def _torque_wishes(self, request: JobRequest) -> Iterable[str]:
        resources = request.resources
        gpus = f":gpus={resources.gpus}" if resources.gpus else ""
        yield f"nodes={resources.nodes}:ppn={resources.cpus}{gpus}"
        if resources.mem is not None:
            yield f"mem={in_units(resources.mem * resources.nodes, 1024**2)}mb"
        if resources.time is not None:
            yield f"walltime={clock(resources.time)}"

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
        complaints = [
            line for line in result.stderr.splitlines() if line.startswith("qstat:") or ":" in line
        ]
        understood = all(GONE.search(line) or NO_HISTORY in line for line in complaints)
        if result.exit_code != 0 and not (complaints and understood):
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
        """The queue, then the server's history."""
        select = self._path(self.qselect)
        if self._is_torque or not self._history:
            return [Command((select, "-N", token))]
        return [Command((select, "-N", token)), Command((select, "-x", "-N", token))]

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Ids of arrays and plain jobs."""
        if result.exit_code != 0:
            if NO_HISTORY in result.stderr:
                return []
            raise self.unavailable(result)
        return list(dict.fromkeys(filter(self.is_native_id, result.stdout.split())))

    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Good ids are deleted whatever stands beside them."""
        return Command((self._path(self.qdel), *native_ids))

    def check_cancel(self, result: CommandResult) -> None:
        """Complaints about jobs that are gone are no failure."""
        if result.exit_code != 0 and not GONE.search(result.stderr):
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
        form = ("-F", "dsv") if self._version >= _FIRST_DELIMITED and not self._is_torque else ()
        ids = (handle.native_id for handle in handles)
        return Command((self._path(self.qstat), *words, "-t", "-f", *form, *ids))

    def _text(self, *words: str) -> str:
        result = self.ask(Command((self._path(self.qstat), *words)))
        if result.exit_code != 0 and _SERVER_AWAY.search(result.stderr):
            raise self.unavailable(result)
        return result.stdout

    def _path(self, command: str) -> str:
        folder = self._found[0]
        return command if "/" in command or not folder else f"{folder}/{command}"

    @property
    def _is_torque(self) -> bool:
        return self.variant == "torque" or (self.variant == "auto" and self._found[1] == "torque")

    @property
    def _version(self) -> int:
        return self._found[2]

    @cached_property
    def _found(self) -> tuple[str, str, int]:
        """Where on PATH PBS's commands are (empty: the first), which PBS it is, and its version.

        Grid Engine has a qsub, a qstat and a qdel of its own, and a machine may have both.
        """
        if "/" in self.qstat:
            places = [(self.qstat, "")]
        else:
            folders = [folder for folder in os.get_exec_path() if _holds(folder, self.qstat)]
            places = [
                (f"{folder}/{self.qstat}", folder if folder != folders[0] else "")
                for folder in folders
            ]
        for command, folder in places:
            result = self.runner.run(Command((command, "--version")))
            said = f"{result.stdout}\n{result.stderr}"
            for pattern, variant in ((_PRO, "pro"), (_TORQUE, "torque")):
                if match := pattern.search(said):
                    return folder, variant, int(match["major"])
        if not places or self.variant != "auto":
            # Scripts can be looked at where there is no PBS.
            return "", self.variant, _FIRST_DELIMITED
        raise SchedulerUnavailableError(
            f"{places[0][0]} is not PBS's, but another batch system's. Name PBS's commands under "
            '[executor.pbs], such as qsub = "/opt/pbs/bin/qsub", or choose another executor'
        )


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _holds(folder: str, command: str) -> bool:
    return os.access(Path(folder) / command, os.X_OK)


def _umask() -> str:
    """The file mode mask of this process, which a job of PBS does not get; empty if unknown."""
    with contextlib.suppress(OSError):
        found = re.search(r"^Umask:\s*(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
        return found[1] if found else ""
    return ""
