"""The fake `scancel`."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.grammar import BadOptionError, Parsed, getopt_long, options
from reflow.testing.fakes.model import Phase, Task

from tests.fakes.slurm import indices
from tests.fakes.slurm.jobs import COMPACT, SlurmJob, state_of

if TYPE_CHECKING:
    from tests.fakes.slurm.emulator import SlurmEmulator

OPTIONS = options(
    """
    A/account= b/batch c/ctld f/full help H/hurry i/interactive M/clusters= me n/name= jobname=
    p/partition= q/qos= Q/quiet R/reservation= sibling= s/signal= t/state= usage u/user=
    v/verbose V/version w/nodelist= wckey=
    """
)
_FILTERS = ("account", "me", "name", "jobname", "partition", "qos", "state", "user", "nodelist")
_ID = re.compile(r"(\d+)(?:_(\d+|\[[\d,:-]+\]))?(?:\.\w+)?$")


class Scancel:
    """The command."""

    def __init__(self, emulator: SlurmEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Cancel or signal jobs."""
        try:
            line = getopt_long(call.arguments, OPTIONS)
        except BadOptionError as error:
            raise Refusal(f'scancel: {error}\nTry "scancel --help" for more information') from None
        if line.has("version"):
            return Reply("slurm-wlm 22.05.8\n")
        if line.has("help", "usage"):
            return Reply("Usage: scancel [OPTIONS] [job_id[_array_id][.step_id]]\n")
        for text in line.operands:
            if _ID.match(text) is None:
                raise Refusal(f"scancel: error: Invalid job id {text}")
        if line.has("state") and line.last("state").upper() not in {*COMPACT, *COMPACT.values()}:
            raise Refusal(f"scancel: error: Invalid job state specified: {line.last('state')}")
        if not line.operands and not line.has(*_FILTERS):
            raise Refusal("scancel: error: No job identification provided")
        number = _signal_number(line)
        if not line.operands:
            for job in list(self._emulator.known_jobs()):
                self._end(self._matching(line, job, call), call, number, line, whole=True)
            return Reply()
        errors = ""
        code = 0
        for text in line.operands:
            problem = self._one(text, line, call, number)
            said = f"scancel: Terminating job {text}\n" if line.has("verbose") else ""
            loud = line.has("verbose") or number is not None
            if problem and loud and not line.has("quiet"):
                said += f"scancel: error: Kill job error on job id {text}: {problem}\n"
            code = 1 if problem and number is not None else code
            errors += said
        return Reply(stderr=errors, code=code)

    def _one(self, text: str, line: Parsed, call: Call, number: int | None) -> str:
        """Cancel one operand; the reason why not, where there is one."""
        match = _ID.match(text)
        assert match is not None
        job = self._emulator.known_job(int(match[1])) or self._emulator.job_of_raw_id(int(match[1]))
        if job is None:
            return "Invalid job id specified"
        tasks = self._matching(line, job, call)
        if match[2] is None and int(match[1]) != job.number:
            tasks = [task for task in tasks if job.raw_id(task) == int(match[1])]
        if match[2] is not None:
            chosen = indices.parse_list(match[2].strip("[]")) or []
            tasks = [task for task in tasks if task.index in chosen]
            if not tasks:
                return "Invalid job id specified"
        active = [task for task in tasks if task.phase in (Phase.PENDING, Phase.RUNNING)]
        if not active:
            return (
                "Invalid job id specified" if number else "Job/step already completing or completed"
            )
        self._end(active, call, number, line, whole=match[2] is None)
        return ""

    def _matching(self, line: Parsed, job: SlurmJob, call: Call) -> list[Task]:
        user = call.user if line.has("me") else line.last("user")
        name = line.last("name") or line.last("jobname")
        if (user and job.user != user) or (name and job.name not in name.split(",")):
            return []
        for option, value in (("partition", job.queue), ("account", job.account), ("qos", job.qos)):
            if line.has(option) and value not in line.last(option).split(","):
                return []
        tasks = [task for task in job.present if task.known]
        if line.has("state"):
            word = line.last("state").upper()
            tasks = [task for task in tasks if word in (state_of(task), COMPACT[state_of(task)])]
        return tasks

    def _end(
        self, tasks: list[Task], call: Call, number: int | None, line: Parsed, *, whole: bool
    ) -> None:
        for task in tasks:
            if number is not None:
                self._signal(task, number, batch=line.has("batch"))
                continue
            job = task.job
            assert isinstance(job, SlurmJob)
            together = job.is_array and task.index not in job.raw_ids
            # An element cancelled alone while it waits leaves no trace, the last one does.
            if task.phase is Phase.PENDING and together and not whole and len(job.folded) > 1:
                self._emulator.engine.drop(task)
            else:
                self._emulator.engine.cancel(task, by=str(call.uid))

    def _signal(self, task: Task, number: int, *, batch: bool) -> None:
        if task.phase is not Phase.RUNNING or task.run is None:
            return
        if number == signal.SIGKILL and not batch:
            self._emulator.engine.cancel(task, by="0")
        elif batch:
            processes.signal_one(task.run.pid, number)
        # Without --batch only job steps get it, and these jobs have none but the batch step.


def _signal_number(line: Parsed) -> int | None:
    """The signal of `--signal`; None for the usual end of a job."""
    if not line.has("signal"):
        return None
    text = line.last("signal").upper().removeprefix("SIG")
    if text.isdigit():
        return int(text)
    try:
        return int(signal.Signals[f"SIG{text}"])
    except KeyError:
        raise Refusal(f"scancel: error: Unknown job signal: {line.last('signal')}") from None
