"""The base class of the executors for batch schedulers."""

from __future__ import annotations

import logging
import math
import os
import re
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from reflow.errors import (
    ExecutorError,
    ParameterError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.batch.again import once_more
from reflow.executors.batch.arrays import ArrayStyle
from reflow.executors.batch.command import (
    Command,
    CommandMissingError,
    CommandResult,
    CommandRunner,
    CommandTimeoutError,
    Variables,
)
from reflow.executors.batch.coverage import Coverage
from reflow.executors.batch.errors import ErrorTable
from reflow.executors.batch.options import long_options
from reflow.executors.batch.silence import Silence
from reflow.executors.batch.states import StateTable
from reflow.model.jobs import (
    AGAIN_NAME,
    LOG_NAME,
    Capabilities,
    Feasibility,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.permissions import current_umask, open_file

if TYPE_CHECKING:
    from reflow.executors.batch.template import ScriptTemplates
    from reflow.model.json import Json
    from reflow.model.resources import Resources

logger = logging.getLogger("reflow.executors.batch")

SCRIPT_NAME = "job.sh"
"""The name of the rendered script in a request's directory."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RETRY_DELAYS = (1.0, 4.0)
"""Seconds to wait before each repetition of a query that failed for a passing reason."""

_T = TypeVar("_T")
_About = TypeVar("_About")


@dataclass(kw_only=True, eq=False)
class BatchExecutor(ABC):
    """An executor that hands scripts to a batch scheduler's commands.

    A subclass is a dataclass too, whose fields are its settings: plain JSON values of built-in
    types, with defaults. It declares the class variables below, and implements the methods
    that follow them. Those depend on their arguments and the settings alone.
    """

    setup: tuple[str, ...] = ()
    """Shell lines that every job runs before its work."""
    queue: str | None = None
    """The default for tasks that name none."""
    account: str | None = None
    """The default for tasks that name none."""
    options: dict[str, object] | None = None
    """Options of the submit command for every job; a task's own take precedence."""
    max_submit_jobs: int | None = None
    """The most jobs in the queue at once; None to ask the scheduler."""
    max_array_size: int | None = None
    """The most elements of an array; None to ask the scheduler."""
    export_environment: bool = False
    """Whether jobs get the environment of the process that submits them."""
    shell: str = "/bin/bash"
    """The shell that runs the scripts."""
    timeout: float = 60.0
    """The time limit of a scheduler's command, in seconds."""
    templates: str | None = None
    """Folder of the site's own templates; the configuration gives `templates` beside its file."""
    command_record: str | None = None
    """A file that gets one line of JSON for each scheduler command."""

    answers: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    """Answers of the scheduler, by question, that need not be asked for again within a run."""

    name: ClassVar[str]
    """What users write: `executor="pond"`."""
    scheduler: ClassVar[str]
    """The scheduler's name in messages; by default that of the table of states."""
    package: ClassVar[str]
    """The package whose folder `templates` holds the backend's template; by default that of the
    class."""
    template: ClassVar[str] = "batch.sh.j2"
    """The backend's template, if it has one of its own; it extends `batch.sh.j2`."""
    job_variable: ClassVar[str] = ""
    """The variable that holds a job's id, where `batch.sh.j2` is to pass it on."""
    start_variable: ClassVar[str] = ""
    """A variable whose value changes when the scheduler restarts the same job."""
    directive: ClassVar[str] = ""
    """The prefix of the script's lines that `directives` returns: `#POND`."""
    reserved: ClassVar[Mapping[str, str]] = {}
    """Options of the submit command that a task may not set, and why not."""
    array: ClassVar[ArrayStyle]
    states: ClassVar[StateTable]
    native_id: ClassVar[str] = r".*"
    """A regular expression for the ids of jobs and of elements; the scheduler is asked about no
    others. Workers that were started by hand have other ids, and with some schedulers one such
    word makes a whole command fail."""
    submitted: ClassVar[str] = r"(\S+)\s*$"
    """A regular expression whose group is the id in the output of a submit command. A site's
    wrapper may print more: the last line that matches counts."""
    errors: ClassVar[ErrorTable] = ErrorTable()
    """What the scheduler's error messages mean."""
    variables: ClassVar[Variables] = Variables()
    capabilities: ClassVar[Capabilities] = Capabilities()
    chunk: ClassVar[int] = 200
    """The most ids on one command line."""
    transient: ClassVar[tuple[str, ...]] = ()
    """Regular expressions of errors after which a query is worth repeating."""

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        for name in _private(vars(cls)) & _private(dir(BatchExecutor)):
            raise TypeError(
                f"{cls.__name__}.{name}: BatchExecutor uses {name} itself. Choose another name."
            )
        if not hasattr(cls, "package"):
            cls.package = cls.__module__.partition(".")[0]
        if not hasattr(cls, "scheduler") and hasattr(cls, "states"):
            cls.scheduler = cls.states.scheduler

    def __post_init__(self) -> None:
        given: object = self.setup
        self.setup = tuple(given.splitlines() if isinstance(given, str) else self.setup)

    # -- what a backend implements ---------------------------------------------------------
    @abstractmethod
    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        """Make the command that submits a script, to start once `after` is over, if given."""

    @abstractmethod
    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Make the command that queries the queue for the states of these jobs."""

    @abstractmethod
    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse the queue's answer. Raises `SchedulerUnavailableError` when there was none.

        A `ValueError` or a `LookupError` means an answer that cannot be parsed, and counts as none.
        """

    @abstractmethod
    def find_commands(self, token: str) -> Sequence[Command]:
        """Make the commands that find jobs by token; they are tried until one finds something."""

    @abstractmethod
    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Make the command that cancels jobs, or elements as `element_ids` writes them."""

    @abstractmethod
    def count_command(self) -> Command:
        """Make the command that counts this user's jobs in the queue, array elements separately."""

    # -- what a backend may override -------------------------------------------------------
    def directives(self, request: JobRequest) -> Iterable[str | tuple[str, ...]]:
        """Return the text after `directive` in the script, one line each; a tuple is several words.

        By default there is none, and the template writes the directives.
        """
        return ()

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Return the variables of the backend's template besides those of every template."""
        return {}

    def parse_submission(self, result: CommandResult) -> str | None:
        """Find the native id in the answer of a submit command that succeeded; None without one."""
        found: list[str] = re.findall(self.submitted, result.stdout, re.MULTILINE)
        return found[-1] if found else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """Make the exception for a failed submit command, by the table `errors`."""
        command = Path(result.argv[0]).name
        return self.errors.submission_error(
            self.scheduler, command, result.message, result.exit_code
        )

    def submission_timeout(self, text: str, message: str) -> ExecutorError:
        """Make the exception for a submit command that timed out, having printed `message`."""
        return SubmissionUncertainError(text)

    def submit_directory(self, request: JobRequest) -> Path:
        """Return where a job is submitted: jobs see the directory, and setup lines may use it."""
        return request.working_directory

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Make the command that queries accounting; None where the scheduler has none."""
        return None

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Parse the answer of accounting; see `parse_queue`."""
        return ()

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Parse the native ids that a find command printed, each once; here as `parse_queue`."""
        return list(dict.fromkeys(status.native_id for status in self.parse_queue(result, ())))

    def check_cancel(self, result: CommandResult) -> None:
        """Raise `SchedulerUnavailableError` when a cancel command did not reach the scheduler."""
        self.answered(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """Write the ids of some elements of an array for a cancel command."""
        return list(self.array.element_ids(handle.native_id, positions))

    def parse_count(self, result: CommandResult) -> int:
        """Return the number of jobs, here that of lines. Raises `SchedulerUnavailableError`."""
        return sum(bool(line.strip()) for line in self.answered(result).splitlines())

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write a line of shell by which a job submits its script again, to begin `begin_in` later.

        Watchdogs run it where their work failed. None, the default, leaves that to the watchdogs
        that begin later. A time in it must be computed when the line is run (`shell_time`): one
        that has passed would make the job begin at once, over and over.
        """
        return None

    def passed_variables(self) -> Variables:
        """Return which variables of this process the commands see, and jobs that inherit them."""
        return self.variables

    def is_native_id(self, native_id: str) -> bool:
        """Tell whether the text can be an id of this scheduler."""
        return re.fullmatch(self.native_id, native_id, re.DOTALL) is not None

    def ask_limits(self) -> Limits:
        """Query the limits that the scheduler itself sets."""
        return Limits()

    def ask_longest_time(self, resources: Resources) -> timedelta | None:
        """Query the most time that a job may ask for in its queue, with `ask_once`.

        None, the default, where nothing limits it, or no limit is known.
        """
        return None

    def ask_feasibility(self, request: JobRequest) -> Feasibility:
        """Find out whether a filled request could ever be met, its time apart.

        `Feasibility()`, the default, where this scheduler does not tell before a submission.
        """
        return Feasibility()

    # -- the executor's contract -----------------------------------------------------------
    @property
    def settings(self) -> Mapping[str, Json]:
        """The keyword arguments that rebuild this executor in another process."""
        changed: dict[str, Json] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.init and (item.default is MISSING or value != item.default):
                changed[item.name] = list(value) if isinstance(value, tuple) else value
        return changed

    def limits(self) -> Limits:
        """Find out what the scheduler allows now, or what the settings allow where that is less."""
        asked = self.ask_limits()
        largest = _least(self.max_array_size, asked.max_array_size)
        if self.max_submit_jobs is None:
            return replace(asked, max_array_size=largest)
        queued = self.parse_count(self.ask(self.count_command()))
        most = asked.max_submit_jobs
        if most is not None and most - asked.queued_jobs <= self.max_submit_jobs - queued:
            return replace(asked, max_array_size=largest)
        return replace(
            asked,
            max_array_size=largest,
            max_submit_jobs=self.max_submit_jobs,
            queued_jobs=queued,
        )

    def longest_time(self, resources: Resources) -> timedelta | None:
        """Find out the most time that a job may ask for, with the settings' queue by default."""
        return self.ask_longest_time(self._filled(resources))

    def feasibility(self, request: JobRequest) -> Feasibility:
        """Find out whether a job could ever start: its time, then what the scheduler tells."""
        try:
            request = self.filled(request)
            longest = self.ask_longest_time(request.resources)
            asked = request.resources.time
            if longest is not None and asked is not None and asked > longest:
                told = f"asks for {clock(asked)}, and its queue allows {clock(longest)} at most"
                return Feasibility(impossible=told, checked=("time",))
            found = self.ask_feasibility(request)
        except (ParameterError, SubmissionRefusedError) as error:
            return Feasibility(impossible=f"would be refused: {error}")
        except (SubmissionDeferredError, SubmissionUncertainError):
            return Feasibility()
        known = ("time",) if longest is not None and "time" not in found.checked else ()
        return replace(found, checked=(*found.checked, *known))

    def script(self, request: JobRequest) -> str:
        """Render the job script of a request; nothing is written or run."""
        return self._render(self.filled(request))

    def filled(self, request: JobRequest) -> JobRequest:
        """Fill in a request with the settings where the task sets nothing.

        Raises `ParameterError` for a queue or an account that no directive can hold.
        """
        return replace(request, resources=self._filled(request.resources))

    def _filled(self, resources: Resources) -> Resources:
        options = {**(self.options or {}), **resources.options.get(self.name, {})}
        return replace(
            resources,
            queue=_checked_word("queue", resources.queue or self.queue),
            account=_checked_word("account", resources.account or self.account),
            options={self.name: options},
        )

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit a job or an array, and a plain job that starts once it is over.

        A follow-up that is not accepted is logged and left out; the work is submitted anyway.
        """
        job = self.submit_one(request)
        if follow_up is None:
            return Submission(job)
        try:
            return Submission(job, self.submit_one(follow_up, job))
        except ExecutorError as error:
            logger.warning("the follow-up of %s was not submitted: %s", request.token, error)
            return Submission(job)

    def submit_after(self, request: JobRequest, job: JobHandle) -> JobHandle:
        """Submit a plain job that starts once an already submitted job is over."""
        return self.submit_one(request, job)

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """Render, store and submit one script. Raises what the contract says of `submit`."""
        try:
            request = self.filled(request)
            script = self.write_script(request)
        except ParameterError as error:
            raise SubmissionRefusedError(str(error)) from error
        try:
            command = self.submit_command(script, request, after)
            result = self.runner.run(replace(command, directory=self.submit_directory(request)))
        except CommandTimeoutError as error:
            raise self.submission_timeout(str(error), error.message) from error
        if result.exit_code < 0:
            raise SubmissionUncertainError(
                f"{result.argv[0]} was ended by signal {-result.exit_code}: {result.message}"
            )
        if result.exit_code != 0:
            raise self.submission_error(result)
        native_id = self.parse_submission(result)
        if native_id is None:
            raise SubmissionUncertainError(
                f"{result.argv[0]} printed no job id that reflow understands: {result.message}"
            )
        return JobHandle(
            native_id=native_id,
            token=request.token,
            size=request.size,
            submitted_at=datetime.now(UTC),
            directory=request.directory,
        )

    def write_script(self, request: JobRequest) -> Path:
        """Write the script of a filled request into its folder, with a log beside it.

        Raises `ParameterError` for what no directive can hold, and `SubmissionRefusedError` where
        the folder cannot be written.
        """
        text = self.script(request)
        script = request.directory / SCRIPT_NAME
        try:
            with open_file(script, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
            # Schedulers and shells would create it with the umask alone.
            with open_file(request.directory / LOG_NAME, "ab"):
                pass
        except OSError as error:
            raise SubmissionRefusedError(
                f"the job script {script} cannot be written: {error.strerror}"
            ) from error
        return script

    def find(self, token: str) -> Sequence[JobHandle]:
        """Find jobs with that token, queued, running or remembered; none is no proof of absence."""
        for command in self.find_commands(token):
            native_ids = self._read(self.parse_found, self.ask(command), token)
            if native_ids:
                return [JobHandle(native_id=native_id, token=token) for native_id in native_ids]
        return []

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Query the queue about all jobs, then accounting about those that it does not know.

        After a query without an answer no more are made, and jobs still unknown are left out.
        """
        coverage = Coverage(handles)
        try:
            self._ask_about(coverage, self.queue_command, self.parse_queue)
            try:
                self._ask_about(coverage, self.accounting_command, self.parse_accounting)
            except CommandMissingError as error:
                # It would not answer next time either, and the run would wait for it for ever.
                logger.warning("accounting cannot be asked: %s", error)
        except SchedulerUnavailableError as error:
            if not coverage.known:
                raise
            logger.warning("the states of some jobs are not known for now: %s", error)
            return coverage.known
        return coverage.statuses(f"{self.scheduler} does not know the job any more")

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Cancel these jobs; those that are unknown or already over are no error."""
        self._cancel([handle.native_id for handle in handles])

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Cancel some elements of an array, or a plain job."""
        if not positions:
            return
        if handle.size is None:
            self.cancel([handle])
            return
        self._cancel(self.element_ids(handle, positions))

    def wait(self, timeout: float) -> None:
        """Wait `timeout` seconds: schedulers notify no one of changes.

        Commands that did not answer before are tried again after it.
        """
        time.sleep(timeout)
        self._silence.forget()

    def close(self) -> None:  # noqa: B027 - a backend may have something to let go of
        """Do nothing: no resources are held; jobs go on."""

    # -- what backends may use -------------------------------------------------------------
    @cached_property
    def runner(self) -> CommandRunner:
        """The runner of the scheduler's commands."""
        record = None if self.command_record is None else Path(self.command_record)
        return CommandRunner(
            variables=self.passed_variables(),
            timeout=self.timeout,
            record=record,
            silence=self._silence,
        )

    def ask(self, command: Command) -> CommandResult:
        """Run an idempotent command, and repeat it when it failed for a passing reason.

        Where it fails for that reason to the last, it counts as not answered for this step.
        """
        for delay in _RETRY_DELAYS:
            result = self.runner.run(command)
            if result.exit_code == 0 or not self._passing(result):
                return result
            time.sleep(delay)
        result = self.runner.run(command)
        if result.exit_code != 0 and self._passing(result):
            self._silence.add(command.argv[0], str(self.unavailable(result)))
        return result

    def ask_once(self, command: Command) -> str:
        """Return what a command prints that is run once in a run; an empty text if it fails."""
        question = shlex.join(command.argv)
        if question not in self.answers:
            result = self.ask(command)
            if result.exit_code != 0:
                return ""
            self.answers[question] = result.stdout
        return self.answers[question]

    def log(self, request: JobRequest) -> str:
        """Name a job's log in a directive. Raises `ParameterError` as `one_line` does."""
        return one_line(request.directory / LOG_NAME)

    def own_options(self, request: JobRequest) -> list[tuple[str, ...]]:
        """Return the options that a task passes through. Raises `ParameterError` if reserved."""
        return long_options(self.name, request.resources.options[self.name], self.reserved)

    def answered(self, result: CommandResult) -> str:
        """Return what a command printed, if it succeeded apart from jobs that are over.

        Raises `SchedulerUnavailableError` for any other failure.
        """
        if not self.errors.is_done(result):
            raise self.unavailable(result)
        return result.stdout

    def unavailable(self, result: CommandResult) -> SchedulerUnavailableError:
        """Make the exception for a command that failed without an answer."""
        return SchedulerUnavailableError(
            f"{self.scheduler} did not answer: {result.argv[0]}: {result.message}"
        )

    # -- how it is done --------------------------------------------------------------------
    @cached_property
    def _silence(self) -> Silence:
        return Silence()

    @cached_property
    def _templates(self) -> ScriptTemplates:
        from reflow.executors.batch.template import ScriptTemplates

        folder = None if self.templates is None else Path(self.templates)
        return ScriptTemplates(self.package, folder)

    def _render(self, request: JobRequest) -> str:
        from reflow.executors.batch.template import shell_code

        given = {
            "shell": self.shell,
            "token": request.token,
            "label": request.label or request.token,
            "log": request.directory / LOG_NAME,
            "umask": current_umask(),
            "working_directory": request.working_directory,
            "resources": request.resources,
            "size": request.size,
            "throttle": request.throttle,
            "position": shell_code([self.array.position]),
            "environment": sorted(_checked({**self._locale(), **request.environment}).items()),
            "setup": shell_code(self.setup),
            "command": self._work(request),
            "export_environment": self.export_environment,
            "directive": shell_code([self.directive]),
            "directives": list(self.directives(request)),
            "native_id": shell_code([self._shell_id(request)]) if self.job_variable else None,
            "start_variable": shell_code([self.start_variable]),
        }
        return self._templates.render(self.template, {**given, **self.template_variables(request)})

    def _shell_id(self, request: JobRequest) -> str:
        job, index = f"${{{self.job_variable}}}", f"${{{self.array.variable}}}"
        return job if request.size is None else self.array.element.format(job=job, indices=index)

    def _work(self, request: JobRequest) -> tuple[str, ...]:
        """Return the request's command; a watchdog submits itself again where that fails."""
        if request.again_unless is None:
            return request.command
        line = self.again_command(request.directory / SCRIPT_NAME, request)
        if line is None:
            return request.command
        return once_more(
            request.command,
            submit=line,
            ended=request.again_unless,
            mark=request.directory / AGAIN_NAME,
            directory=self.submit_directory(request),
            variables=self.passed_variables(),
        )

    def _locale(self) -> Mapping[str, str]:
        """Return the user's locale, for jobs that inherit the commands' environment."""
        return {"LC_ALL": os.environ.get("LC_ALL", "")} if self.export_environment else {}

    def _ask_about(
        self,
        coverage: Coverage,
        command_for: Callable[[Sequence[JobHandle]], Command | None],
        parse: Callable[[CommandResult, Sequence[JobHandle]], Iterable[JobStatus]],
    ) -> None:
        asked = [handle for handle in coverage.missing() if self.is_native_id(handle.native_id)]
        for chunk in _chunks(asked, self.chunk):
            command = command_for(chunk)
            if command is None:
                break
            told = self._read(parse, self.ask(command), chunk)
            coverage.add([*told, *self._of_elements(told, chunk)])

    def _of_elements(
        self, told: Sequence[JobStatus], asked: Sequence[JobHandle]
    ) -> Iterator[JobStatus]:
        """Yield statuses of arrays for those elements that were polled by their own ids."""
        wanted = {handle.native_id for handle in asked if handle.size is None}
        for status in told if wanted else ():
            for position in status.positions or ():
                (own,) = self.array.element_ids(status.native_id, [position])
                if own in wanted:
                    yield replace(status, native_id=own, positions=None)

    def _read(
        self,
        parse: Callable[[CommandResult, _About], Iterable[_T]],
        result: CommandResult,
        about: _About,
    ) -> list[_T]:
        """Parse an answer completely; one that cannot be parsed counts as no answer."""
        try:
            return list(parse(result, about))
        except (ValueError, LookupError) as error:
            raise SchedulerUnavailableError(
                f"{self.scheduler} gave an answer that reflow cannot read: "
                f"{result.argv[0]}: {error}"
            ) from error

    def _cancel(self, native_ids: Sequence[str]) -> None:
        known = [native_id for native_id in native_ids if self.is_native_id(native_id)]
        for chunk in _chunks(known, self.chunk):
            self.check_cancel(self.ask(self.cancel_command(chunk)))

    def _passing(self, result: CommandResult) -> bool:
        return any(re.search(pattern, result.stderr) for pattern in self.transient)


def whole_seconds(duration: timedelta) -> int:
    """Round a time up to whole seconds: no scheduler takes a fraction."""
    return math.ceil(duration.total_seconds())


def clock(duration: timedelta, days: bool = False) -> str:
    """Write `HH:MM:SS`, or `D-HH:MM:SS` from one day on where the scheduler has days."""
    minutes, seconds = divmod(whole_seconds(duration), 60)
    hours, minutes = divmod(minutes, 60)
    if days and hours >= 24:
        return f"{hours // 24}-{hours % 24:02}:{minutes:02}:{seconds:02}"
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def in_units(size: int, unit: int) -> int:
    """Convert bytes to a larger unit, rounded up: no job is to get less than it asked for."""
    return -(-size // unit)


def one_line(path: Path) -> str:
    """Write a path for a directive. Raises `ParameterError` for one that does not fit in a line."""
    text = os.fspath(path)
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text if letter != "\t"):
        raise ParameterError(
            f"a scheduler cannot be given the path {text!r}: it holds a control character. "
            "Choose another run directory."
        )
    return text


def _checked_word(name: str, word: str | None) -> str | None:
    # In a directive, which is a line of a shell script, the rest would be code.
    if word is not None and not word.isprintable():
        raise ParameterError(f"{name}={word!r} holds an unprintable character")
    return word


def _checked(environment: Mapping[str, str]) -> Mapping[str, str]:
    for name in environment:
        if not _VARIABLE.fullmatch(name):
            raise ParameterError(f"{name!r} is not the name of an environment variable")
    return environment


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _private(names: Iterable[str]) -> set[str]:
    return {name for name in names if re.match("_(?!_|abc_)", name)}


def _least(*values: int | None) -> int | None:
    return min((value for value in values if value is not None), default=None)
