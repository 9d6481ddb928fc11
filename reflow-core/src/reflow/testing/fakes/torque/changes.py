"""The fake commands of Torque that change jobs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reflow.testing.fakes.face import Call, Reply
from reflow.testing.fakes.grammar import Parsed, options
from reflow.testing.fakes.model import Phase
from reflow.testing.fakes.pbs import change
from reflow.testing.fakes.pbs.change import Manner, Problem, Target
from reflow.testing.fakes.torque.jobs import (
    BAD_STATE,
    BAD_VALUE,
    UNAUTHORIZED,
    UNKNOWN_JOB,
    UNKNOWN_SIGNAL,
    VERSION,
    parse_reference,
)

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace


class TorqueManner(Manner):
    """Torque's: every complaint is told, and the last gives the exit code."""

    def __init__(self, face: TorqueFace) -> None:
        self._face = face

    def version(self) -> Reply:
        """On standard error."""
        return Reply(stderr=f"Version: {VERSION}\nCommit: \n")

    def target(self, word: str, command: str, call: Call) -> Target | Problem:
        """A job, an array, or one element."""
        reference = parse_reference(word)
        if reference is None:
            return f"illegally formed job identifier: {word}", 1
        full, is_array, index = reference.full, reference.is_array, reference.index
        unknown = f"Unknown Job Id Error MSG=cannot locate job {full}"
        if command == "qdel":
            unknown = f"nonexistent job id: {full}"
        job = self._face.known_torque_job(reference.number)
        if job is None or (is_array and not job.is_array):
            return unknown, UNKNOWN_JOB
        tasks = [task for task in job.present if is_array or task.index == index]
        if not any(task.known for task in tasks):
            return unknown, UNKNOWN_JOB
        if call.uid not in (0, job.uid):
            return f"Unauthorized Request  MSG=operation not permitted {full}", UNAUTHORIZED
        return Target(job, tasks, full, whole=is_array or not job.is_array)

    def over(self, target: Target) -> Problem:
        """Its state is told."""
        return self.idle(target)

    def idle(self, target: Target) -> Problem:
        """Its state is told."""
        names = {Phase.OVER: "COMPLETE", Phase.RUNNING: "RUNNING", Phase.ENDING: "EXITING"}
        state = names.get(target.tasks[0].phase, "QUEUED")
        said = f"Request invalid for state of job MSG=invalid state for job - {state} {target.full}"
        return said, BAD_STATE

    def unknown_signal(self, target: Target) -> Problem:
        """There is no such signal."""
        return f"Unknown/illegal signal name {target.full}", UNKNOWN_SIGNAL

    def bad_value(self, name: str) -> Problem:
        """It is no value of that resource's."""
        return f"Illegal attribute or resource value for {name}", BAD_VALUE

    def reply(self, command: str, problems: Sequence[Problem]) -> Reply:
        """All of them, and the lowest eight bits of the last number."""
        said = "".join(f"{command}: {text}\n" for text, _ in problems)
        return Reply(stderr=said, code=problems[-1][1] & 255 if problems else 0)


class Qdel(change.Change):
    """The command."""

    name = "qdel"
    usage = (
        "usage: qdel [{ -a | -c | -p | -t | -W delay | -m message}] "
        "[<JOBID>[<JOBID>]|'all'|'ALL']...\n"
        "       -a -c, -m, -p, -t, and -W are mutually exclusive\n"
    )
    known = options("a/a b/b= c/c m/m= p/p t/t= W/W= version")

    def change_named(self, word: str, line: Parsed, call: Call) -> Problem | None:
        """Delete the job of that id, or all of the caller's."""
        if word not in ("all", "ALL"):
            return super().change_named(word, line, call)
        for job in list(self.face.known_jobs()):
            if call.uid in (0, job.uid):
                self.face.delete(job, call.user, force=False)
        return None

    def change(self, target: Target, line: Parsed, call: Call) -> Problem | None:
        """Delete a job, an array, one element, or those of an array that `-t` names."""
        tasks = target.tasks
        if line.has("p"):
            for task in tasks:
                self.face.engine.forget(task)
        if line.has("t"):
            wanted = _indices(line.last("t"))
            tasks = [task for task in tasks if task.index in wanted]
        left = [task for task in tasks if task.phase is not Phase.OVER]
        if tasks and not left and not line.has("p"):
            return self.manner.over(target)
        for task in left:
            self.face.delete_element(target.job, task, force=line.has("p"))
        return None


def _indices(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is not None:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


class Qhold(change.Hold):
    """The command."""

    known = options("h/h= t/t= version")


class Qrls(change.Release):
    """The command."""

    known = options("h/h= t/t= version")


class Qrerun(change.Rerun):
    """The command."""

    known = options("f/f version")


class Qsig(change.Signal):
    """The command."""

    known = options("a/a s/s= version")


class Qalter(change.Alter):
    """The command."""

    known = options(
        "a/a= A/A= c/c= e/e= h/h= j/j= k/k= l/l= m/m= M/M= n/n N/N= o/o= p/p= r/r= S/S= t/t= u/u= "
        "v/v= W/W= q/q version"
    )

    def limit(self, line: Parsed) -> str:
        """An array's `-t %4`."""
        return line.last("t").partition("%")[2]
