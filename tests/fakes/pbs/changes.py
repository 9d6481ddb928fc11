"""The fake commands of OpenPBS that change jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Call
from reflow.testing.fakes.grammar import Parsed, options
from reflow.testing.fakes.model import Phase

from tests.fakes.pbs import change
from tests.fakes.pbs.change import Problem, Target
from tests.fakes.pbs.jobs import (
    FINISHED_SUBJOB,
    UNAUTHORIZED,
)

if TYPE_CHECKING:
    pass

QDEL_USAGE = """\
usage:
	qdel [-W force|suppress_email=X] [-x] job_identifier...
	qdel --version
"""


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
