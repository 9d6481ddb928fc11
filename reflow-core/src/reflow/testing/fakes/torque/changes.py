"""The fake commands of Torque that change jobs."""

from __future__ import annotations

import dataclasses
import re
import signal
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.face import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Option, Parsed, getopt_long, options
from reflow.testing.fakes.model import Phase, Task, Why
from reflow.testing.fakes.pbs.jobs import parse_size, parse_span, write_span
from reflow.testing.fakes.torque.jobs import (
    BAD_STATE,
    BAD_VALUE,
    UNAUTHORIZED,
    UNKNOWN_JOB,
    UNKNOWN_SIGNAL,
    VERSION,
    Reference,
    TorqueJob,
    parse_reference,
)

if TYPE_CHECKING:
    from reflow.testing.fakes.torque.face import TorqueFace

Problem = tuple[str, int] | None
"""What is said, and the server's error number."""


class Change:
    """What the commands that take a list of ids have in common."""

    name = ""
    usage = ""
    known: list[Option] = []  # noqa: RUF012 (a constant)

    def __init__(self, face: TorqueFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """Change every job named; the last that cannot be gives the exit code."""
        try:
            line = getopt_long(call.arguments, self.known)
        except BadOptionError as error:
            raise Refusal(f"{self.name}: {error}\n{self.usage}", 2) from None
        if line.has("version"):
            return Reply(stderr=f"Version: {VERSION}\nCommit: \n")
        if not line.operands:
            raise Refusal(self.usage or f"usage: {self.name} job_identifier...\n", 2)
        errors, code = "", 0
        for word in line.operands:
            problem = self._change(word, line, call)
            if problem is not None:
                errors += f"{self.name}: {problem[0]}\n"
                code = problem[1] & 255
        return Reply(stderr=errors, code=code)

    def unknown(self, reference: Reference) -> str:
        """What is said of a job that there is not."""
        return f"Unknown Job Id Error MSG=cannot locate job {reference.full}"

    def _change(self, word: str, line: Parsed, call: Call) -> Problem:
        reference = parse_reference(word)
        if reference is None:
            return f"illegally formed job identifier: {word}", 1
        job = self._face.known_torque_job(reference.number)
        if job is None or (reference.is_array and not job.is_array):
            return self.unknown(reference), UNKNOWN_JOB
        tasks = job.present if reference.is_array else self._single(job, reference)
        if not any(task.known for task in tasks):
            return self.unknown(reference), UNKNOWN_JOB
        if call.uid not in (0, job.uid):
            text = f"Unauthorized Request  MSG=operation not permitted {reference.full}"
            return text, UNAUTHORIZED
        return self.change(job, tasks, reference, line)

    def _single(self, job: TorqueJob, reference: Reference) -> list[Task]:
        return [job.tasks[reference.index]] if reference.index in job.tasks else []

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Change these tasks of a job."""
        raise NotImplementedError


def bad_state(task: Task, reference: Reference) -> Problem:
    """What is said where a job is over or does not run."""
    names = {Phase.OVER: "COMPLETE", Phase.RUNNING: "RUNNING", Phase.ENDING: "EXITING"}
    state = names.get(task.phase, "QUEUED")
    text = f"Request invalid for state of job MSG=invalid state for job - {state} {reference.full}"
    return text, BAD_STATE


class Qdel(Change):
    """The command."""

    name = "qdel"
    usage = (
        "usage: qdel [{ -a | -c | -p | -t | -W delay | -m message}] "
        "[<JOBID>[<JOBID>]|'all'|'ALL']...\n"
        "       -a -c, -m, -p, -t, and -W are mutually exclusive\n"
    )
    known = options("a/a b/b= c/c m/m= p/p t/t= W/W= version")

    def unknown(self, reference: Reference) -> str:
        """What is said of a job that there is not."""
        return f"nonexistent job id: {reference.full}"

    def _change(self, word: str, line: Parsed, call: Call) -> Problem:
        if word in ("all", "ALL"):
            for job in list(self._face.known_torque_jobs()):
                if call.uid in (0, job.uid):
                    self._face.delete(job, call.user, force=False)
            return None
        return super()._change(word, line, call)

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Delete a job, an array, one element, or those of an array that `-t` names."""
        if line.has("p"):
            for task in tasks:
                self._face.engine.forget(task)
        if line.has("t"):
            wanted = _indices(line.last("t"))
            tasks = [task for task in tasks if task.index in wanted]
        left = [task for task in tasks if task.phase is not Phase.OVER]
        if not left and not line.has("p"):
            return bad_state(tasks[0], reference) if tasks else None
        for task in left:
            self._face.delete_element(job, task, force=line.has("p"))
        return None


def _indices(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is not None:
            found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return found


class Qhold(Change):
    """The command."""

    name = "qhold"
    known = options("h/h= t/t= version")

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Hold a job; one that runs goes on and is held when it is run again."""
        if job.is_over:
            return bad_state(tasks[0], reference)
        before = job.reason
        for kind in line.last("h", "u"):
            self._face.engine.hold(job, kind)
        if not job.waiting:
            job.reason = before
        return None


class Qrls(Change):
    """The command."""

    name = "qrls"
    known = options("h/h= t/t= version")

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Release a job."""
        if job.is_over:
            return bad_state(tasks[0], reference)
        for kind in line.last("h", "u"):
            self._face.engine.release(job, kind)
        return None


class Qrerun(Change):
    """The command."""

    name = "qrerun"
    known = options("f/f version")

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Run a job again."""
        running = [task for task in tasks if task.phase is Phase.RUNNING]
        if not running:
            return bad_state(tasks[0], reference)
        for task in running:
            self._face.engine.end_at_once(task, Why.REQUEUED)
        return None


class Qsig(Change):
    """The command."""

    name = "qsig"
    known = options("a/a s/s= version")

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Send a signal, suspend or resume."""
        running = [task for task in tasks if task.phase is Phase.RUNNING]
        if not running:
            return bad_state(tasks[0], reference)
        text = line.last("s", "SIGTERM")
        name = text.upper().removeprefix("SIG")
        words = {"suspend": signal.SIGSTOP, "resume": signal.SIGCONT}
        if text in words:
            number = int(words[text])
        elif name.isdigit():
            number = int(name)
        elif f"SIG{name}" in signal.Signals.__members__:
            number = int(signal.Signals[f"SIG{name}"])
        else:
            return f"Unknown/illegal signal name {reference.full}", UNKNOWN_SIGNAL
        for task in running:
            if task.run is not None:
                if text in words:
                    task.run.suspended = text == "suspend"
                processes.signal_group(task.run.pid, number)
        return None


class Qalter(Change):
    """The command, as far as `-l`, `-N` and an array's `-t %LIMIT` go."""

    name = "qalter"
    known = options(
        "a/a= A/A= c/c= e/e= h/h= j/j= k/k= l/l= m/m= M/M= n/n N/N= o/o= p/p= r/r= S/S= t/t= u/u= "
        "v/v= W/W= q/q version"
    )

    def change(
        self, job: TorqueJob, tasks: list[Task], reference: Reference, line: Parsed
    ) -> Problem:
        """Change what a job asks for."""
        if job.is_over:
            return bad_state(tasks[0], reference)
        for part in ",".join(line.all("l")).split(","):
            name, equals, value = part.partition("=")
            if equals:
                span = parse_span(value)
                if name == "walltime" and span is not None:
                    job.resources[name] = write_span(span)
                    job.request = dataclasses.replace(job.request, walltime=span)
                elif name == "mem" and parse_size(value) is not None:
                    job.resources[name] = value
                else:
                    return f"Illegal attribute or resource value for {name}", BAD_VALUE
        if line.has("N"):
            job.name = line.last("N")
        limit = line.last("t").partition("%")[2]
        if limit.isdigit():
            job.throttle = int(limit)
            self._face.engine.want_schedule()
        return None
