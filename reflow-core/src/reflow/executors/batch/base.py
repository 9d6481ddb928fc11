"""The executor that every batch scheduler's is made of."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from reflow.errors import (
    ExecutorError,
    ParameterError,
    SchedulerUnavailableError,
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
from reflow.executors.batch.states import StateTable
from reflow.model.jobs import (
    AGAIN_NAME,
    LOG_NAME,
    Capabilities,
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

logger = logging.getLogger("reflow.batch")

SCRIPT_NAME = "job.sh"
"""The rendered script in a request's directory."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RETRY_DELAYS = (1.0, 4.0)
"""Seconds before a question is asked again that failed for a passing reason."""

_T = TypeVar("_T")
_About = TypeVar("_About")


@dataclass(kw_only=True, eq=False)
class BatchExecutor(ABC):
    """An executor that hands scripts to a batch scheduler's commands.

    A subclass is a dataclass too, whose fields are its settings: plain JSON values of built-in
    types, with defaults. It declares the class variables below, and implements the functions
    that follow them. Those look at their arguments and the settings and at nothing else.
    """

    setup: tuple[str, ...] = ()
    """Shell lines that every job runs before its work."""
    queue: str | None = None
    """For tasks that name none."""
    account: str | None = None
    """For tasks that name none."""
    options: dict[str, object] | None = None
    """Options of the submit command for every job; a task's own win."""
    max_submit_jobs: int | None = None
    """Most jobs in the queue at once; None to ask the scheduler."""
    max_array_size: int | None = None
    """Most elements of an array; None to ask the scheduler."""
    export_environment: bool = False
    """Whether jobs get the environment of the process that submits them."""
    shell: str = "/bin/bash"
    """What runs the scripts."""
    timeout: float = 60.0
    """Seconds after which a scheduler's command is given up."""
    templates: str | None = None
    """Folder of the site's own templates; the configuration gives `templates` beside its file."""
    command_record: str | None = None
    """A file that gets one line of JSON for each scheduler command."""

    name: ClassVar[str]
    """What people write: `executor="pond"`."""
    scheduler: ClassVar[str]
    """What people call the scheduler; by default what the table of states calls it."""
    package: ClassVar[str]
    """The package whose folder `templates` holds the backend's template; by default that of the
    class."""
    template: ClassVar[str] = "batch.sh.j2"
    """The backend's template, if it has one of its own; it extends `batch.sh.j2`."""
    job_variable: ClassVar[str] = ""
    """The variable in which a job finds its id, where `batch.sh.j2` is to hand that on."""
    start_variable: ClassVar[str] = ""
    """One that is another when the scheduler starts the same job once more."""
    directive: ClassVar[str] = ""
    """What begins a line of the script that `directives` gives: `#POND`."""
    reserved: ClassVar[Mapping[str, str]] = {}
    """Options of the submit command that a task may not set, and why not."""
    array: ClassVar[ArrayStyle]
    states: ClassVar[StateTable]
    native_id: ClassVar[str] = r".*"
    """A regular expression for the ids of jobs and of elements; the scheduler is asked about no
    others. Workers that were started by hand have ids of their own, and with some schedulers one
    such word spoils a whole command."""
    submitted: ClassVar[str] = r"(\S+)\s*$"
    """A regular expression whose group is the id in what a submit command printed. A site's wrapper
    may print more: the last line that matches counts."""
    errors: ClassVar[ErrorTable] = ErrorTable()
    """What the scheduler's complaints mean."""
    variables: ClassVar[Variables] = Variables()
    capabilities: ClassVar[Capabilities] = Capabilities()
    chunk: ClassVar[int] = 200
    """Most ids on one command line."""
    transient: ClassVar[tuple[str, ...]] = ()
    """Regular expressions of complaints after which asking again soon may help."""

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
        """Submit a script; with `after`, to start once that job is over, whatever way."""

    @abstractmethod
    def queue_command(self, handles: Sequence[JobHandle]) -> Command:
        """Ask the queue how these jobs stand."""

    @abstractmethod
    def parse_queue(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Read the queue's answer. Raises `SchedulerUnavailableError` when it did not answer.

        A `ValueError` or a `LookupError` is an answer that cannot be read, and counts as none.
        """

    @abstractmethod
    def find_commands(self, token: str) -> Sequence[Command]:
        """Look for jobs by token: each is tried until one finds something."""

    @abstractmethod
    def cancel_command(self, native_ids: Sequence[str]) -> Command:
        """Cancel jobs, or elements as `element_ids` writes them."""

    @abstractmethod
    def count_command(self) -> Command:
        """Count this user's jobs in the queue, each array element for itself."""

    # -- what a backend may override -------------------------------------------------------
    def directives(self, request: JobRequest) -> Iterable[str | tuple[str, ...]]:
        """Give what stands after `directive` in the script, a line each; a tuple is several words.

        None by default, where the template writes them.
        """
        return ()

    def template_variables(self, request: JobRequest) -> Mapping[str, Any]:
        """Give what the backend's template needs besides what every template is given."""
        return {}

    def parse_submission(self, result: CommandResult) -> str | None:
        """Find the native id in the answer of a submit command that succeeded; None without one."""
        found: list[str] = re.findall(self.submitted, result.stdout, re.MULTILINE)
        return found[-1] if found else None

    def submission_error(self, result: CommandResult) -> ExecutorError:
        """Make the error of a submit command that failed, by the table `errors`."""
        command = Path(result.argv[0]).name
        return self.errors.submission_error(self.scheduler, command, result.said, result.exit_code)

    def submission_timeout(self, text: str, said: str) -> ExecutorError:
        """Make the error of a submit command that did not end, having said that: uncertain."""
        return SubmissionUncertainError(text)

    def submit_directory(self, request: JobRequest) -> Path:
        """Where a job is submitted: jobs are told, and setup lines may well go there."""
        return request.working_directory

    def accounting_command(self, handles: Sequence[JobHandle]) -> Command | None:
        """Ask for jobs that the queue knows nothing of; None where nobody remembers them."""
        return None

    def parse_accounting(
        self, result: CommandResult, handles: Sequence[JobHandle]
    ) -> Iterable[JobStatus]:
        """Read the answer of accounting; as `parse_queue`."""
        return ()

    def parse_found(self, result: CommandResult, token: str) -> Sequence[str]:
        """Read the native ids that a find command printed, each once: here in the queue's form."""
        return list(dict.fromkeys(status.native_id for status in self.parse_queue(result, ())))

    def check_cancel(self, result: CommandResult) -> None:
        """Raise `SchedulerUnavailableError` when a cancel command did not get through."""
        self.answered(result)

    def element_ids(self, handle: JobHandle, positions: Sequence[int]) -> Sequence[str]:
        """Write the ids of some elements of an array for a cancel command."""
        return list(self.array.element_ids(handle.native_id, positions))

    def parse_count(self, result: CommandResult) -> int:
        """Their number, here that of lines. Raises `SchedulerUnavailableError` without one."""
        return sum(bool(line.strip()) for line in self.answered(result).splitlines())

    def again_command(self, script: Path, request: JobRequest) -> str | None:
        """Write a line of shell by which a job submits its script again, to begin `begin_in` later.

        Watchdogs run it where they could not do their work. None, as here, leaves that to the
        watchdogs that begin later. A time in it must be reckoned when the line is run
        (`shell_time`): one that has passed would have the job begin at once, over and over.
        """
        return None

    def passed_variables(self) -> Variables:
        """Which variables of this process the commands see, and jobs that inherit them."""
        return self.variables

    def is_native_id(self, native_id: str) -> bool:
        """Whether that can be an id here."""
        return re.fullmatch(self.native_id, native_id, re.DOTALL) is not None

    def ask_limits(self) -> Limits:
        """Ask for what the scheduler itself allows."""
        return Limits()

    # -- the executor's contract -----------------------------------------------------------
    @property
    def settings(self) -> Mapping[str, Json]:
        """The keyword arguments that make this executor again, in another process."""
        changed: dict[str, Json] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.init and (item.default is MISSING or value != item.default):
                changed[item.name] = list(value) if isinstance(value, tuple) else value
        return changed

    def limits(self) -> Limits:
        """Find out what the scheduler allows now, or the settings where they allow less."""
        asked = self.ask_limits()
        largest = _least(self.max_array_size, asked.max_array_size)
        if self.max_submit_jobs is None:
            return replace(asked, max_array_size=largest)
        queued = self.parse_count(self.ask(self.count_command()))
        most = asked.max_submit_jobs
        if most is not None and most - asked.queued_jobs <= self.max_submit_jobs - queued:
            return replace(asked, max_array_size=largest)
        return Limits(
            max_array_size=largest, max_submit_jobs=self.max_submit_jobs, queued_jobs=queued
        )

    def script(self, request: JobRequest) -> str:
        """Render the job script of a request; nothing is written or run."""
        return self._render(self.filled(request))

    def filled(self, request: JobRequest) -> JobRequest:
        """Fill in a request with the settings where a task says nothing.

        Raises `ParameterError` for a queue or an account that no directive could hold.
        """
        options = {**(self.options or {}), **request.resources.options.get(self.name, {})}
        resources = replace(
            request.resources,
            queue=_checked_word("queue", request.resources.queue or self.queue),
            account=_checked_word("account", request.resources.account or self.account),
            options={self.name: options},
        )
        return replace(request, resources=resources)

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit a job or an array, and a plain job that starts once it is over.

        A follow-up that is not accepted is logged and left out: the work itself is.
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
        """Submit a plain job that starts once a job is over that is there already."""
        return self.submit_one(request, job)

    def submit_one(self, request: JobRequest, after: JobHandle | None = None) -> JobHandle:
        """Render, keep and submit one script. Raises what the contract says of `submit`."""
        try:
            request = self.filled(request)
            text = self.script(request)
        except ParameterError as error:
            raise SubmissionRefusedError(str(error)) from error
        script = request.directory / SCRIPT_NAME
        try:
            with open_file(script, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
            # Schedulers and shells would make it with the umask alone.
            with open_file(request.directory / LOG_NAME, "ab"):
                pass
        except OSError as error:
            raise SubmissionRefusedError(
                f"the job script {script} cannot be written: {error.strerror}"
            ) from error
        try:
            command = self.submit_command(script, request, after)
            result = self.runner.run(replace(command, directory=self.submit_directory(request)))
        except CommandTimeoutError as error:
            raise self.submission_timeout(str(error), error.said) from error
        if result.exit_code < 0:
            raise SubmissionUncertainError(
                f"{result.argv[0]} was ended by signal {-result.exit_code}: {result.said}"
            )
        if result.exit_code != 0:
            raise self.submission_error(result)
        native_id = self.parse_submission(result)
        if native_id is None:
            raise SubmissionUncertainError(
                f"{result.argv[0]} printed no job id that reflow understands: {result.said}"
            )
        return JobHandle(
            native_id=native_id,
            token=request.token,
            size=request.size,
            submitted_at=datetime.now(UTC),
            directory=request.directory,
        )

    def find(self, token: str) -> Sequence[JobHandle]:
        """Jobs with that token, queued, running or remembered; empty is no proof of absence."""
        for command in self.find_commands(token):
            native_ids = self._read(self.parse_found, self.ask(command), token)
            if native_ids:
                return [JobHandle(native_id=native_id, token=token) for native_id in native_ids]
        return []

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Ask the queue about all, then accounting about those that the queue leaves open.

        After a question without an answer no more are asked, and what is open is left out.
        """
        coverage = Coverage(handles)
        try:
            self._ask_about(coverage, self.queue_command, self.parse_queue)
            try:
                self._ask_about(coverage, self.accounting_command, self.parse_accounting)
            except CommandMissingError as error:
                # It would not answer next time either, and who waits for it waits for ever.
                logger.warning("accounting is not asked: %s", error)
        except SchedulerUnavailableError as error:
            if not coverage.known:
                raise
            logger.warning("about some jobs nothing is known for now: %s", error)
            return coverage.known
        return coverage.statuses(f"{self.scheduler} does not know the job any more")

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Ask for these jobs' end. Silent about what is unknown or over already."""
        self._cancel([handle.native_id for handle in handles])

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Ask for the end of some elements of an array; of a plain job, for its end."""
        if not positions:
            return
        if handle.size is None:
            self.cancel([handle])
            return
        self._cancel(self.element_ids(handle, positions))

    def wait(self, timeout: float) -> None:
        """Return after `timeout` seconds: schedulers tell nobody."""
        time.sleep(timeout)

    def close(self) -> None:  # noqa: B027 - a backend may have something to let go of
        """Nothing is held; jobs go on."""

    # -- what backends may use -------------------------------------------------------------
    @cached_property
    def runner(self) -> CommandRunner:
        """Runs the scheduler's commands."""
        record = None if self.command_record is None else Path(self.command_record)
        return CommandRunner(variables=self.passed_variables(), timeout=self.timeout, record=record)

    def ask(self, command: Command) -> CommandResult:
        """Run a command that changes nothing twice, again when it failed for a passing reason."""
        for delay in (*_RETRY_DELAYS, None):
            result = self.runner.run(command)
            if delay is None or result.exit_code == 0 or not self._passing(result):
                break
            time.sleep(delay)
        return result

    def log(self, request: JobRequest) -> str:
        """Name a job's log in a directive. Raises `ParameterError` as `one_line` does."""
        return one_line(request.directory / LOG_NAME)

    def own_options(self, request: JobRequest) -> list[tuple[str, ...]]:
        """Options that a task hands through. Raises `ParameterError` for one in `reserved`."""
        return long_options(self.name, request.resources.options[self.name], self.reserved)

    def answered(self, result: CommandResult) -> str:
        """Return what a command printed, if it failed for nothing but jobs that are over.

        Raises `SchedulerUnavailableError` for any other failure.
        """
        if not self.errors.is_done(result):
            raise self.unavailable(result)
        return result.stdout

    def unavailable(self, result: CommandResult) -> SchedulerUnavailableError:
        """Make the error to raise when a command failed without an answer."""
        return SchedulerUnavailableError(
            f"{self.scheduler} did not answer: {result.argv[0]}: {result.said}"
        )

    # -- how it is done --------------------------------------------------------------------
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
        """Return the request's command; a watchdog's submits itself again where that fails."""
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
        """Give the locale back to jobs that inherit the environment: commands have their own."""
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
        """Yield what was told of arrays about elements that were asked about by their own ids."""
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
        """Read an answer whole. What cannot be read says nothing, as silence does."""
        try:
            return list(parse(result, about))
        except (ValueError, LookupError) as error:
            raise SchedulerUnavailableError(
                f"{self.scheduler} answered what reflow cannot read: {result.argv[0]}: {error}"
            ) from error

    def _cancel(self, native_ids: Sequence[str]) -> None:
        known = [native_id for native_id in native_ids if self.is_native_id(native_id)]
        for chunk in _chunks(known, self.chunk):
            self.check_cancel(self.ask(self.cancel_command(chunk)))

    def _passing(self, result: CommandResult) -> bool:
        return any(re.search(pattern, result.stderr) for pattern in self.transient)


def whole_seconds(duration: timedelta) -> int:
    """Seconds, rounded up: no scheduler takes a fraction."""
    return math.ceil(duration.total_seconds())


def clock(duration: timedelta, days: bool = False) -> str:
    """`HH:MM:SS`, or `D-HH:MM:SS` from one day on where the scheduler has days."""
    minutes, seconds = divmod(whole_seconds(duration), 60)
    hours, minutes = divmod(minutes, 60)
    if days and hours >= 24:
        return f"{hours // 24}-{hours % 24:02}:{minutes:02}:{seconds:02}"
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def in_units(size: int, unit: int) -> int:
    """Bytes in a larger unit, rounded up: nobody is to get less than was asked for."""
    return -(-size // unit)


def one_line(path: Path) -> str:
    """Write a path for a directive. Raises `ParameterError` for one that no line can hold."""
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
