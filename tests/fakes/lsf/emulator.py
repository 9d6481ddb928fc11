"""LSF over the engine: when jobs start, how they are ended, the report that precedes output."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, cast

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Command, Emulator, Later, Refusal, Reply
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.model import Job, Launch, Run, Task, Wait, Why

from tests.fakes.lsf import depend
from tests.fakes.lsf.bhist import Bhist
from tests.fakes.lsf.bjobs import Bjobs
from tests.fakes.lsf.bsub import Bsub
from tests.fakes.lsf.changes import Bkill, Bresume, Bstop
from tests.fakes.lsf.depend import Atom, Condition
from tests.fakes.lsf.jobs import (
    LsfJob,
    LsfSettings,
    end_text,
    parse_reference,
    state_of,
    write_full_moment,
)
from tests.fakes.lsf.site import Bhosts, Bjdep, Bparams, Bqueues, Lshosts, Lsid

RESTART_JUMP = 100
"""How far the numbers jump when the daemons are started again."""
_WRAPPER = (
    'export LS_JOBPID=$$; "$1"; code=$?; '
    'if [ ! -e "$LSB_EXIT_FILE" ] && [ "$code" -gt 128 ]; then exit 0; fi; exit "$code"'
)
"""The process above the job's shell: a shell that was killed counts as done."""


class LsfEmulator(Emulator):
    """OpenLava 4.0 with one host of eight slots."""

    settings_class: ClassVar[type[LsfSettings]] = LsfSettings
    settings: LsfSettings

    def __init__(self, engine: Engine, place: Path, settings: LsfSettings) -> None:
        super().__init__(engine, place, settings)
        self._bsub = Bsub(self)
        self._commands: dict[str, Command] = {
            "bsub": self._bsub,
            "bjobs": Bjobs(self),
            "bkill": Bkill(self),
            "bstop": Bstop(self),
            "bresume": Bresume(self),
            "bhist": Bhist(self),
            "bjdep": Bjdep(self),
            "lsid": Lsid(self),
            "bhosts": Bhosts(self),
            "lshosts": Lshosts(self),
            "bqueues": Bqueues(self),
            "bparams": Bparams(self),
        }
        engine.every(1.0, self._forget_the_old)

    @property
    def commands(self) -> Mapping[str, Command]:
        """Every command by its name."""
        return self._commands

    @property
    def host(self) -> str:
        """The host that everything runs on."""
        return self.engine.nodes[0].name

    def variables(self) -> dict[str, str]:
        """What the profile sets."""
        return {
            "LSF_ENVDIR": str(self.place),
            "LSF_BINDIR": str(self.place / "bin"),
            "LSF_LIBDIR": str(self.place / "lib"),
            "LSF_SERVERDIR": str(self.place / "sbin"),
        }

    def home(self) -> str:
        """The user's home."""
        return self.login_environment()["HOME"]

    @property
    def kill_wait(self) -> float:
        """SIGINT, SIGTERM and SIGKILL, an interval apart."""
        return 2 * self.settings.terminate_interval

    # Looking jobs up

    @property
    def jobs(self) -> dict[int, LsfJob]:
        """Every job there ever was, by number."""
        return cast("dict[int, LsfJob]", self.engine.jobs)

    def known_jobs(self) -> Iterator[LsfJob]:
        """Jobs that mbatchd remembers."""
        return (job for job in list(self.jobs.values()) if job.is_known)

    def known_tasks(self, word: str) -> list[Task]:
        """The tasks that an id means, of those mbatchd remembers."""
        return [task for task in self.tasks_of(word) if task.known]

    def tasks_of(self, reference: str) -> list[Task]:
        """The tasks that an id means."""
        found = parse_reference(reference)
        job = self.jobs.get(found.number) if found is not None else None
        if found is None or job is None:
            return []
        return [task for task in job.present if not found.indices or task.index in found.indices]

    def native_id(self, task: Task) -> str:
        """`205` or `205[3]`."""
        number = task.job.number
        return str(number) if task.index is None else f"{number}[{task.index}]"

    def job_called(self, name: str) -> Job | None:
        """The job that a dependency names: by number, or the latest of that name."""
        if name.isdigit():
            job = self.jobs.get(int(name))
            return job if job is not None and job.is_known else None
        called = [job for job in self.known_jobs() if job.name == name.strip('"')]
        return called[-1] if called else None

    def shown_directory(self, job: LsfJob) -> str:
        """The working directory, `$HOME` put in its place."""
        text = str(job.directory)
        if job.home and (text == job.home or text.startswith(f"{job.home}/")):
            return f"$HOME{text[len(job.home) :]}"
        return text

    def atoms(self, condition: Condition | None) -> list[Atom]:
        """The single conditions that make up one."""
        if condition is None:
            return []
        if isinstance(condition, Atom):
            return [condition]
        parts = (condition.inner,) if isinstance(condition, depend.Not) else condition.parts
        return [atom for part in parts for atom in self.atoms(part)]

    # When jobs start

    def job_obstacle(self, job: Job) -> object | None:
        """Dependencies, stopped queues and requirements."""
        assert isinstance(job, LsfJob)
        if job.condition is not None and not any(atom.each for atom in self.atoms(job.condition)):
            met = job.condition.look(None)
            if met is not depend.Met.YES:
                return Wait.NEVER if met is depend.Met.NEVER else Wait.DEPENDENCY
        if not self.settings.queues[job.queue].get("started", True):
            return "The queue is inactivated by its time windows"
        if job.requirement_unmet:
            return job.requirement_unmet
        return self._slot_limit(job)

    def _slot_limit(self, job: LsfJob) -> str | None:
        limit = self.settings.queues[job.queue].get("user_slots")
        running = sum(other.active for other in self.jobs.values() if other.queue == job.queue)
        reached = isinstance(limit, int) and running >= limit
        return "The user has reached his/her job slot limit" if reached else None

    def task_obstacle(self, task: Task) -> object | None:
        """Dependencies element by element."""
        job = cast("LsfJob", task.job)
        if job.condition is None or not any(atom.each for atom in self.atoms(job.condition)):
            return None
        met = job.condition.look(task.index)
        if met is depend.Met.YES:
            return None
        return Wait.NEVER if met is depend.Met.NEVER else Wait.DEPENDENCY

    # Running

    def launch(self, task: Task, run: Run) -> Launch:
        """A shell above the job's shell, in the submitter's environment."""
        job = cast("LsfJob", task.job)
        if job.swap_kb is not None:
            self.engine.after(0.3, lambda: self._check_swap(job, run))
        if job.memory_kb is not None and self.settings.enforce_memory:
            self.engine.after(0.3, lambda: self._check_memory(job, task, run))
        spool = self.place / "spool" / "output"
        spool.mkdir(parents=True, exist_ok=True)
        name = self.native_id(task)
        directory = job.directory if job.directory.is_dir() else Path("/tmp")
        return Launch(
            argv=("/bin/sh", "-c", _WRAPPER, "sh", str(job.script)),
            environment={**job.environment, **self._lsf_variables(job, task, run)},
            directory=directory,
            stdout=spool / f"{name}.out",
            stderr=spool / f"{name}.err" if job.error else None,
            stdin=job.directory / job.stdin,
            umask=job.umask,
        )

    def _lsf_variables(self, job: LsfJob, task: Task, run: Run) -> dict[str, str]:
        indices = [index for index in job.tasks if index is not None]
        stem = f"{int(job.submitted)}.{job.number}"
        stem += f".{task.index}" if task.index is not None else ""
        exit_file = self.place / "spool" / f"{self.native_id(task)}.{run.number}.exit"
        exit_file.unlink(missing_ok=True)
        values = {
            **self.variables(),
            "HOSTNAME": self.host,
            "LOGNAME": job.user,
            "LSB_ACCT_FILE": f"/tmp/.{stem}.acct",
            "LSB_CHKFILENAME": f"{job.home}/.lsbatch/{stem}",
            "LSB_DJOB_NUMPROC": str(job.slots),
            "LSB_EFFECTIVE_RSRCREQ": job.requirements,
            "LSB_EXIT_FILE": str(exit_file),
            "LSB_EXIT_PRE_ABORT": "99",
            "LSB_HOSTS": " ".join([self.host] * job.slots),
            "LSB_JOBEXIT_STAT": "0",
            "LSB_JOBFILENAME": f"{job.home}/.lsbatch/{stem}",
            "LSB_JOBID": str(job.number),
            "LSB_JOBINDEX": str(task.index or 0),
            "LSB_JOBNAME": job.spec.partition("%")[0] or job.name,
            "LSB_JOB_EXECUSER": job.user,
            "LSB_MAX_NUM_PROCESSORS": str(job.slots),
            "LSB_MCPU_HOSTS": f"{self.host} {job.slots} ",
            "LSB_OUTPUTFILE": self._filled_in(job.output, task),
            "LSB_QUEUE": job.queue,
            "LSB_SUB_HOST": self.host,
            "LSB_TRAPSIGS": "trap # 15 10 12 2 1",
            "LSB_UNIXGROUP": job.user,
            "LSFUSER": job.user,
            "LSF_EAUTH_CLIENT": "user",
            "LSF_EAUTH_SERVER": "mbatchd@openlava",
            "LS_EXEC_T": "START",
            "LS_SUBCWD": str(job.directory),
            "USER": job.user,
        }
        if indices:
            values["LSB_JOBINDEX_END"] = str(indices[-1])
            values["LSB_JOBINDEX_STEP"] = str(job.step)
        return values

    def _filled_in(self, pattern: str, task: Task) -> str:
        filled = pattern.replace("%J", str(task.job.number))
        return filled.replace("%I", str(task.index or 0))

    def _check_swap(self, job: LsfJob, run: Run) -> None:
        """Kill a job over its `-v` with SIGQUIT; its shell's end then reads as success."""
        if run.ended is not None or job.swap_kb is None:
            return
        if processes.resident_memory(run.pid) > job.swap_kb * 1024:
            for pid in processes.descendants(run.pid):
                processes.signal_one(pid, signal.SIGKILL)
            return
        self.engine.after(0.3, lambda: self._check_swap(job, run))

    def _check_memory(self, job: LsfJob, task: Task, run: Run) -> None:
        """End a job over its `-M` as bkill would, but nobody is told of it."""
        if run.ended is not None or job.memory_kb is None:
            return
        if processes.resident_memory(run.pid) > job.memory_kb * 1024:
            self.engine.cancel(task, why=Why.MEMORY)
            return
        self.engine.after(0.3, lambda: self._check_memory(job, task, run))

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """A job that cannot be started ends with exit code 127."""
        run.status = 127 << 8
        self.engine.settle(task, Why.EXITED)

    def first_signal(self, task: Task, run: Run) -> None:
        """SIGUSR2 for the run limit; for a bkill SIGINT, later SIGTERM and SIGKILL."""
        if run.suspended:
            processes.signal_group(run.pid, signal.SIGCONT)
        if run.why is Why.WALLTIME:
            self._to_children(run, signal.SIGUSR2)
            return
        self._to_children(run, signal.SIGINT)
        interval = self.settings.terminate_interval
        self.engine.after(interval, lambda: self._to_children(run, signal.SIGTERM))

    def _to_children(self, run: Run, number: int) -> None:
        """Everything but the process on top, which reports."""
        if run.ended is None and run.pid:
            for pid in processes.descendants(run.pid):
                processes.signal_one(pid, number)

    def run_ended(self, task: Task, run: Run) -> None:
        """Over, unless its host died and it may run again."""
        job = cast("LsfJob", task.job)
        again = run.why is Why.REQUEUED or (run.why in (Why.NODE, Why.PREEMPTED) and job.requeues)
        if again:
            self.engine.requeue(task)
            return
        task.by = run.by
        self.engine.settle(task, run.why)
        self._deliver(job, task, run)

    def _deliver(self, job: LsfJob, task: Task, run: Run) -> None:
        """Append the report and the output to the output file; nothing is said where it cannot."""
        launch = run.launch
        if launch is None:
            return
        for source, pattern in ((launch.stdout, job.output), (launch.stderr, job.error)):
            if source is None:
                continue
            text = source.read_bytes() if source.exists() else b""
            if pattern:
                path = job.directory / self._filled_in(pattern, task)
                if path.is_dir():
                    path = path / f"{job.number}.out"
                report = b"" if source is launch.stderr else self._report(job, task, run)
                tail = b""
                if source is launch.stdout and job.error:
                    name = self._filled_in(job.error, task)
                    tail = (
                        f"\n\nPS:\n\nRead file <{name}> for stderr output of this job.\n\n".encode()
                    )
                with suppress(OSError), path.open("ab") as output:
                    output.write(report + text + tail)
            source.unlink(missing_ok=True)

    def _report(self, job: LsfJob, task: Task, run: Run) -> bytes:
        name = job.task_name(task)
        subject = "Done" if state_of(task) == "DONE" else "Exited"
        how = (
            end_text(task)
            .partition(" The CPU")[0]
            .replace("Done successfully", "Successfully completed")
        )
        rule = "-" * 60
        return (
            f"Sender: OpenLava System <openlava@{self.host}>\n"
            f"Subject: Job {self.native_id(task)}: <{name}> {subject}\n\n"
            f"Job <{name}> was submitted from host <{self.host}> by user <{job.user}>.\n"
            f"Job was executed on host(s) <{self.host}>, in queue <{job.queue}>, "
            f"as user <{job.user}>.\n"
            f"<{job.home}> was used as the home directory.\n"
            f"<{job.directory}> was used as the working directory.\n"
            f"Started at {write_full_moment(run.started)}\n"
            f"Results reported at {write_full_moment(run.ended or run.started)}\n\n"
            f"Your job looked like:\n\n{rule}\n# LSBATCH: User input\n{job.command}\n{rule}\n\n"
            f"{how}\n\nResource usage summary:\n\n"
            "    CPU time   :      0.02 sec.\n"
            "    Max Memory :         7 MB\n"
            "    Max Swap   :        13 MB\n\n"
            "    Max Processes  :         1\n\n"
            "The output (if any) follows:\n\n"
        ).encode()

    def task_over(self, task: Task) -> None:
        """What was left of a task in the spool goes."""
        shutil.rmtree(self.place / "spool" / self.native_id(task), ignore_errors=True)

    def _forget_the_old(self) -> None:
        limit = self.engine.now() - self.settings.clean_period
        for job in self.known_jobs():
            if job.is_over and max(task.ended or 0.0 for task in job.tasks.values()) < limit:
                for task in job.tasks.values():
                    self.engine.forget(task)

    # Faults

    def come_up(self) -> None:
        """Start the daemons again; the numbers jump."""
        self.last_number += RESTART_JUMP
        self.engine.come_up()

    def answer_when_down(self, call: Call) -> Answer | None:
        """No command fails: each repeats that it still tries, until the daemons are back."""
        if "-V" in call.arguments or "-h" in call.arguments:
            return None
        if call.name == "bsub" and self._bsub.reads_stdin(call):
            # Read it now: later nobody will ask for it.
            assert call.stdin is not None
        return Later(
            lambda: self._try_again(call),
            chatter=f"{self.settings.daemon_down}\n",
            every=self.settings.chatter_seconds,
        )

    def _try_again(self, call: Call) -> Reply | None:
        if self.engine.down:
            return None
        try:
            answer = self.commands[call.name](call)
        except Refusal as refusal:
            return refusal.reply
        return answer if isinstance(answer, Reply) else answer.first

    def lost_answer(self, call: Call) -> Reply:
        """The answer did not come in time."""
        text = "Failed in receiving reply from the daemon"
        if call.name == "bsub":
            text = f"{text}. Job not submitted."
        return Reply(stderr=text + "\n", code=255)
