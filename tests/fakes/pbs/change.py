"""What the commands that change jobs have in common."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Option, Parsed, getopt_long
from reflow.testing.fakes.model import Phase, Task, Why

from tests.fakes.pbs.jobs import (
    HISTORY_JOB,
    UNAUTHORIZED,
    UNKNOWN_JOB,
    VERSION,
    PbsJob,
    parse_reference,
    parse_size,
    parse_span,
    write_span,
)

if TYPE_CHECKING:
    from tests.fakes.pbs.emulator import PbsEmulator

Problem = tuple[str, int]
"""What is said, and the server's error number."""


@dataclass(frozen=True)
class Target:
    """What an id on a command line means."""

    job: PbsJob
    tasks: list[Task]
    full: str
    """The id with the server's name."""
    whole: bool
    """Whether that is all of the job, and not some elements of an array."""

    @property
    def running(self) -> list[Task]:
        """Those of its tasks that run."""
        return [task for task in self.tasks if task.phase is Phase.RUNNING]


class Dialect:
    """How the server reads ids, and in which words it complains: of several only the first."""

    def __init__(self, emulator: PbsEmulator) -> None:
        self._emulator = emulator

    def version(self) -> Reply:
        """On standard output."""
        return Reply(f"pbs_version = {VERSION}\n")

    def target(self, word: str, command: str, call: Call) -> Target | Problem:
        """A job, an array, or elements of one."""
        reference = parse_reference(word)
        if reference is None:
            return f"illegally formed job identifier: {word}", 1
        full, indices = reference.full, reference.indices
        job = self._emulator.known_job(reference.number)
        if job is None or job.is_array != reference.is_array:
            return f"Unknown Job Id {full}", UNKNOWN_JOB
        if any(index not in job.tasks for index in indices):
            return f"Unknown Job Id {full}", UNKNOWN_JOB
        if call.uid not in (0, job.uid):
            return f"Unauthorized Request  {full}", UNAUTHORIZED
        tasks = [job.tasks[index] for index in indices or job.tasks]
        return Target(job, tasks, full, whole=not indices)

    def over(self, target: Target) -> Problem:
        """It is only remembered."""
        return f"Job has finished {target.full}", HISTORY_JOB

    def idle(self, target: Target) -> Problem:
        """It does not run."""
        return f"Request invalid for state of job {target.full}", 152

    def unknown_signal(self, target: Target) -> Problem:
        """There is no such signal."""
        return f"Unknown/illegal signal name {target.full}", 158

    def bad_value(self, name: str) -> Problem:
        """It is no value of that resource's."""
        return f"Illegal attribute or resource value Resource_List.{name}", 166

    def reply(self, command: str, problems: Sequence[Problem]) -> Reply:
        """The first that could not be changed is the one reported."""
        if not problems:
            return Reply()
        said, code = problems[0]
        return Reply(stderr=f"{command}: {said}\n", code=code)


class Change(ABC):
    """A command that takes a list of ids, and changes each job as well as it can."""

    name = ""
    usage = ""
    known: list[Option] = []

    def __init__(self, emulator: PbsEmulator, dialect: Dialect) -> None:
        self.emulator = emulator
        self.dialect = dialect

    def __call__(self, call: Call) -> Answer:
        """Change every job named."""
        try:
            line = getopt_long(call.arguments, self.known)
        except BadOptionError as error:
            raise Refusal(f"{self.name}: {error}\n{self.usage}", 2) from None
        if line.has("version"):
            return self.dialect.version()
        if not line.operands:
            raise Refusal(self.usage or f"usage: {self.name} job_identifier...\n", 2)
        answers = [self.change_named(word, line, call) for word in line.operands]
        return self.dialect.reply(self.name, [one for one in answers if one is not None])

    def change_named(self, word: str, line: Parsed, call: Call) -> Problem | None:
        """Change the job of that id."""
        target = self.dialect.target(word, self.name, call)
        return self.change(target, line, call) if isinstance(target, Target) else target

    @abstractmethod
    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Change one job; what is said where that cannot be."""


class Hold(Change):
    """qhold."""

    name = "qhold"

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Hold a job; one that runs goes on and is held when it is run again."""
        job = target.job
        if job.finished:
            return self.dialect.over(target)
        before = job.reason
        for kind in line.last("h", "u"):
            self.emulator.engine.hold(job, kind)
        if not job.waiting:
            job.reason = before
        return None


class Release(Change):
    """qrls."""

    name = "qrls"

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Release a job."""
        if target.job.finished:
            return self.dialect.over(target)
        for kind in line.last("h", "u"):
            self.emulator.engine.release(target.job, kind)
        return None


class Rerun(Change):
    """qrerun."""

    name = "qrerun"

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Run a job again."""
        if not target.running:
            return self.dialect.idle(target)
        for task in target.running:
            self.emulator.engine.end_at_once(task, Why.REQUEUED)
        return None


class Signal(Change):
    """qsig."""

    name = "qsig"

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Send a signal, suspend or resume."""
        if not target.running:
            return self.dialect.idle(target)
        text = line.last("s", "SIGTERM")
        number = _number(text)
        if number is None:
            return self.dialect.unknown_signal(target)
        for task in target.running:
            if task.run is not None:
                if text in _SUSPENDING:
                    task.run.suspended = text == "suspend"
                processes.signal_group(task.run.pid, number)
        return None


_SUSPENDING = {"suspend": signal.SIGSTOP, "resume": signal.SIGCONT}


def _number(text: str) -> int | None:
    name = text.upper().removeprefix("SIG")
    if text in _SUSPENDING:
        return int(_SUSPENDING[text])
    if name.isdigit():
        return int(name)
    known = f"SIG{name}" in signal.Signals.__members__
    return int(signal.Signals[f"SIG{name}"]) if known else None


class Alter(Change):
    """qalter, as far as walltime, memory, the name and the limit of an array go."""

    name = "qalter"

    @abstractmethod
    def limit(self, line: Parsed) -> str:
        """How many elements may run at once from now on; empty for no change."""

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Change what a job asks for."""
        job = target.job
        if job.finished:
            return self.dialect.over(target)
        for part in filter(None, ",".join(line.all("l")).split(",")):
            name, _, value = part.partition("=")
            span = parse_span(value)
            if name == "walltime" and span is not None:
                job.resources[name] = write_span(span)
                job.request = replace(job.request, walltime=span)
            elif name == "mem" and parse_size(value) is not None:
                job.resources[name] = value
            else:
                return self.dialect.bad_value(name)
        if line.has("N"):
            job.name = line.last("N")
        if self.limit(line).isdigit():
            job.throttle = int(self.limit(line))
            self.emulator.engine.want_schedule()
        return None
