"""Flux over the engine: when jobs start and fail, how they are ended, where output is kept."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, cast

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Command, Emulator, Refusal, Reply
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.model import Job, Launch, Phase, Task, Wait, Why
from reflow.testing.fakes.model import Run as TaskRun

from tests.fakes.flux import ids, jobs
from tests.fakes.flux.cancel import Cancel
from tests.fakes.flux.job import JobCommand
from tests.fakes.flux.jobs import FluxJob, FluxSettings, Trouble, return_code
from tests.fakes.flux.listing import Jobs
from tests.fakes.flux.site import Queue, Resource, Uptime, Version
from tests.fakes.flux.submit import Batch, Bulksubmit, Run, Submit

_SEVERAL = """
n=$1 before=$2 after=$3 i=0 pids= worst=0
shift 3
while [ $i -lt "$n" ]; do
    (
        [ -z "$before" ] || exec > "$before$i$after" 2>&1
        FLUX_TASK_RANK=$i FLUX_TASK_LOCAL_ID=$i exec "$@"
    ) &
    pids="$pids $!" i=$((i+1))
done
for p in $pids; do wait "$p"; c=$?; [ $c -gt $worst ] && worst=$c; done
exit $worst
"""
"""Starts every task of a job and exits as the worst of them.

Each prints into a file of its own if the name is told apart by the task's number.
"""

_SHELL_FAILED = "shell_init: "


def _getattr(call: Call) -> Answer:
    """`flux getattr instance-level`, the one attribute that the recordings ask for."""
    if call.arguments[1:] != ["instance-level"]:
        raise Refusal("flux-getattr: only 'instance-level' is known here")
    return Reply("0\n")


class FluxEmulator(Emulator):
    """Flux 0.88: one broker with eight cores."""

    settings_class: ClassVar[type[FluxSettings]] = FluxSettings
    settings: FluxSettings

    def __init__(self, engine: Engine, place: Path, settings: FluxSettings) -> None:
        super().__init__(engine, place, settings)
        self.began = engine.now()
        self.stopped: set[str] = set()
        self.disabled: dict[str, str] = {}
        self.cut_after: int | None = None
        """After how many jobs the next submission is to be killed."""
        self._wanted_numbers: list[int] = []
        self._is_down = False
        self._input = self._open_input()
        self._subcommands: dict[str, Command] = {
            "submit": Submit(self),
            "run": Run(self),
            "bulksubmit": Bulksubmit(self),
            "batch": Batch(self),
            "jobs": Jobs(self),
            "cancel": Cancel(self),
            "job": JobCommand(self),
            "queue": Queue(self),
            "resource": Resource(self),
            "version": Version(self),
            "uptime": Uptime(self),
            "getattr": _getattr,
        }
        engine.enforce_memory = False  # Flux knows no memory limits
        engine.every(1.0, self._forget_the_old)

    def _open_input(self) -> Path:
        """What jobs read: it never ends, as somebody might yet attach to them and write."""
        path = self.place / "input"
        os.mkfifo(path)
        # Held open for as long as the instance lives.
        os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return path

    @property
    def commands(self) -> Mapping[str, Command]:
        """`flux` alone; what it does is told by its first argument."""
        return {"flux": self._flux}

    def _flux(self, call: Call) -> Answer:
        if not call.arguments or call.arguments[0] not in self._subcommands:
            word = call.arguments[0] if call.arguments else ""
            if word in ("--version", "-V"):
                return self._subcommands["version"](call)
            raise Refusal(f"flux: `{word}' is not a flux command.  See 'flux --help'")
        verb = call.arguments[0]
        uri = call.environment.get("FLUX_URI", "local:///run/flux/local")
        if uri != self.variables()["FLUX_URI"]:
            raise self._no_broker(verb, uri.removeprefix("local://"))
        return self._subcommands[verb](call)

    def _no_broker(self, verb: str, path: str) -> Refusal:
        if verb in ("job", "getattr"):
            return Refusal(f"flux-{verb}: flux_open: No such file or directory")
        return Refusal(
            f"flux-{verb}: ERROR: Unable to connect to Flux: broker socket {path} was not found"
        )

    def variables(self) -> dict[str, str]:
        """Where the instance is found."""
        return {"FLUX_URI": f"local://{self.place / 'local-0'}"}

    # Numbers

    def next_number(self) -> int:
        """Milliseconds since the instance began, and a count within them."""
        if self._wanted_numbers:
            return self._wanted_numbers.pop(0)
        milliseconds = int((self.engine.now() - self.began) * 1000)
        self.last_number = max(milliseconds << 24, self.last_number + 1)
        return self.last_number

    def use_numbers(self, numbers: list[int]) -> None:
        """Give the next jobs these ids."""
        self._wanted_numbers += numbers

    def cut_next_submission(self, after: int) -> None:
        """Let the next submission be killed when it has submitted so many jobs."""
        self.cut_after = after

    # Looking jobs up

    @property
    def jobs(self) -> dict[int, FluxJob]:
        """Every job there ever was, by its id."""
        return cast("dict[int, FluxJob]", self.engine.jobs)

    def known_jobs(self) -> Iterator[FluxJob]:
        """Jobs that were not purged."""
        return (job for job in list(self.jobs.values()) if job.is_known)

    def known_job(self, number: int) -> FluxJob | None:
        """The job of that id, unless it was purged."""
        job = self.jobs.get(number)
        return job if job is not None and job.is_known else None

    def active_jobs(self, user: str) -> int:
        """How many jobs of a user's are not over."""
        return sum(
            job.user == user and job.task.phase is not Phase.OVER for job in self.known_jobs()
        )

    def tasks_of(self, reference: str) -> list[Task]:
        """The task that an id in any form means."""
        number = ids.parse(reference)
        job = self.jobs.get(number) if number is not None else None
        return [] if job is None else job.present

    def native_id(self, task: Task) -> str:
        """The id in decimal."""
        return str(task.job.number)

    def state_of(self, job: FluxJob) -> str:
        """Its state."""
        return jobs.state_of(job, depends=self._depends(job))

    def _depends(self, job: FluxJob) -> bool:
        waits = any(not one.met for one in job.dependencies)
        return waits or job.begin > self.engine.now()

    def estimate(self, job: FluxJob) -> float | None:
        """When it may start, as the scheduler guesses."""
        ends = [
            run.started + task.job.request.walltime
            for task, run in self.engine.running()
            if task.job.request.walltime is not None
        ]
        if not ends or job.holds or job.queue in self.stopped:
            return None
        return min(ends)

    # When jobs start

    def take(self, job: FluxJob) -> None:
        """Take a new job."""
        self.engine.submit(job)

    def note_impossible(self, job: FluxJob, gpus: int, requires: str) -> None:
        """Note why a job can never run, for when the scheduler looks at it."""
        total = sum(node.cpus for node in self.engine.nodes)
        per_task, ntasks = job.cores_per_task, job.ntasks
        if requires and not requires.startswith("host:"):
            note = (
                f"need {ntasks} slot(s) of {per_task} core(s), only 0 such slot(s) "
                "available (total cores: 0)"
            )
        elif job.asked_nodes is not None and job.asked_nodes > len(self.engine.nodes):
            eligible = len(self.engine.nodes)
            note = f"need {job.asked_nodes} exclusive node(s), only {eligible} eligible"
        elif gpus:
            note = (
                f"need {ntasks} slot(s) with {gpus} GPU(s) each, only 0 available (total GPUs: 0)"
            )
        elif ntasks * per_task > total:
            note = (
                f"need {ntasks} slot(s) of {per_task} core(s), only "
                f"{total // per_task} such slot(s) available (total cores: {total})"
            )
        else:
            return
        job.never_started_note = f"unsatisfiable request: {note}"

    def job_obstacle(self, job: Job) -> object | None:
        """Dependencies, stopped queues, and what can never be given."""
        assert isinstance(job, FluxJob)
        if not self._dependencies_met(job):
            return Wait.DEPENDENCY
        if job.queue in self.stopped:
            return Wait.QUEUE
        if job.never_started_note:
            self._fail(job, Trouble("alloc", job.never_started_note, at=self.engine.now()))
            return Wait.IMPOSSIBLE
        return None

    def _dependencies_met(self, job: FluxJob) -> bool:
        for dependency in job.dependencies:
            other = self.jobs.get(dependency.number)
            if dependency.met or other is None:
                continue
            over = other.task.phase is Phase.OVER
            if dependency.kind == "start":
                dependency.met = bool(other.task.runs)
                hopeless = over and not other.task.runs
            else:
                good = jobs.result_of(other) == "COMPLETED"
                wanted = {"success": good, "failure": not good}.get(dependency.kind, True)
                dependency.met = over and wanted
                hopeless = over and not wanted
            if hopeless:
                ran = bool(other.task.runs) or other.task.why is Why.CANCELLED
                why = "can never be satisfied" if ran else "job never started"
                note = f"dependency {dependency.text} {why}"
                self._fail(job, Trouble("dependency", note, at=self.engine.now()))
                return False
        return all(one.met for one in job.dependencies)

    def _fail(self, job: FluxJob, trouble: Trouble) -> None:
        """End a job that never ran."""
        job.trouble = trouble
        job.cleanup = self.engine.now()
        self.engine.settle(job.task, Why.DEPENDENCY)

    # Running

    def launch(self, task: Task, run: TaskRun) -> Launch:
        """The command, or a shell that starts several tasks, in the submitter's environment."""
        job = cast("FluxJob", task.job)
        job.begin_text = ""
        environment = {**job.environment, **self._flux_variables(job)}
        directory = job.directory if job.directory.is_dir() else Path("/tmp")
        self._check_command(job.command[0], environment, directory)
        stdout, stderr = self._output_paths(job)
        command = job.command
        if job.ntasks > 1 and not job.is_batch:
            before, each, after = (job.output or "").partition("{{taskid}}")
            ends = [str(job.directory / self._filled_in(before, job)), self._filled_in(after, job)]
            command = (
                *("/bin/sh", "-c", _SEVERAL, "sh", str(job.ntasks)),
                *(ends if each else ("", "")),
                *command,
            )
        return Launch(
            argv=command,
            environment=environment,
            directory=directory,
            stdin=self._input,
            stdout=stdout,
            stderr=stderr,
            append=job.append,
            umask=job.umask,
        )

    def _check_command(self, name: str, environment: Mapping[str, str], directory: Path) -> None:
        """Raise as the start of the command would."""
        if "/" in name:
            path = directory / name
            if not path.exists():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
            if not os.access(path, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        elif shutil.which(name, path=environment.get("PATH", os.defpath)) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)

    def _flux_variables(self, job: FluxJob) -> dict[str, str]:
        shown = ids.to_f58(job.number)
        scratch = self.place / "tmp" / f"jobtmp-0-{shown}"
        scratch.mkdir(parents=True, exist_ok=True)
        if job.is_batch:
            # A batch script runs beside a broker of its own: it is not itself a task.
            return {
                **self.variables(),
                "FLUX_ENCLOSING_ID": shown,
                "FLUX_TERMINUS_SESSION": "0",
            }
        return {
            **self.variables(),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": "-1",
            "FLUX_JOB_ID": shown,
            "FLUX_JOB_ID_PATH": f"/{shown}",
            "FLUX_JOB_NNODES": "1",
            "FLUX_JOB_SIZE": str(job.ntasks),
            "FLUX_JOB_TMPDIR": str(scratch),
            "FLUX_KVS_NAMESPACE": f"job-{job.number}",
            "FLUX_PMI_LIBRARY_PATH": "/usr/lib/flux/libpmi.so",
            "FLUX_TASK_LOCAL_ID": "0",
            "FLUX_TASK_RANK": "0",
            "FLUX_TERMINUS_SESSION": "0",
            "LD_LIBRARY_PATH": "/usr/lib/flux",
            "PMI_FD": "19",
            "PMI_RANK": "0",
            "PMI_SIZE": str(job.ntasks),
        }

    def _output_paths(self, job: FluxJob) -> tuple[Path, Path | None]:
        kept = self.place / "spool" / "output"
        kept.mkdir(parents=True, exist_ok=True)
        found = []
        for pattern, end in ((job.output, "out"), (job.error, "err")):
            if pattern == "":
                found.append(kept / "no file has an empty name" / end)
            elif pattern is None:
                found.append(kept / f"{job.number}.{end}")
            else:
                found.append(job.directory / self._filled_in(pattern, job))
        return found[0], None if job.error is None and job.output is not None else found[1]

    def _filled_in(self, pattern: str, job: FluxJob) -> str:
        shown = ids.to_f58(job.number)
        values = {
            "id": shown,
            "id.f58": shown,
            "id.f58plain": ids.to_f58(job.number, ascii_only=True),
            "id.dec": str(job.number),
            "jobid": shown,
            "name": job.name,
            "node.id": "0",
            "size": str(job.ntasks),
            "taskid": "0",
        }
        for name, value in values.items():
            pattern = pattern.replace(f"{{{{{name}}}}}", value)
        return pattern

    def launch_failed(self, task: Task, run: TaskRun, error: OSError) -> None:
        """The command cannot be started, or its output not be opened."""
        job = cast("FluxJob", task.job)
        now = self.engine.now()
        if run.launch is None or error.filename == run.launch.argv[0]:
            missing = error.errno == errno.ENOENT
            run.status = (127 if missing else 126) << 8
            host = run.nodes[0].name
            note = f"task 0 (host {host}): start failed: {error.filename}: {error.strerror}"
        else:
            run.status = 1 << 8
            note = f"{_SHELL_FAILED}{error.strerror}"
        run.ended = now
        job.trouble = Trouble("exec", note, at=now)
        job.cleanup = now
        self.engine.settle(task, Why.EXITED)

    def first_signal(self, task: Task, run: TaskRun) -> None:
        """SIGALRM for the time limit, SIGTERM for a cancellation."""
        job = cast("FluxJob", task.job)
        job.cleanup = self.engine.now()
        if run.why is Why.WALLTIME:
            job.trouble = Trouble("timeout", "resource allocation expired", at=self.engine.now())
            processes.signal_group(run.pid, signal.SIGALRM)
        else:
            processes.signal_group(run.pid, signal.SIGTERM)
            processes.signal_group(run.pid, signal.SIGCONT)

    def run_ended(self, task: Task, run: TaskRun) -> None:
        """Over: Flux never runs a job again."""
        job = cast("FluxJob", task.job)
        job.cleanup = job.cleanup or self.engine.now()
        shutil.rmtree(self.place / "tmp" / f"jobtmp-0-{ids.to_f58(job.number)}", ignore_errors=True)
        why = run.why
        if why in (Why.NODE, Why.PREEMPTED, Why.REQUEUED, Why.MEMORY):
            if why is not Why.MEMORY:
                note = f"node failure on {run.nodes[0].name} (rank 0)"
                job.trouble = Trouble("exec", note, at=self.engine.now())
                run.status = 1 << 8
            why = Why.EXITED
            run.status = run.status or 1 << 8
        self.engine.settle(task, why)

    def cancel(self, job: FluxJob, note: str, *, kind: str = "cancel") -> None:
        """Raise a fatal exception."""
        job.trouble = Trouble(kind, note, at=self.engine.now())
        if job.task.phase is Phase.PENDING:
            job.cleanup = self.engine.now()
        self.engine.cancel(job.task)

    # What a job printed

    def kept_output(self, job: FluxJob) -> str:
        """Standard output that was kept in the instance."""
        if job.output or job.task.run is None or job.task.run.launch is None:
            return ""
        return job.task.run.launch.stdout.read_text(errors="surrogateescape")

    def attached(self, job: FluxJob) -> Reply:
        """What `flux job attach` prints of a job that is over."""
        errors = ""
        run = job.task.run
        code = abs(return_code(job) or 0)
        shown = ids.to_f58(job.number)
        if job.trouble is not None and job.trouble.severity == 0:
            errors += (
                f"{job.trouble.at - job.submitted:.3f}s: job.exception {shown} "
                f"type={job.trouble.type} severity=0 {job.trouble.note}\n"
            )
        if run is not None and code:
            how = signal.strsignal(code - 128) if code > 128 else None
            errors += f"flux-job: task(s) {how or f'exited with exit code {code}'}\n"
        if run is not None:
            errors = self._kept_errors(job) + errors + self._redirections(job)
        return Reply(self.kept_output(job), errors, min(code, 255))

    def _kept_errors(self, job: FluxJob) -> str:
        stderr = self._output_paths(job)[1]
        if job.output or stderr is None or not stderr.exists():
            return ""
        return stderr.read_text(errors="surrogateescape")

    def _redirections(self, job: FluxJob) -> str:
        """What the job's shell said of its output."""
        stdout = self._output_paths(job)[0]
        if job.output and job.trouble is not None and job.trouble.note.startswith(_SHELL_FAILED):
            seconds = f"{job.trouble.at - job.submitted:.3f}s: flux-shell[0]:"
            reason = job.trouble.note.removeprefix(_SHELL_FAILED)
            return (
                f"{seconds} ERROR: output.task: open: {stdout}: {reason}\n"
                f"{seconds} ERROR: plugin 'output': shell.init failed\n"
                f"{seconds} FATAL: {job.trouble.note}\n"
            )
        if job.output:
            return "".join(f"0: {name} redirected to {stdout}\n" for name in ("stdout", "stderr"))
        return ""

    # Forgetting and faults

    def _forget_the_old(self) -> None:
        if self.settings.inactive_age is None:
            return
        limit = self.engine.now() - self.settings.inactive_age
        for job in self.known_jobs():
            if job.task.ended is not None and job.task.ended < limit:
                self.engine.forget(job.task)

    @property
    def is_down(self) -> bool:
        """Whether the instance is stopped."""
        return self._is_down

    def go_down(self) -> None:
        """Stop the instance: what runs is cancelled, what is over is remembered."""
        self._is_down = True
        self.engine.paused = True
        for task, _ in self.engine.running():
            self.cancel(cast("FluxJob", task.job), "")

    def come_up(self) -> None:
        """Start it again."""
        self._is_down = False
        self.engine.paused = False
        self.engine.want_schedule()

    def answer_when_down(self, call: Call) -> Answer | None:
        """There is no broker."""
        verb = call.arguments[0] if call.arguments else ""
        path = self.variables()["FLUX_URI"].removeprefix("local://")
        return self._no_broker(verb, path).reply

    def lost_answer(self, call: Call) -> Reply:
        """The connection broke."""
        verb = call.arguments[0] if call.arguments else ""
        return Reply(stderr=f"flux-{verb}: ERROR: [Errno 104] Connection reset by peer\n", code=1)
