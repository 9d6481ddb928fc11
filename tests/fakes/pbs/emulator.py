"""OpenPBS over the engine: when jobs start, what they tell those that wait, where output goes."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, cast

from reflow.testing.fakes.emulator import Answer, Call, Command, Emulator, Reply
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.model import Job, Launch, Phase, Run, Task, Wait, Why

from tests.fakes.pbs import depend, writers
from tests.fakes.pbs.change import Dialect
from tests.fakes.pbs.changes import (
    Qalter,
    Qdel,
    Qhold,
    Qrerun,
    Qrls,
    Qsig,
)
from tests.fakes.pbs.depend import AFTER, BEFORE, Dependency, Event
from tests.fakes.pbs.jobs import (
    NO_CONNECTION,
    SERVER,
    VERSION,
    PbsJob,
    PbsSettings,
    exit_status_of,
    parse_reference,
    run_status,
)
from tests.fakes.pbs.qstat import Qselect, Qstat
from tests.fakes.pbs.qsub import Qsub
from tests.fakes.pbs.site import Pbsnodes, Qmgr

_LIMIT_REACHED = "Not Running: Number of concurrent running subjobs limit reached"


class PbsEmulator(Emulator):
    """OpenPBS 23.06 with one node of eight cpus, and job history unless it is switched off."""

    settings_class: ClassVar[type[PbsSettings]] = PbsSettings
    settings: PbsSettings

    def __init__(self, engine: Engine, place: Path, settings: PbsSettings) -> None:
        super().__init__(engine, place, settings)
        self._commands: dict[str, Command] = self.make_commands()
        engine.every(1.0, self._forget_the_old)

    def make_commands(self) -> dict[str, Command]:
        """Every command by its name."""
        dialect = Dialect(self)
        return {
            "qsub": Qsub(self),
            "qstat": Qstat(self),
            "qselect": Qselect(self),
            "qdel": Qdel(self, dialect),
            "qhold": Qhold(self, dialect),
            "qrls": Qrls(self, dialect),
            "qrerun": Qrerun(self, dialect),
            "qsig": Qsig(self, dialect),
            "qalter": Qalter(self, dialect),
            "pbsnodes": Pbsnodes(self),
            "qmgr": Qmgr(self),
        }

    @property
    def commands(self) -> Mapping[str, Command]:
        """Every command by its name."""
        return self._commands

    def variables(self) -> dict[str, str]:
        """Where the configuration lies."""
        return {"PBS_CONF_FILE": str(self.place / "pbs.conf")}

    def home(self) -> str:
        """The user's home."""
        return self.login_environment()["HOME"]

    # Looking jobs up

    @property
    def _jobs(self) -> dict[int, PbsJob]:
        return cast("dict[int, PbsJob]", self.engine.jobs)

    def known_jobs(self) -> Iterator[PbsJob]:
        """Jobs that the server remembers."""
        return (job for job in list(self._jobs.values()) if job.is_known)

    def known_job(self, number: int) -> PbsJob | None:
        """The job of that number, if the server remembers it."""
        job = self._jobs.get(number)
        return job if job is not None and job.is_known else None

    def job_id(self, job: PbsJob) -> str:
        """`24.node01`, `24[].node01`."""
        return f"{job.number}{'[]' if job.is_array else ''}.{SERVER}"

    def native_id(self, task: Task) -> str:
        """`24.node01`, `24[3].node01`."""
        brackets = "" if task.index is None else f"[{task.index}]"
        return f"{task.job.number}{brackets}.{SERVER}"

    def tasks_of(self, reference: str) -> list[Task]:
        """The tasks that an id means."""
        found = parse_reference(reference)
        job = self._jobs.get(found.number) if found is not None else None
        if found is None or job is None:
            return []
        wanted = found.indices
        return [task for task in job.present if not wanted or task.index in wanted]

    def unfinished(self, user: str, queue: str = "") -> list[Task]:
        """A user's tasks that take a place, in one queue or in all."""
        return [
            task
            for job in self._jobs.values()
            if job.user == user and queue in ("", job.queue)
            for task in job.tasks.values()
            if task.phase is not Phase.OVER
        ]

    # Dependencies

    def take(self, job: PbsJob) -> None:
        """Take a new job, and settle at once what of its dependencies is certain."""
        self.engine.submit(job)
        for dependency in job.dependencies:
            if dependency.kind in AFTER and not self._register(job, dependency):
                self._give_up(job)
                return
            if dependency.kind in BEFORE and not self._can_be_let_go(job, dependency):
                self._give_up(job)
                return
        job.reason = self.job_obstacle(job) or job.reason

    def _register(self, job: PbsJob, dependency: Dependency) -> bool:
        """Look at the other job as it is now; False where the condition can never be met."""
        other = self.known_job(dependency.number)
        if other is None or other.is_array != dependency.is_array:
            return False
        if other.finished:
            if other.doomed:
                return False
            met = depend.satisfies(dependency.kind, self._end_event(other))
            dependency.met = bool(met)
            return bool(met)
        if dependency.kind == "after" and self._has_started(other):
            dependency.met = True
        return True

    def _can_be_let_go(self, job: PbsJob, dependency: Dependency) -> bool:
        """Whether the job that `before...` names still waits for a job more, of the same user."""
        other = self.known_job(dependency.number)
        if other is None or other.finished or other.uid != job.uid:
            return False
        awaited = sum(one.number for one in other.dependencies if one.kind == "on")
        named = [
            one
            for known in self.known_jobs()
            for one in known.dependencies
            if one.kind in BEFORE and one.number == other.number
        ]
        return len(named) <= awaited

    def _has_started(self, job: PbsJob) -> bool:
        return any(task.runs for task in job.tasks.values())

    def _end_event(self, job: PbsJob) -> Event:
        status = job.exit_status if job.is_array else exit_status_of(job.tasks[None])
        return Event.ENDED_WELL if status == 0 else Event.ENDED_BADLY

    def _tell(self, job: PbsJob, event: Event) -> None:
        """Tell those that wait for a job what has become of it."""
        for other, dependency in list(depend.waiting_for(job, self._jobs)):
            if other.finished or dependency.met:
                continue
            met = depend.satisfies(dependency.kind, event)
            if met is None:
                continue
            if not met:
                self._give_up(other)
                continue
            dependency.met = True
            if dependency.kind in BEFORE:
                other.released += 1
            other.changed = self.engine.now()
        self.engine.want_schedule()

    def _give_up(self, job: PbsJob) -> None:
        job.doomed = True
        for task in list(job.waiting.values()):
            self.engine.settle(task, Why.DEPENDENCY)
        self._tell(job, Event.GIVEN_UP)

    # When jobs start

    def job_obstacle(self, job: Job) -> object | None:
        """Dependencies, stopped queues, and what no node could ever give."""
        assert isinstance(job, PbsJob)
        if not depend.is_free(job):
            return Wait.DEPENDENCY
        if not self.settings.queues[job.queue].get("started", True):
            return "Not Running: Queue not started."
        if job.throttle == 0:
            return _LIMIT_REACHED
        return self._never(job)

    def _never(self, job: PbsJob) -> str | None:
        share = job.request.share
        for name, asked, attribute in (
            ("mem", share.memory, "memory"),
            ("ncpus", share.cpus, "cpus"),
        ):
            most = max(getattr(node, attribute) for node in self.engine.nodes)
            if asked > most:
                shown = f"{most // 2**20}mb" if name == "mem" else str(most)
                wanted = job.resources.get(name, str(asked))
                return (
                    f"Can Never Run: Insufficient amount of resource: {name} "
                    f"(R: {wanted} A: {shown} T: {shown})"
                )
        return None

    # Running

    def launch(self, task: Task, run: Run) -> Launch:
        """A login shell that runs the script, in the user's home."""
        job = cast("PbsJob", task.job)
        job.changed = self.engine.now()
        if job.began is None and job.is_array:
            job.began = run.started
        self._tell(job, Event.STARTED)
        spool = self.place / "spool" / "output"
        spool.mkdir(parents=True, exist_ok=True)
        output, error = (spool / f"{self.native_id(task)}.{end}" for end in ("OU", "ER"))
        if "d" in job.keep:
            output, error = self.final_paths(job, task)
        command = (
            (job.command or ("true",)) if job.script is None else (str(job.script), *job.command)
        )
        shell = job.shell or "/bin/bash"
        words = ('"$@"; exit $?', "bash", *command)
        if job.script is not None and job.shell:
            words = ('"$@"; exit $?', "bash", shell, *command)
        return Launch(
            argv=("/bin/bash", "-c", *words),
            environment={**job.environment, **self._pbs_variables(job, task, run)},
            directory=Path(self.home()),
            stdout=output,
            stderr=None if job.join == "oe" else error,
            umask=job.umask,
        )

    def _pbs_variables(self, job: PbsJob, task: Task, run: Run) -> dict[str, str]:
        name = self.native_id(task)
        scratch = self.place / "tmp" / f"pbs.{name}"
        scratch.mkdir(parents=True, exist_ok=True)
        nodefile = self.place / "spool" / f"{name}.nodes"
        nodefile.write_text("".join(f"{node.name}\n" for node in run.nodes))
        values = {
            "ENVIRONMENT": "BATCH",
            "NCPUS": str(job.cpus),
            "OMP_NUM_THREADS": str(job.cpus),
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBCOOKIE": secrets.token_hex(16).upper(),
            "PBS_JOBDIR": self.home(),
            "PBS_JOBID": name,
            "PBS_JOBNAME": job.name,
            "PBS_MOMPORT": "15003",
            "PBS_NODEFILE": str(nodefile),
            "PBS_NODENUM": "0",
            "PBS_O_HOST": SERVER,
            "PBS_O_QUEUE": job.queue,
            "PBS_QUEUE": job.queue,
            "PBS_TASKNUM": "1",
            "TMPDIR": str(scratch),
        }
        if task.index is not None:
            values["PBS_ARRAY_ID"] = self.job_id(job)
            values["PBS_ARRAY_INDEX"] = str(task.index)
        return values

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """The job could not be started: it is put back and tried again."""
        run.status = 1 << 8
        self.engine.settle(task, Why.EXITED)

    def run_ended(self, task: Task, run: Run) -> None:
        """Its output is copied, then it is over; some are run again."""
        job = cast("PbsJob", task.job)
        again = run.why is Why.REQUEUED or (run.why in (Why.NODE, Why.PREEMPTED) and job.requeues)
        shutil.rmtree(self.place / "tmp" / f"pbs.{self.native_id(task)}", ignore_errors=True)
        job.changed = self.engine.now()
        if again:
            self.engine.requeue(task, self.settings.requeue_delay)
        elif self._deliver(job, task, run):
            self.engine.settle(task, run.why)
        else:
            task.phase, task.error = Phase.ENDING, "E"
            job.exiting += 1
            self.engine.after(self.settings.undelivered_seconds, lambda: self._exited(task, run))

    def _exited(self, task: Task, run: Run) -> None:
        """Nobody tries any longer to copy its output."""
        cast("PbsJob", task.job).exiting -= 1
        self.engine.settle(task, run.why)

    def _deliver(self, job: PbsJob, task: Task, run: Run) -> bool:
        """Copy what it printed to where it belongs; False where that cannot be."""
        if run.launch is None or "d" in job.keep:
            return True
        asked = (job.output,) if job.join == "oe" else (job.output, job.error)
        if not self.settings.copies and any(not text.startswith("localhost:") for text in asked):
            return False
        sources = [run.launch.stdout, run.launch.stderr]
        try:
            for source, final in zip(sources, self.final_paths(job, task), strict=True):
                if source is not None:
                    shutil.copyfile(source, final)
                    if final.is_file():
                        final.chmod(0o666 & ~job.umask)
                    source.unlink()
        except OSError:
            return False
        return True

    def final_paths(self, job: PbsJob, task: Task) -> tuple[Path, Path]:
        """Where standard output and error belong."""
        found = []
        for letter, given, end in (("o", job.output, "OU"), ("e", job.error, "ER")):
            name = f"{job.name}.{letter}{job.number}"
            name += f".{task.index}" if task.index is not None else ""
            index = "" if task.index is None else str(task.index)
            local = given.rpartition(":")[2].replace("^array_index^", index)
            path = job.submit_directory / (local or name)
            found.append(path / f"{self.native_id(task)}.{end}" if path.is_dir() else path)
        return found[0], found[1]

    def shown_paths(self, job: PbsJob) -> tuple[str, str]:
        """`Output_Path` and `Error_Path`."""
        shown = []
        for letter, given in (("o", job.output), ("e", job.error)):
            default = f"{job.name}.{letter}{job.number}" + (".^array_index^" * job.is_array)
            local = given.rpartition(":")[2] or default
            slash = "/" if local.endswith("/") else ""
            shown.append(f"{SERVER}:{job.submit_directory / local}{slash}")
        return shown[0], shown[1]

    def task_over(self, task: Task) -> None:
        """Tell those that wait, once the whole job is over."""
        job = cast("PbsJob", task.job)
        job.changed = self.engine.now()
        if job.doomed:
            return
        run = task.run
        if job.is_array and task.index not in job.lost and run is not None:
            good = run_status(run) == 0
            job.exit_status = 0 if good else 1
            job.any_failed = job.any_failed or not good
        elif job.is_array and job.began is not None:
            job.exit_status = 1
        if job.finished and not job.deleting:
            self._whole_job_over(job)

    def _whole_job_over(self, job: PbsJob) -> None:
        if not self.settings.job_history:
            for task in job.tasks.values():
                task.known = False
        never_ran = not self._has_started(job)
        if never_ran and not job.is_array:
            # Deleted before it ran: nobody is told.
            return
        self._tell(job, self._end_event(job))

    def _forget_the_old(self) -> None:
        limit = self.engine.now() - self.settings.job_history_duration
        for job in self.known_jobs():
            if job.finished and max(task.ended or 0.0 for task in job.tasks.values()) < limit:
                self.purge(job)

    # Deleting

    def delete(self, job: PbsJob, user: str, *, force: bool) -> None:
        """Delete a job or a whole array."""
        job.deleted_by = user
        job.deleting = True
        for task in list(job.tasks.values()):
            self._end(task, force=force)
        job.deleting = False
        if job.finished:
            self._whole_job_over(job)

    def delete_element(self, job: PbsJob, task: Task, *, force: bool) -> None:
        """Delete one element; nothing is kept of how it ended."""
        if task.phase is Phase.OVER:
            return
        job.lost.add(task.index)
        self._end(task, force=force)

    def _end(self, task: Task, *, force: bool) -> None:
        if task.phase is Phase.PENDING:
            self.engine.cancel(task)
        elif task.phase is Phase.RUNNING and task.run is not None:
            if force:
                task.run.by = "force"
                self.engine.end_at_once(task, Why.CANCELLED)
            else:
                self.engine.cancel(task)

    def purge(self, job: PbsJob) -> None:
        """Let a finished job be forgotten."""
        for task in job.tasks.values():
            self.engine.forget(task)

    # Faults

    def answer_when_down(self, call: Call) -> Answer | None:
        """The server does not run: every command fails at once."""
        if "--version" in call.arguments:
            return Reply(f"pbs_version = {VERSION}\n")
        if call.name == "qstat":
            stdout = ""
            if "json" in call.arguments:
                stdout = writers.master_json({}, self.engine.now())
            text = f"qstat: cannot connect to server {SERVER} (errno=15010)\n"
            return Reply(stdout, f"Connection refused\n{text}", 255)
        text = f"{call.name}: cannot connect to server {SERVER} (errno=15010)\n"
        if call.name == "qdel":
            text = f"Couldn't connect to cluster: {SERVER}\n"
        return Reply(stderr=f"Connection refused\n{text}", code=NO_CONNECTION)

    def lost_answer(self, call: Call) -> Reply:
        """The connection broke before the answer came."""
        return Reply(stderr=f"{call.name}: End of File\n", code=NO_CONNECTION)
