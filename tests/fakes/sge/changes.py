"""The fake commands that change jobs: `qdel`, `qhold`, `qrls`, `qmod`, `qalter`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.model import Phase, Task, Why

from tests.fakes.sge import grammar
from tests.fakes.sge.jobs import SgeJob

if TYPE_CHECKING:
    from tests.fakes.sge.emulator import SgeEmulator

QDEL_OPTIONS = grammar.table("f help t= u=")
QHOLD_OPTIONS = grammar.table("h= help t= u=")
QMOD_OPTIONS = grammar.table("c= cj= cq= d= e= f help r= rj= rq= s= sj= sq= us= usj= usq=")
QALTER_OPTIONS = grammar.table("a= h= help hold_jid= l= N= o= p= tc= w=")


class Qdel:
    """The command."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Delete jobs and tasks."""
        line = grammar.parse("qdel", call.arguments, QDEL_OPTIONS)
        if line.has("help"):
            return Reply("SGE 8.1.9\nusage: qdel [options] job_task_list\n")
        words = [word for text in line.operands for word in text.split(",")]
        if line.has("u") and not words:
            return self._all_of(line.last("u"), call)
        if not words:
            raise Refusal("qdel: no job or user specified", 2)
        said, code = "", 0
        for word in words:
            number, dot, tasks = word.partition(".")
            text, good = self._one(number, tasks if dot else line.last("t"), call)
            said += text
            code = code if good else 1
        return Reply(said, code=code)

    def _all_of(self, user: str, call: Call) -> Reply:
        said = ""
        for job in list(self._emulator.all_jobs()):
            if job.is_known and user in ("*", job.user):
                said += self._whole(job, call)
        return Reply(said) if said else Reply("There are no jobs registered\n", code=1)

    def _one(self, word: str, tasks: str, call: Call) -> tuple[str, bool]:
        found = self._emulator.jobs_called(word, call.user)
        if not found and word.isdigit():
            return f'denied: job "{word}" does not exist\n', False
        if not found:
            return f"The job {word} of user(s) {call.user} does not exist\n", False
        if tasks:
            return self._some(found[0], tasks, call)
        return "".join(self._whole(job, call) for job in found), True

    def _whole(self, job: SgeJob, call: Call) -> str:
        said = ""
        for task in job.tasks_left:
            if task.phase is Phase.ENDING:
                said += f"job {self._emulator.native_id(task)} is already in deletion\n"
            elif task.phase is Phase.RUNNING:
                said += self._end_running(task, call)
        if job.waiting:
            for task in list(job.waiting.values()):
                self._emulator.engine.cancel(task, by=call.user)
            said += f"{call.user} has deleted job {job.number}\n"
        return said

    def _some(self, job: SgeJob, text: str, call: Call) -> tuple[str, bool]:
        first, dash, last = text.partition("-")
        step = int(last.partition(":")[2] or 1)
        end = int(last.partition(":")[0]) if dash else int(first)
        numbers = range(int(first), end + 1, step)
        tasks = [task for task in job.tasks_left if task.index in numbers]
        if not tasks and dash:
            span = f"{first}-{end}:{step}"
            return f'job "{job.number}" task id range "{span}" comprises no tasks\n', False
        if not tasks:
            return f'job "{job.number}" task "{text}" does not exist\n', False
        said = "".join(
            self._end_running(task, call) for task in tasks if task.phase is Phase.RUNNING
        )
        waiting = [task for task in tasks if task.phase is Phase.PENDING]
        for task in waiting:
            self._emulator.engine.cancel(task, by=call.user)
        if waiting and job.throttle is not None:
            # A defect of Grid Engine: each task deleted while it waits loosens the limit.
            job.throttle += len(waiting)
            job.loosened = True
        if len(waiting) == 1:
            said += f"{call.user} has deleted job-array task {job.number}.{waiting[0].index}\n"
        elif waiting:
            listed = ",".join(str(task.index) for task in waiting)
            said += f"{call.user} has deleted job-array tasks {listed} of job {job.number}\n"
        return said, True

    def _end_running(self, task: Task, call: Call) -> str:
        job = task.job
        assert isinstance(job, SgeJob)
        self._emulator.engine.cancel(task, by=call.user)
        if job.loosened and job.throttle is not None:
            job.throttle += 1
        kind = "job-array task" if job.is_array else "job"
        name = self._emulator.native_id(task)
        return f"{call.user} has registered the {kind} {name} for deletion\n"


class Qhold:
    """`qhold`, and `qrls` with `release`."""

    def __init__(self, emulator: SgeEmulator, *, release: bool) -> None:
        self._emulator = emulator
        self._release = release

    def __call__(self, call: Call) -> Answer:
        """Hold or release jobs."""
        name = "qrls" if self._release else "qhold"
        line = grammar.parse(name, call.arguments, QHOLD_OPTIONS)
        said, code = "", 0
        for word in line.operands:
            found = self._emulator.jobs_called(word.partition(".")[0], call.user)
            if not found:
                said += f'denied: job "{word}" does not exist\n'
                code = 3
            for job in found:
                if self._release:
                    self._emulator.engine.release(job, "user")
                else:
                    self._emulator.engine.hold(job, "user")
                said += f"modified hold of job {job.number}\n"
        return Reply(said, code=code)


class Qmod:
    """The command: suspend, resume, reschedule, clear errors."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Change the state of jobs."""
        line = grammar.parse("qmod", call.arguments, QMOD_OPTIONS)
        for option, word in line.options:
            verb = option.removesuffix("j")
            if option == "f":
                continue
            tasks = self._emulator.tasks_of(word)
            tasks = [task for task in tasks if task.phase is not Phase.OVER]
            if not tasks:
                raise Refusal(f"invalid queue or job {word!r}".replace("'", '"'))
            text, code = self._do(verb, tasks, call, force=line.has("f"))
            return Reply(text, code=code)
        raise Refusal("qmod: no option specified")

    def _do(self, verb: str, tasks: list[Task], call: Call, *, force: bool) -> tuple[str, int]:
        name = self._emulator.native_id(tasks[0])
        host = "node01"
        if verb in ("s", "us"):
            for task in tasks:
                if task.run is not None:
                    task.run.suspended = verb == "s"
                    number = signal.SIGSTOP if verb == "s" else signal.SIGCONT
                    processes.signal_group(task.run.pid, number)
            return f"{call.user} - {'un' * (verb == 'us')}suspended job {name}\n", 0
        if verb == "c":
            for task in tasks:
                task.error = ""
            self._emulator.engine.want_schedule()
            return f"{call.user}@{host} cleared error state of job {name}\n", 1
        job = tasks[0].job
        assert isinstance(job, SgeJob)
        if not job.rerunnable and not force:
            return f"The job {name} is not restartable\n", 0
        for task in tasks:
            self._emulator.engine.end_at_once(task, Why.REQUEUED)
        how = "Forced" if force else "Pushed"
        return f"{how} rescheduling of job {name} on host {host}\n", 0


class Qalter:
    """The command, as far as `-tc`, `-h` and `-w v` go."""

    def __init__(self, emulator: SgeEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Change a job."""
        line = grammar.parse("qalter", call.arguments, QALTER_OPTIONS)
        said = ""
        for word in line.operands:
            found = self._emulator.jobs_called(word, call.user)
            if not found:
                raise Refusal(f'denied: job "{word}" does not exist')
            for job in found:
                if line.last("w") == "v":
                    return self._verified(job)
                if line.has("tc"):
                    job.throttle = int(line.last("tc")) or None
                    said += f"modified task concurrency of job {job.number}\n"
                    self._emulator.engine.want_schedule()
        return Reply(said)

    def _verified(self, job: SgeJob) -> Reply:
        """Whether a job could start if the cluster were empty; nothing is changed."""
        if not job.waiting or any(task.run is not None for task in job.tasks_left):
            return Reply("verification: job is already running or is held\n")
        if self._emulator.could_ever_run(job):
            return Reply("verification: found suitable queue(s)\n")
        asked = ",".join(f"{name}={value}" for name, value in job.resources.items())
        return Reply(
            f'Job {job.number} (-l {asked}) cannot run at host "node01" because it offers too '
            "little\nverification: no suitable queues\n",
            code=1,
        )
