"""Torque over the engine: what differs from OpenPBS, which it once was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, cast

from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.face import Answer, Call, Command, Reply
from reflow.testing.fakes.model import Job, Launch, Phase, Run, Task, Wait, Why
from reflow.testing.fakes.pbs.face import PbsFace
from reflow.testing.fakes.pbs.jobs import SERVER, PbsJob
from reflow.testing.fakes.torque import depend
from reflow.testing.fakes.torque.changes import (
    Qalter,
    Qdel,
    Qhold,
    Qrerun,
    Qrls,
    Qsig,
    TorqueManner,
)
from reflow.testing.fakes.torque.depend import BEFORE, PLAIN, Dependency
from reflow.testing.fakes.torque.jobs import (
    PROTOCOL,
    VERSION,
    TorqueJob,
    TorqueSettings,
    exit_status_of,
    name_of,
    parse_reference,
)
from reflow.testing.fakes.torque.qselect import Qselect
from reflow.testing.fakes.torque.qstat import Qstat
from reflow.testing.fakes.torque.qsub import Qsub
from reflow.testing.fakes.torque.site import Pbsnodes, Qmgr


class TorqueFace(PbsFace):
    """Torque 6.1 with one node of eight cpus and its own scheduler."""

    settings_class: ClassVar[type[TorqueSettings]] = TorqueSettings
    settings: TorqueSettings

    def __init__(self, engine: Engine, place: Path, settings: TorqueSettings) -> None:
        super().__init__(engine, place, settings)
        self.submit_again = False
        """Whether the next qsub is to hear nothing for so long that it submits a second time."""

    def make_commands(self) -> dict[str, Command]:
        """Every command by its name."""
        manner = TorqueManner(self)
        return {
            "qsub": Qsub(self),
            "qstat": Qstat(self),
            "qselect": Qselect(self),
            "qdel": Qdel(self, manner),
            "qhold": Qhold(self, manner),
            "qrls": Qrls(self, manner),
            "qrerun": Qrerun(self, manner),
            "qsig": Qsig(self, manner),
            "qalter": Qalter(self, manner),
            "pbsnodes": Pbsnodes(self),
            "qmgr": Qmgr(self),
        }

    def variables(self) -> dict[str, str]:
        """Where the server is."""
        return {"PBS_DEFAULT": SERVER}

    # Looking jobs up

    @property
    def torque_jobs(self) -> dict[int, TorqueJob]:
        """Every job there ever was, by its number."""
        return cast("dict[int, TorqueJob]", self.engine.jobs)

    def known_torque_jobs(self) -> Iterator[TorqueJob]:
        """Jobs that the server remembers."""
        return (job for job in list(self.torque_jobs.values()) if job.is_known)

    def known_torque_job(self, number: int) -> TorqueJob | None:
        """The job of that number, if the server remembers it."""
        job = self.torque_jobs.get(number)
        return job if job is not None and job.is_known else None

    def tasks_of(self, reference: str) -> list[Task]:
        """The tasks that an id means."""
        found = parse_reference(reference)
        job = self.torque_jobs.get(found.number) if found is not None else None
        if found is None or job is None:
            return []
        return [task for task in job.present if found.index in (None, task.index)]

    # Dependencies

    def take(self, job: PbsJob) -> None:
        """Take a new job and register it with those that it waits for."""
        assert isinstance(job, TorqueJob)
        self.engine.submit(job)
        for dependency in list(job.waits_for):
            if dependency.kind != "on" and not self._registered(job, dependency):
                # An unknown job: it is held, and whoever owns it gets a mail.
                job.waits_for.remove(dependency)
                job.holds.add("u")
                job.reason = Wait.HELD
        job.reason = self.job_obstacle(job) or job.reason

    def _registered(self, job: TorqueJob, dependency: Dependency) -> bool:
        other = self.known_torque_job(dependency.number)
        if other is None or dependency.is_array != (dependency.kind in depend.ARRAY):
            return False
        if dependency.is_array:
            if other.is_array:
                dependency.met = self._count_reached(dependency, other)
            return other.is_array
        if dependency.index not in other.tasks:
            return False
        task = other.tasks[dependency.index]
        if dependency.kind in BEFORE:
            return self._registers_before(job, dependency, other)
        if task.phase is Phase.OVER:
            well = exit_status_of(task) in (0, None)
            dependency.met = depend.wanted_end(dependency.kind, ended_well=well)
        elif dependency.kind == "after":
            dependency.met = bool(task.runs)
        return True

    def _registers_before(self, job: TorqueJob, dependency: Dependency, other: TorqueJob) -> bool:
        """Make the other one wait for this, as its `on` has announced."""
        for waiting in other.waits_for:
            if waiting.kind == "on" and waiting.number > 0:
                waiting.number -= 1
                kind = dependency.kind.replace("before", "after")
                other.waits_for.append(Dependency(kind, job.number))
                return True
        return False

    def _count_reached(self, dependency: Dependency, job: TorqueJob) -> bool:
        """Whether enough elements of an array have come that far."""
        over = [task for task in job.tasks.values() if task.phase is Phase.OVER]
        ended = [task for task in over if task.runs]
        good = sum(exit_status_of(task) == 0 for task in ended)
        reached = {
            "afterstartarray": sum(bool(task.runs) for task in job.tasks.values()),
            "afterokarray": good,
            # Elements deleted before they ran have failed, but are not done.
            "afternotokarray": len(over) - good,
            "afteranyarray": len(ended),
        }[dependency.kind]
        return reached >= (len(job.tasks) if dependency.count is None else dependency.count)

    def _waiting_for(self, task: Task) -> Iterator[tuple[TorqueJob, Dependency]]:
        for other in self.known_torque_jobs():
            for dependency in other.waits_for:
                awaited = not dependency.met and not other.is_over and dependency.kind != "on"
                same = dependency.is_array or dependency.index == task.index
                if awaited and same and dependency.number == task.job.number:
                    yield other, dependency

    def _tell_started(self, task: Task) -> None:
        for _, dependency in self._waiting_for(task):
            if dependency.kind == "after":
                dependency.met = True
            elif dependency.is_array:
                dependency.met = self._count_reached(dependency, cast("TorqueJob", task.job))

    def _tell_ended(self, task: Task) -> None:
        well = exit_status_of(task) == 0
        for other, dependency in list(self._waiting_for(task)):
            if dependency.is_array:
                dependency.met = self._count_reached(dependency, cast("TorqueJob", task.job))
            elif dependency.kind in PLAIN and task.runs:
                if depend.wanted_end(dependency.kind, ended_well=well):
                    dependency.met = True
                else:
                    self._abort(other)
        self.engine.want_schedule()

    def _abort(self, job: TorqueJob) -> None:
        """Delete a job whose dependency has failed: a mail is all that is left of it."""
        job.doomed = True
        for task in list(job.waiting.values()):
            self.engine.settle(task, Why.DEPENDENCY)
            self.engine.forget(task)
        for other in list(self.known_torque_jobs()):
            for dependency in other.waits_for:
                if dependency.number == job.number and dependency.kind == "afterok":
                    self._abort(other)
                    break

    # When jobs start

    def job_obstacle(self, job: Job) -> object | None:
        """Dependencies, stopped queues, and what no node could ever give."""
        assert isinstance(job, TorqueJob)
        if not depend.is_free(job):
            return Wait.DEPENDENCY
        if not self.settings.queues[job.queue].get("started", True):
            return "Not Running: Queue not started."
        if job.request.share.memory > max(node.memory for node in self.engine.nodes):
            return "Not Running: Not enough free memory available on any node."
        return None

    # Running

    def launch(self, task: Task, run: Run) -> Launch:
        """As OpenPBS, but for `-d`, which names where to begin."""
        launch = super().launch(task, run)
        wanted = cast("TorqueJob", task.job).variables.get("PBS_O_INITDIR")
        return launch if wanted is None else replace(launch, directory=Path(wanted))

    def _pbs_variables(self, job: PbsJob, task: Task, run: Run) -> dict[str, str]:
        self._tell_started(task)
        name = self.native_id(task)
        nodefile = self.place / "spool" / f"{name}.nodes"
        nodefile.write_text("".join(f"{node.name}\n" * job.cpus for node in run.nodes))
        values = {
            "ENVIRONMENT": "BATCH",
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_GPUFILE": f"{nodefile}gpu",
            "PBS_JOBCOOKIE": f"{job.number:032X}",
            "PBS_JOBID": name,
            "PBS_JOBNAME": name_of(task),
            "PBS_MOMPORT": "15003",
            "PBS_NODEFILE": str(nodefile),
            "PBS_NODENUM": "0",
            "PBS_NP": str(job.cpus * len(run.nodes)),
            "PBS_NUM_NODES": str(len(run.nodes)),
            "PBS_NUM_PPN": str(job.cpus),
            "PBS_O_HOST": SERVER,
            "PBS_O_QUEUE": job.queue,
            "PBS_QUEUE": job.queue,
            "PBS_TASKNUM": "1",
            "PBS_VERSION": f"TORQUE-{VERSION}",
            "PBS_VNODENUM": "0",
        }
        if task.index is not None:
            values["PBS_ARRAYID"] = str(task.index)
        if job.request.walltime is not None:
            values["PBS_WALLTIME"] = f"{job.request.walltime:.0f}"
        return values

    def final_paths(self, job: PbsJob, task: Task) -> tuple[Path, Path]:
        """Where standard output and error belong."""
        found = []
        for letter, given in (("o", job.output), ("e", job.error)):
            local = given.rpartition(":")[2]
            index = "" if task.index is None else f"-{task.index}"
            path = job.submit_directory / (local or f"{job.name}.{letter}{job.number}{index}")
            if local and task.index is not None and not path.is_dir():
                path = path.with_name(f"{path.name}{index}")
            if path.is_dir():
                path = path / f"{job.name}.{letter}{job.number}{index}"
            found.append(path)
        return found[0], found[1]

    def task_over(self, task: Task) -> None:
        """Tell those that wait."""
        job = cast("TorqueJob", task.job)
        job.changed = self.engine.now()
        if not job.doomed:
            self._tell_ended(task)

    def _forget_the_old(self) -> None:
        limit = self.engine.now() - self.settings.keep_completed
        for job in list(self.torque_jobs.values()):
            for task in job.present:
                if task.known and task.ended is not None and task.ended <= limit:
                    self.engine.forget(task)

    def delete(self, job: PbsJob, user: str, *, force: bool) -> None:
        """Delete a job or a whole array."""
        for task in list(job.tasks.values()):
            self.delete_element(job, task, force=force)

    def delete_element(self, job: PbsJob, task: Task, *, force: bool) -> None:
        """Delete one element, or a plain job's only task."""
        if task.phase in (Phase.PENDING, Phase.RUNNING):
            self._end(task, force=force)

    def submit_twice(self) -> None:
        """Let the next qsub wait in vain for its answer and then submit once more, as it does."""
        self.submit_again = True

    # Faults

    def answer_when_down(self, call: Call) -> Answer | None:
        """The server does not run: every command fails at once."""
        if "--version" in call.arguments:
            return Reply(stderr=f"Version: {VERSION}\nCommit: \n")
        said = (
            f"Unable to communicate with {SERVER}(127.0.0.1)\n"
            f"Cannot connect to specified server host '{SERVER}'.\n"
            f"{call.name}: cannot connect to server {SERVER} (errno=111) Connection refused\n"
        )
        return Reply(stderr=said, code=111)

    def lost_answer(self, call: Call) -> Reply:
        """The connection broke before the answer came."""
        if call.name == "qsub":
            return Reply(stderr="qsub: submit error (Batch protocol error)\n", code=PROTOCOL & 255)
        text = f"{call.name}: Error ({PROTOCOL} - Batch protocol error) \n"
        return Reply(stderr=text, code=PROTOCOL & 255)
