"""Grid Engine over the engine: when jobs start and end, and what is written down about them."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, cast

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Command, Emulator, Reply
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.model import Job, Launch, Phase, Run, Task, Wait, Why

from tests.fakes.sge.changes import Qalter, Qdel, Qhold, Qmod
from tests.fakes.sge.jobs import Record, SgeJob, SgeSettings
from tests.fakes.sge.qacct import Qacct
from tests.fakes.sge.qstat import Qstat
from tests.fakes.sge.qsub import Qsub
from tests.fakes.sge.site import Qconf, Qhost

RESCHEDULE = 99
"""A script that exits so is put back into the queue."""
ERROR_STATE = 100
"""A script that exits so is kept in error state."""
_SEND_ERROR = 'unable to send message to qmaster using port 16444 on host "node01": got send error'
_REFUSED = "error: commlib error: got select error (Connection refused)\n"


class SgeEmulator(Emulator):
    """Son of Grid Engine 8.1.9 with one host of eight slots."""

    settings_class: ClassVar[type[SgeSettings]] = SgeSettings
    settings: SgeSettings

    def __init__(self, engine: Engine, place: Path, settings: SgeSettings) -> None:
        super().__init__(engine, place, settings)
        self._records: list[Record] = []
        self._commands: dict[str, Command] = {
            "qsub": Qsub(self),
            "qstat": Qstat(self),
            "qacct": Qacct(self),
            "qdel": Qdel(self),
            "qhold": Qhold(self, release=False),
            "qrls": Qhold(self, release=True),
            "qmod": Qmod(self),
            "qalter": Qalter(self),
            "qconf": Qconf(self),
            "qhost": Qhost(self),
        }
        engine.enforce_memory = False  # by a limit on the address space instead

    @property
    def commands(self) -> Mapping[str, Command]:
        """Every command by its name."""
        return self._commands

    def variables(self) -> dict[str, str]:
        """What the cell's settings.sh sets."""
        return {
            "SGE_ROOT": str(self.place),
            "SGE_CELL": "default",
            "SGE_CLUSTER_NAME": self.settings.cluster,
            "SGE_QMASTER_PORT": "16444",
            "SGE_EXECD_PORT": "16445",
        }

    def home(self) -> str:
        """The user's home."""
        return self.login_environment()["HOME"]

    # Looking jobs up

    def all_jobs(self) -> Iterator[SgeJob]:
        """Every job there ever was."""
        return iter(cast("list[SgeJob]", list(self.engine.jobs.values())))

    def jobs_called(self, word: str, user: str) -> list[SgeJob]:
        """The jobs in the queue that a number, a name or a pattern means."""
        return [
            job
            for job in self.all_jobs()
            if job.is_known
            and (
                job.number == int(word)
                if word.isdigit()
                else fnmatch.fnmatchcase(job.name, word) and user in ("*", job.user)
            )
        ]

    def jobs_of(self, user: str) -> int:
        """How many jobs a user has in the queue, an array counted once."""
        return sum(job.is_known and job.user == user for job in self.all_jobs())

    def tasks_of(self, reference: str) -> list[Task]:
        """The tasks that `24` or `24.3` means."""
        number, _, index = reference.partition(".")
        job = self.engine.jobs.get(int(number)) if number.isdigit() else None
        if job is None:
            return []
        return [task for task in job.present if not index or str(task.index) == index]

    def native_id(self, task: Task) -> str:
        """`24` or `24.3`."""
        number = task.job.number
        return str(number) if task.index is None else f"{number}.{task.index}"

    def is_remembered(self, job: SgeJob) -> bool:
        """Whether `qstat -s z` still shows it."""
        gone = [
            one
            for one in self.all_jobs()
            if not one.is_known and one.present and not one.present[0].forgotten
        ]
        gone.sort(key=lambda one: one.finished)
        return job in gone[-self.settings.finished_jobs :]

    def resource_text(self, job: SgeJob) -> str:
        """The resources as `qstat -j` lists them."""
        return ",".join(f"{name}={value}" for name, value in job.resources.items())

    # When jobs start

    def could_ever_run(self, job: SgeJob) -> bool:
        """Whether the hosts are large enough and the queue is open."""
        queue = self.settings.queues[job.queue]
        share = job.request.share
        return queue.get("enabled", True) and any(
            share.cpus <= node.cpus and share.memory <= node.memory for node in self.engine.nodes
        )

    def job_obstacle(self, job: Job) -> object | None:
        """Jobs it waits for, and closed queues."""
        assert isinstance(job, SgeJob)
        if any(self._is_there(number) for number in job.predecessors):
            return Wait.DEPENDENCY
        if not self.settings.queues[job.queue].get("enabled", True):
            return Wait.QUEUE
        return None

    def _is_there(self, number: int) -> bool:
        job = self.engine.jobs[number]
        return job.is_known and not job.is_over

    def task_obstacle(self, task: Task) -> object | None:
        """An error state, and tasks of another array that it waits for."""
        job = task.job
        assert isinstance(job, SgeJob)
        if task.error:
            return Wait.NEVER
        for number in job.element_predecessors:
            other = self.engine.jobs[number].tasks.get(task.index)
            if other is not None and other.phase is not Phase.OVER:
                return Wait.DEPENDENCY
        return None

    # Running

    def launch(self, task: Task, run: Run) -> Launch:
        """The queue's shell with the script, in execd's environment."""
        job = cast("SgeJob", task.job)
        if job.soft_walltime is not None:
            self.engine.after(job.soft_walltime, lambda: self._warn(run, signal.SIGUSR1))
        if not job.directory.is_dir():
            raise FileNotFoundError(2, "No such file or directory", str(job.directory))
        stdout, stderr = self._output_paths(job, task, run)
        scratch = self._scratch(job, task)
        scratch.mkdir(parents=True, exist_ok=True)
        command = job.command if job.script is None else (job.shell, str(job.script))
        if job.script is None:
            command = ("/bin/sh", "-c", 'exec "$@"', "sh", *command)
        return Launch(
            argv=(*command, *job.arguments),
            environment={
                **job.environment,
                **self._sge_variables(job, task, run, stdout, stderr),
            },
            directory=job.directory,
            stdout=stdout,
            stderr=None if job.merge else stderr,
            append=True,
            umask=job.umask,
            address_space=job.address_space,
            cpu_seconds=job.cpu_seconds,
        )

    def _scratch(self, job: SgeJob, task: Task) -> Path:
        return self.place / "tmp" / f"{job.number}.{task.index or 1}.{job.queue}"

    def _output_paths(self, job: SgeJob, task: Task, run: Run) -> tuple[Path, Path]:
        found = []
        for letter, given in (("o", job.stdout), ("e", job.stderr)):
            name = f"{job.name}.{letter}{job.number}"
            name += f".{task.index}" if task.index is not None else ""
            path = job.directory / self._filled_in(given, job, task, run)
            found.append(path / name if path.is_dir() else path)
        return found[0], found[1]

    def _filled_in(self, text: str, job: SgeJob, task: Task, run: Run) -> str:
        values = {
            "HOME": self.home(),
            "HOSTNAME": run.nodes[0].name,
            "JOB_ID": str(job.number),
            "JOB_NAME": job.name,
            "TASK_ID": "undefined" if task.index is None else str(task.index),
            "USER": job.user,
        }
        return re.sub(r"\$([A-Z_]+)", lambda match: values.get(match[1], match[0]), text)

    def _sge_variables(
        self, job: SgeJob, task: Task, run: Run, stdout: Path, stderr: Path
    ) -> dict[str, str]:
        numbers = [index for index in job.tasks if index is not None]
        spool = f"{self.place}/spool/execd/localhost"
        values = {
            **self.variables(),
            "ARC": "lx-amd64",
            "HOSTNAME": run.nodes[0].name,
            "JOB_ID": str(job.number),
            "JOB_NAME": job.name,
            "JOB_SCRIPT": str(job.script) if job.script else job.command[0],
            "NHOSTS": "1",
            "NQUEUES": "1",
            "NSLOTS": str(job.slots),
            "QUEUE": job.queue,
            "REQNAME": job.name,
            "REQUEST": job.name,
            "RESTARTED": "1" if run.number else "0",
            "SGE_ACCOUNT": job.account,
            "SGE_ARCH": "lx-amd64",
            "SGE_BINARY_PATH": str(self.place / "bin"),
            "SGE_CWD_PATH": str(job.directory),
            "SGE_JOB_SPOOL_DIR": f"{spool}/active_jobs/{job.number}.{task.index or 1}",
            "SGE_O_HOME": self.home(),
            "SGE_O_HOST": "localhost",
            "SGE_O_LOGNAME": job.user,
            "SGE_O_PATH": job.environment.get("PATH", ""),
            "SGE_O_SHELL": "/bin/bash",
            "SGE_O_TZ": "UTC",
            "SGE_O_WORKDIR": str(job.submit_directory),
            "SGE_STDERR_PATH": str(stdout if job.merge else stderr),
            "SGE_STDIN_PATH": "/dev/null",
            "SGE_STDOUT_PATH": str(stdout),
            "SGE_TASK_FIRST": str(numbers[0]) if numbers else "undefined",
            "SGE_TASK_ID": str(task.index) if numbers else "undefined",
            "SGE_TASK_LAST": str(numbers[-1]) if numbers else "undefined",
            "SGE_TASK_STEPSIZE": str(job.step) if numbers else "undefined",
            "TERM": "",
            "TMP": str(self._scratch(job, task)),
            "TMPDIR": str(self._scratch(job, task)),
        }
        if job.parallel:
            values["PE"] = job.parallel
            values["PE_HOSTFILE"] = f"{values['SGE_JOB_SPOOL_DIR']}/pe_hostfile"
        return values

    def _warn(self, run: Run, number: int) -> None:
        if run.ended is None and run.pid:
            processes.signal_group(run.pid, number)

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """A folder is missing: error state."""
        if run.launch is None:
            failed, what = 28, f"can't chdir to {error.filename}"
        else:
            failed, what = 26, f'can\'t open output file "{error.filename}"'
        self._write_down(task, run, failed, 0)
        self._into_error_state(task, f"error: {what}: {error.strerror}")

    def _into_error_state(self, task: Task, text: str) -> None:
        self.engine.requeue(task)
        task.error = f"{time.strftime('%m/%d/%Y %H:%M:%S')} [0:{os.getpid()}]: {text}"
        task.reason = Wait.NEVER

    def first_signal(self, task: Task, run: Run) -> None:
        """SIGKILL without warning, or SIGUSR2 first with `-notify`."""
        job = cast("SgeJob", task.job)
        if job.notify:
            self._warn(run, signal.SIGUSR2)
        else:
            self.engine.kill_run(run)

    def run_ended(self, task: Task, run: Run) -> None:
        """Over, rescheduled, or in error state, as the exit code has it."""
        shutil.rmtree(self._scratch(cast("SgeJob", task.job), task), ignore_errors=True)
        delay = self.settings.reschedule_delay
        status = run.code if not run.signal else 128 + run.signal
        if run.why in (Why.REQUEUED, Why.NODE, Why.PREEMPTED):
            self._write_down(task, run, 25, 0, started=False)
            self.engine.requeue(task, delay)
        elif run.why is Why.EXITED and not run.signal and run.code == RESCHEDULE:
            self._write_down(task, run, 25, RESCHEDULE)
            self.engine.requeue(task, delay)
        elif run.why is Why.EXITED and not run.signal and run.code == ERROR_STATE:
            self._write_down(task, run, 30, ERROR_STATE)
            self._into_error_state(task, f"exit_status of job start = {ERROR_STATE}")
        else:
            failed = 100 if run.signal else 0
            failed = 37 if run.why is Why.WALLTIME and run.signal else failed
            self._write_down(task, run, failed, status)
            self.engine.settle(task, run.why)

    def _write_down(
        self, task: Task, run: Run, failed: int, status: int, *, started: bool = True
    ) -> None:
        visible = self.engine.now() + self.settings.flush_time
        job = cast("SgeJob", task.job)
        self._records.append(Record(job, task, run, failed, status, visible, started))

    def task_over(self, task: Task) -> None:
        """What is over is gone from qstat at once."""
        task.known = False
        job = cast("SgeJob", task.job)
        job.finished = self.engine.now()

    # Accounting

    @property
    def has_accounting_file(self) -> bool:
        """Whether any job has ended yet."""
        return any(True for _ in self.records())

    def records(self) -> Iterator[Record]:
        """What is in the accounting file by now."""
        now = self.engine.now()
        return (
            one
            for one in self._records
            if one.visible <= now and one.task.accounted and not one.task.dropped
        )

    # Faults

    def answer_when_down(self, call: Call) -> Answer | None:
        """What commands do while qmaster is down; qacct reads a file and does not mind."""
        if call.name == "qacct" or "-help" in call.arguments:
            return None
        if call.name == "qsub":
            text = f"Unable to run job: {_SEND_ERROR}\nExiting.\n"
            return Reply(stderr=_REFUSED + text, code=1)
        if call.name == "qstat" and "-j" in call.arguments and "-xml" not in call.arguments:
            return Reply(stderr=_REFUSED + f"{_SEND_ERROR}\n" * 2, code=1)
        if call.name == "qstat":
            return Reply(stderr=f"{_REFUSED}error: {_SEND_ERROR}\n", code=1)
        return Reply(f"{_SEND_ERROR}\n", _REFUSED, 1)

    def lost_answer(self, call: Call) -> Reply:
        """The answer of qmaster did not come in time."""
        text = (
            "failed receiving gdi request response for mid=1 (got syncron message receive "
            "timeout error)."
        )
        if call.name == "qsub":
            return Reply(stderr=f"Unable to run job: {text}\nExiting.\n", code=1)
        return Reply(stderr=f"error: {text}\n", code=1)
