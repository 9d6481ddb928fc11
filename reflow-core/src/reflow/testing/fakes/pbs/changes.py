"""The fake commands of OpenPBS that change jobs."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.face import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Option, Parsed, getopt_long, options
from reflow.testing.fakes.model import Phase, Task, Why
from reflow.testing.fakes.pbs.jobs import (
    FINISHED_SUBJOB,
    HISTORY_JOB,
    UNAUTHORIZED,
    UNKNOWN_JOB,
    VERSION,
    PbsJob,
    Reference,
    parse_reference,
    parse_size,
    parse_span,
    write_span,
)

if TYPE_CHECKING:
    from reflow.testing.fakes.pbs.face import PbsFace

QDEL_USAGE = """\
usage:
	qdel [-W force|suppress_email=X] [-x] job_identifier...
	qdel --version
"""


class Change:
    """What the commands that take a list of ids have in common."""

    name = ""
    usage = ""
    known: list[Option] = []  # noqa: RUF012 (a constant)

    def __init__(self, face: PbsFace) -> None:
        self._face = face

    def __call__(self, call: Call) -> Answer:
        """Change every job named; the first that cannot be is the one reported."""
        try:
            line = getopt_long(call.arguments, self.known)
        except BadOptionError as error:
            raise Refusal(f"{self.name}: {error}\n{self.usage}", 2) from None
        if line.has("version"):
            return Reply(f"pbs_version = {VERSION}\n")
        if not line.operands:
            raise Refusal(self.usage or f"usage: {self.name} job_identifier...\n", 2)
        first: tuple[str, int] | None = None
        for word in line.operands:
            reference = parse_reference(word)
            if reference is None:
                problem: tuple[str, int] | None = (f"illegally formed job identifier: {word}", 1)
            else:
                problem = self._change(reference, line, call)
            first = first or problem
        if first is None:
            return Reply()
        return Reply(stderr=f"{self.name}: {first[0]}\n", code=first[1])

    def _change(self, reference: Reference, line: Parsed, call: Call) -> tuple[str, int] | None:
        job = self._face.known_job(reference.number)
        if job is None or job.is_array != reference.is_array:
            return f"Unknown Job Id {reference.full}", UNKNOWN_JOB
        if any(index not in job.tasks for index in reference.indices):
            return f"Unknown Job Id {reference.full}", UNKNOWN_JOB
        if call.uid not in (0, job.uid):
            return f"Unauthorized Request  {reference.full}", UNAUTHORIZED
        return self.change(job, reference, line, call)

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Change one job; text and code where it cannot be."""
        raise NotImplementedError


class Qdel(Change):
    """The command."""

    name = "qdel"
    usage = QDEL_USAGE
    known = options("W/W= x/x version")

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Delete a job, an array or elements."""
        if job.finished:
            if line.has("x"):
                self._face.purge(job)
                return None
            return f"Job has finished {reference.full}", HISTORY_JOB
        force = "force" in line.last("W")
        if not reference.indices:
            self._face.delete(job, call.user, force=force)
            return None
        tasks = [job.tasks[index] for index in reference.indices]
        if all(task.phase is Phase.OVER for task in tasks):
            return f"Request invalid for finished array subjob {reference.full}", FINISHED_SUBJOB
        for task in tasks:
            self._face.delete_element(job, task, force=force)
        return None


class Qhold(Change):
    """The command."""

    name = "qhold"
    known = options("h/h= version")

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Hold a job; one that runs goes on and is held when it is run again."""
        if job.finished:
            return f"Job has finished {reference.full}", HISTORY_JOB
        before = job.reason
        for kind in line.last("h", "u"):
            self._face.engine.hold(job, kind)
        if not job.waiting:
            job.reason = before
        return None


class Qrls(Change):
    """The command."""

    name = "qrls"
    known = options("h/h= version")

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Release a job."""
        if job.finished:
            return f"Job has finished {reference.full}", HISTORY_JOB
        for kind in line.last("h", "u"):
            self._face.engine.release(job, kind)
        return None


class Qrerun(Change):
    """The command."""

    name = "qrerun"
    known = options("W/W= version")

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Run a job again; only managers may."""
        if call.uid != 0:
            return f"Unauthorized Request  {reference.full}", UNAUTHORIZED
        tasks = _meant(job, reference)
        if not any(task.phase is Phase.RUNNING for task in tasks):
            return f"Request invalid for state of job {reference.full}", 152
        for task in tasks:
            self._face.engine.end_at_once(task, Why.REQUEUED)
        return None


class Qsig(Change):
    """The command."""

    name = "qsig"
    known = options("s/s= version")

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Send a signal, suspend or resume."""
        text = line.last("s", "TERM")
        running = [task for task in _meant(job, reference) if task.phase is Phase.RUNNING]
        if not running:
            return f"Request invalid for state of job {reference.full}", 152
        if text in ("suspend", "resume"):
            for task in running:
                self._suspend(task, stop=text == "suspend")
            return None
        name = text.upper().removeprefix("SIG")
        if not name.isdigit() and f"SIG{name}" not in signal.Signals.__members__:
            return f"Unknown/illegal signal name {reference.full}", 158
        number = int(name) if name.isdigit() else int(signal.Signals[f"SIG{name}"])
        for task in running:
            _send(task, number)
        return None

    def _suspend(self, task: Task, *, stop: bool) -> None:
        if task.run is not None:
            task.run.suspended = stop
            _send(task, signal.SIGSTOP if stop else signal.SIGCONT)


class Qalter(Change):
    """The command, as far as `-l`, `-N` and `-W max_run_subjobs` go."""

    name = "qalter"
    known = options(
        "a/a= A/A= e/e= h/h= j/j= k/k= l/l= m/m= M/M= N/N= o/o= p/p= r/r= S/S= W/W= version"
    )

    def change(
        self, job: PbsJob, reference: Reference, line: Parsed, call: Call
    ) -> tuple[str, int] | None:
        """Change a waiting job's attributes."""
        if job.finished:
            return f"Job has finished {reference.full}", HISTORY_JOB
        for text in line.all("l"):
            for part in text.split(","):
                name, _, value = part.partition("=")
                span, size = parse_span(value), parse_size(value)
                if (name == "walltime" and span is None) or (name == "mem" and size is None):
                    return f"Illegal attribute or resource value Resource_List.{name}", 166
                job.resources[name] = write_span(span) if name == "walltime" and span else value
        if line.has("N"):
            job.name = line.last("N")
        name, _, value = line.last("W").partition("=")
        if name == "max_run_subjobs" and value.isdigit():
            job.throttle = int(value)
            self._face.engine.want_schedule()
        return None


def _meant(job: PbsJob, reference: Reference) -> list[Task]:
    if reference.indices:
        return [job.tasks[index] for index in reference.indices]
    return list(job.tasks.values())


def _send(task: Task, number: int) -> None:
    if task.run is not None:
        processes.signal_group(task.run.pid, number)
