"""The fake commands of OpenPBS that change jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Call, Reply
from reflow.testing.fakes.grammar import Parsed, options
from reflow.testing.fakes.model import Phase

from tests.fakes.pbs import change
from tests.fakes.pbs.change import Dialect, Problem, Target
from tests.fakes.pbs.jobs import (
    FINISHED_SUBJOB,
    HISTORY_JOB,
    UNAUTHORIZED,
    UNKNOWN_JOB,
    VERSION,
    parse_reference,
)

if TYPE_CHECKING:
    from tests.fakes.pbs.emulator import PbsEmulator

QDEL_USAGE = """\
usage:
	qdel [-W force|suppress_email=X] [-x] job_identifier...
	qdel --version
"""


class PbsDialect(Dialect):
    """OpenPBS's: of several complaints only the first is told."""

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


class Qdel(change.Change):
    """The command."""

    name = "qdel"
    usage = QDEL_USAGE
    known = options("W/W= x/x version")

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Delete a job, an array or elements."""
        if target.job.finished:
            if line.has("x"):
                self.emulator.purge(target.job)
                return None
            return self.dialect.over(target)
        force = "force" in line.last("W")
        if target.whole:
            self.emulator.delete(target.job, call.user, force=force)
            return None
        if all(task.phase is Phase.OVER for task in target.tasks):
            return f"Request invalid for finished array subjob {target.full}", FINISHED_SUBJOB
        for task in target.tasks:
            self.emulator.delete_element(target.job, task, force=force)
        return None


class Qhold(change.Hold):
    """The command."""

    known = options("h/h= version")


class Qrls(change.Release):
    """The command."""

    known = options("h/h= version")


class Qrerun(change.Rerun):
    """The command; only managers may."""

    known = options("W/W= version")

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Run a job again."""
        if call.uid != 0:
            return f"Unauthorized Request  {target.full}", UNAUTHORIZED
        return super().change(target, line, call)


class Qsig(change.Signal):
    """The command."""

    known = options("s/s= version")


class Qalter(change.Alter):
    """The command."""

    known = options(
        "a/a= A/A= e/e= h/h= j/j= k/k= l/l= m/m= M/M= N/N= o/o= p/p= r/r= S/S= W/W= version"
    )

    def limit(self, line: Parsed) -> str:
        """`-W max_run_subjobs=4`."""
        name, _, value = line.last("W").partition("=")
        return value if name == "max_run_subjobs" else ""
