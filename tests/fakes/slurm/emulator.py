"""Slurm over the engine: the table of commands, and when jobs start, end and are forgotten."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, cast

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Command, Emulator, Later, Reply
from reflow.testing.fakes.engine import Engine
from reflow.testing.fakes.model import Job, Launch, Node, Phase, Run, Task, Wait, Why

from tests.fakes.slurm import dependencies, jobs
from tests.fakes.slurm.admin import Sacctmgr, Sinfo
from tests.fakes.slurm.jobs import SlurmJob, SlurmSettings
from tests.fakes.slurm.sacct import Sacct
from tests.fakes.slurm.sbatch import MB, Sbatch
from tests.fakes.slurm.scancel import Scancel
from tests.fakes.slurm.scontrol import Scontrol, output_name
from tests.fakes.slurm.squeue import Squeue
from tests.fakes.slurm.times import write_moment

_DOWN = "Unable to contact slurm controller (connect failure)"
_NO_INTERPRETER = 2 << 8
"""The wait status of a script whose interpreter cannot be run."""


class SlurmEmulator(Emulator):
    """Slurm 22.05 with two nodes, and accounting unless it is switched off."""

    settings_class: ClassVar[type[SlurmSettings]] = SlurmSettings
    settings: SlurmSettings

    def __init__(self, engine: Engine, place: Path, settings: SlurmSettings) -> None:
        super().__init__(engine, place, settings)
        self._commands: dict[str, Command] = {
            "sbatch": Sbatch(self),
            "squeue": Squeue(self),
            "sacct": Sacct(self),
            "scancel": Scancel(self),
            "scontrol": Scontrol(self),
            "sinfo": Sinfo(self),
            "sacctmgr": Sacctmgr(self),
        }
        engine.every(1.0, self._forget_the_old)

    @property
    def commands(self) -> Mapping[str, Command]:
        """Every command by its name."""
        return self._commands

    def variables(self) -> dict[str, str]:
        """A configuration file's name, as a cluster's profile sets it."""
        return {"SLURM_CONF": str(self.place / "slurm.conf")}

    # Looking jobs up

    def _all_jobs(self) -> Iterator[SlurmJob]:
        return iter(cast("list[SlurmJob]", list(self.engine.jobs.values())))

    def known_jobs(self) -> Iterator[SlurmJob]:
        """Jobs that slurmctld remembers."""
        return (job for job in self._all_jobs() if job.is_known)

    def accounted_jobs(self) -> Iterator[SlurmJob]:
        """Jobs that slurmdbd may know."""
        return (job for job in self._all_jobs() if any(task.accounted for task in job.present))

    def known_job(self, number: int) -> SlurmJob | None:
        """The job of that number, if slurmctld remembers it."""
        job = cast("SlurmJob | None", self.engine.jobs.get(number))
        return job if job is not None and job.is_known else None

    def job_of_raw_id(self, number: int) -> SlurmJob | None:
        """The array one of whose elements has that number as a job of its own."""
        for job in self.known_jobs():
            if number in job.raw_ids.values():
                return job
        return None

    def knows(self, number: int, index: int | None) -> bool:
        """Whether slurmctld remembers the job, and the element where it has ended."""
        job = self.known_job(number) or self.job_of_raw_id(number)
        if job is None:
            return False
        task = job.tasks.get(index) if index is not None else None
        return task is None or task.known or task.dropped

    def tasks_of(self, reference: str) -> list[Task]:
        """The tasks that `24` or `24_3` means."""
        number, _, index = reference.partition("_")
        job = self.engine.jobs.get(int(number)) if number.isdigit() else None
        if job is None:
            return []
        return [task for task in job.present if not index or str(task.index) == index]

    def native_id(self, task: Task) -> str:
        """`24` or `24_3`."""
        number = task.job.number
        return str(number) if task.index is None else f"{number}_{task.index}"

    def queued(self, qos: str | None = None) -> int:
        """Tasks that wait or run, of one QOS or of all."""
        return sum(
            len(job.waiting) + job.active
            for job in self._all_jobs()
            if qos is None or job.qos == qos
        )

    # What the commands show of a task

    def state_of(self, task: Task) -> str:
        """Its state in words."""
        return jobs.state_of(task)

    def exit_code_of(self, task: Task) -> tuple[int, int]:
        """Exit code and signal."""
        if task.phase is not Phase.OVER:
            return 0, 0
        return jobs.exit_code_of(task.run, task.why)

    def node_names(self, run: Run | None) -> str:
        """`node01`, `node[01-02]`."""
        names = [node.name for node in run.nodes] if run is not None else []
        if len(names) < 2:
            return "".join(names)
        return f"node[{names[0][4:]}-{names[-1][4:]}]"

    def nodes_of(self, task: Task) -> str:
        """The nodes a task runs or ran on; empty while it waits."""
        return self.node_names(task.run)

    def nodes_or_reason(self, task: Task) -> str:
        """What `%R` of squeue shows."""
        if task.phase in (Phase.RUNNING, Phase.ENDING):
            return self.nodes_of(task)
        return f"({jobs.reason_of(task)})"

    def run_time(self, task: Task) -> float:
        """Seconds it has run."""
        run = task.run
        if run is None:
            return 0.0
        return max((run.ended or self.engine.now()) - run.started, 0.0)

    def time_left(self, task: Task) -> float | None:
        """Seconds until its time limit."""
        limit = task.job.request.walltime
        return None if limit is None else max(limit - self.run_time(task), 0.0)

    def start_of(self, task: Task) -> float | None:
        """When it started, or will at the earliest where that is known."""
        if task.phase is Phase.PENDING:
            begin = max(task.begin, task.job.begin)
            return begin if begin > self.engine.now() else None
        return task.run.started if task.run is not None else task.ended

    def end_of(self, task: Task) -> float | None:
        """When it ended, or will at the latest."""
        if task.phase is Phase.OVER:
            return task.ended
        start, limit = self.start_of(task), task.job.request.walltime
        return None if start is None or limit is None else start + limit

    def dependency_text(self, task: Task) -> str:
        """What `%E` of squeue shows."""
        job = cast("SlurmJob", task.job)
        if job.dependency is None or task.run is not None:
            return "(null)"
        return job.dependency.text(element_failed=task.reason is Wait.NEVER)

    def output_paths(self, task: Task, *, together: bool = False) -> tuple[Path, Path]:
        """Where standard output and error go."""
        job = cast("SlurmJob", task.job)
        default = "slurm-%A_%a.out" if job.is_array else "slurm-%j.out"
        node = task.run.nodes[0].name if task.run is not None else "node01"
        out, error = (
            job.directory / output_name(pattern, job, task, node, together=together)
            for pattern in (job.stdout or default, job.stderr or job.stdout or default)
        )
        return out, error

    # When jobs start

    def job_obstacle(self, job: Job) -> object | None:
        """Dependencies first, then what the partition and the limits allow."""
        assert isinstance(job, SlurmJob)
        if job.dependency is not None:
            met = dependencies.look(job.dependency, self.engine.jobs, self.engine.now())
            if met is dependencies.Met.NEVER:
                return self._never(job)
            if met is not dependencies.Met.YES or self._waits_for_namesake(job):
                return Wait.DEPENDENCY
        return self._partition_obstacle(job) or self._limit_obstacle(job)

    def _never(self, job: SlurmJob) -> object:
        if job.kill_on_invalid_dependency:
            for task in list(job.waiting.values()):
                self.engine.settle(task, Why.DEPENDENCY)
        return Wait.NEVER

    def _waits_for_namesake(self, job: SlurmJob) -> bool:
        if job.dependency is None or not job.dependency.singleton:
            return False
        return any(
            other.name == job.name and other.user == job.user and not other.is_over
            for other in self._all_jobs()
            if other.number < job.number
        )

    def task_obstacle(self, task: Task) -> object | None:
        """Dependencies that hold element by element."""
        job = task.job
        assert isinstance(job, SlurmJob)
        if job.dependency is None:
            return None
        met = dependencies.look_for_element(job.dependency, self.engine.jobs, task.index)
        if met is dependencies.Met.NEVER:
            if job.kill_on_invalid_dependency:
                self.engine.settle(task, Why.DEPENDENCY)
            elif task.index not in job.raw_ids:
                self._give_id(job, task)
            return Wait.NEVER
        return None if met is dependencies.Met.YES else Wait.DEPENDENCY

    def partition_nodes(self, name: str) -> list[Node]:
        """The nodes of a partition."""
        names = self.settings.partitions[name].get("nodes")
        return [
            node for node in self.engine.nodes if not isinstance(names, list) or node.name in names
        ]

    def _partition_obstacle(self, job: SlurmJob) -> str | None:
        partition = self.settings.partitions[job.queue]
        nodes = self.partition_nodes(job.queue)
        limit, max_mem = partition.get("max_minutes"), partition.get("max_mem")
        if not partition.get("up", True):
            return "PartitionDown"
        if job.request.nodes > len(nodes):
            return "PartitionNodeLimit"
        if isinstance(limit, int) and (job.request.walltime or 10**9) > limit * 60:
            return "PartitionTimeLimit"
        if isinstance(max_mem, int) and job.request.share.memory > max_mem * MB:
            return "MaxMemPerLimit"
        if job.request.share.cpus > max(node.cpus for node in nodes):
            return "PartitionConfig"
        return None

    def _limit_obstacle(self, job: SlurmJob) -> str | None:
        limit = self.settings.qos.get(job.qos, {}).get("max_running")
        running = sum(other.active for other in self._all_jobs() if other.qos == job.qos)
        return "QOSMaxJobsPerUserLimit" if limit is not None and running >= limit else None

    # Running

    def _give_id(self, job: SlurmJob, task: Task) -> None:
        others = [one for one in job.folded if one is not task]
        job.split(task, self.next_number() if others else None)

    def launch(self, task: Task, run: Run) -> Launch:
        """The batch script, in the submitter's environment with Slurm's variables."""
        job = cast("SlurmJob", task.job)
        if task.index not in job.raw_ids:
            self._give_id(job, task)
        stdout, stderr = self.output_paths(task)
        directory = job.directory if job.directory.is_dir() else Path("/tmp")
        return Launch(
            argv=(str(job.script), *job.arguments),
            environment={**job.environment, **self._slurm_variables(job, task, run)},
            directory=directory,
            stdout=stdout,
            stderr=None if stderr == stdout else stderr,
            stdin=job.directory / job.stdin,
            append=job.append,
            umask=job.umask,
        )

    def job_environment(self, submitter: Mapping[str, str], export: str) -> dict[str, str]:
        """What `--export` makes of the submitter's environment."""
        if export == "NONE":
            return {
                **self.login_environment(),
                "SLURM_GET_USER_ENV": "1",
                "SLURM_EXPORT_ENV": export,
            }
        words = export.split(",")
        chosen = dict(submitter) if "ALL" in words else self.login_environment()
        for word in words:
            name, equals, value = word.partition("=")
            if equals:
                chosen[name] = value
            elif name in submitter:
                chosen[name] = submitter[name]
        return chosen

    def _slurm_variables(self, job: SlurmJob, task: Task, run: Run) -> dict[str, str]:
        cpus = job.request.share.cpus
        nodes = self.node_names(run)
        raw = str(job.raw_id(task))
        values = {
            "HOSTNAME": run.nodes[0].name,
            "SLURMD_NODENAME": run.nodes[0].name,
            "SLURM_CLUSTER_NAME": self.settings.cluster,
            "SLURM_CONF": self.variables()["SLURM_CONF"],
            "SLURM_CPUS_ON_NODE": str(cpus),
            "SLURM_GTIDS": "0",
            "SLURM_JOBID": raw,
            "SLURM_JOB_ACCOUNT": job.account,
            "SLURM_JOB_CPUS_PER_NODE": str(cpus)
            + (f"(x{len(run.nodes)})" if run.nodes[1:] else ""),
            "SLURM_JOB_GID": str(job.uid),
            "SLURM_JOB_ID": raw,
            "SLURM_JOB_NAME": job.name,
            "SLURM_JOB_NODELIST": nodes,
            "SLURM_JOB_NUM_NODES": str(len(run.nodes)),
            "SLURM_JOB_PARTITION": job.queue,
            "SLURM_JOB_QOS": job.qos,
            "SLURM_JOB_UID": str(job.uid),
            "SLURM_JOB_USER": job.user,
            "SLURM_LOCALID": "0",
            "SLURM_NNODES": str(len(run.nodes)),
            "SLURM_NODEID": "0",
            "SLURM_NODELIST": nodes,
            "SLURM_NODE_ALIASES": "(null)",
            "SLURM_PRIO_PROCESS": "0",
            "SLURM_PROCID": "0",
            "SLURM_SUBMIT_DIR": str(job.submit_directory),
            "SLURM_SUBMIT_HOST": "node01",
            "SLURM_TASKS_PER_NODE": "1" + (f"(x{len(run.nodes)})" if run.nodes[1:] else ""),
            "SLURM_TOPOLOGY_ADDR": run.nodes[0].name,
            "SLURM_TOPOLOGY_ADDR_PATTERN": "node",
            "SLURM_WORKING_CLUSTER": f"{self.settings.cluster}:127.0.0.1:16817:9728:109",
            "TMPDIR": "/tmp",
        }
        if job.mem_per_node:
            values["SLURM_MEM_PER_NODE"] = str(job.mem_per_node)
        else:
            values["SLURM_MEM_PER_CPU"] = str(job.mem_per_cpu)
        if job.cpus_per_task:
            values["SLURM_CPUS_PER_TASK"] = str(job.cpus_per_task)
        if job.ntasks:
            values["SLURM_NTASKS"] = values["SLURM_NPROCS"] = str(job.ntasks)
        if run.number:
            values["SLURM_RESTART_COUNT"] = str(run.number)
        if job.is_array:
            every = job.every_index
            values |= {
                "SLURM_ARRAY_JOB_ID": str(job.number),
                "SLURM_ARRAY_TASK_COUNT": str(len(every)),
                "SLURM_ARRAY_TASK_ID": str(task.index),
                "SLURM_ARRAY_TASK_MAX": str(every[-1]),
                "SLURM_ARRAY_TASK_MIN": str(every[0]),
                "SLURM_ARRAY_TASK_STEP": str(every[1] - every[0] if len(every) > 1 else 1),
            }
        return values

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """A folder is missing, or the script's interpreter."""
        job = cast("SlurmJob", task.job)
        if run.launch is not None and error.filename == str(job.script):
            run.status = _NO_INTERPRETER
            self.engine.settle(task, Why.EXITED)
        else:
            self.engine.settle(task, Why.LAUNCH)

    def first_signal(self, task: Task, run: Run) -> None:
        """SIGTERM to everything, and a line in the job's output."""
        job = cast("SlurmJob", task.job)
        due = {Why.WALLTIME: " DUE TO TIME LIMIT", Why.PREEMPTED: " DUE TO PREEMPTION"}
        when = write_moment(self.engine.now())
        self._say(
            run,
            f"*** JOB {job.raw_id(task)} ON {run.nodes[0].name} CANCELLED AT {when}"
            f"{due.get(run.why, '')} ***",
        )
        super().first_signal(task, run)

    def _say(self, run: Run, text: str) -> None:
        if run.launch is None:
            return
        path = run.launch.stderr or run.launch.stdout
        with suppress(OSError), path.open("a") as output:
            output.write(f"slurmstepd-{run.nodes[0].name}: error: {text}\n")

    def run_ended(self, task: Task, run: Run) -> None:
        """Over, unless the node died or it was preempted and may run again."""
        job = cast("SlurmJob", task.job)
        if run.why is Why.MEMORY:
            self._note_memory(job, task, run)
        again = run.why is Why.REQUEUED or (run.why in (Why.NODE, Why.PREEMPTED) and job.requeues)
        if again:
            self.engine.requeue(task, self.settings.requeue_delay)
        else:
            self.engine.settle(task, run.why)

    def _note_memory(self, job: SlurmJob, task: Task, run: Run) -> None:
        step = f"StepId={job.raw_id(task)}.batch"
        if self.settings.memory_killer == "cgroup":
            self._say(
                run,
                f"Detected 1 oom-kill event(s) in {step}. Some of your processes may have been "
                "killed by the cgroup out-of-memory handler.",
            )
            return
        limit = job.request.memory_limit or 0
        used = max(run.peak_memory, limit + 1)
        self._say(run, f"{step} exceeded memory limit ({used} > {limit}), being killed")
        self._say(run, "Exceeded job memory limit")
        # A job killed by the poller reads like any other that a signal ended.
        run.why = Why.EXITED
        run.status = signal.SIGKILL
        run.by = "0"

    # What scontrol and tests do

    def requeue_task(self, task: Task) -> str:
        """Put a running or finished task back into the queue; why not, where it cannot be."""
        if task.phase is Phase.RUNNING:
            self.engine.end_at_once(task, Why.REQUEUED)
        elif task.phase is Phase.OVER and task.runs:
            self.engine.requeue(task, self.settings.requeue_delay)
        else:
            return "Job is pending execution"
        return ""

    def suspend_task(self, task: Task) -> str:
        """Stop a running task's processes."""
        if task.phase is not Phase.RUNNING or task.run is None:
            return (
                "Job is pending execution"
                if task.phase is Phase.PENDING
                else "Job has already finished"
            )
        task.run.suspended = True
        processes.signal_group(task.run.pid, signal.SIGSTOP)
        return ""

    def resume_task(self, task: Task) -> str:
        """Let them go on."""
        if task.run is not None:
            task.run.suspended = False
            processes.signal_group(task.run.pid, signal.SIGCONT)
        return ""

    def node_down(self, name: str) -> None:
        """A node fails, and the jobs on it."""
        for node in self.engine.nodes:
            if node.name == name:
                node.up = False
        for task, run in self.engine.running():
            if any(node.name == name for node in run.nodes):
                self.engine.lose_node(task, processes_survive=False)

    def node_up(self, name: str) -> None:
        """A node is back."""
        for node in self.engine.nodes:
            if node.name == name:
                node.up = True
        self.engine.want_schedule()

    def _forget_the_old(self) -> None:
        limit = self.engine.now() - self.settings.min_job_age
        for job in self._all_jobs():
            if job.is_over:
                for task in job.tasks.values():
                    if task.known and (task.ended or 0.0) < limit:
                        self.engine.forget(task)

    # Faults

    def answer_when_down(self, call: Call) -> Answer | None:
        """What commands do while slurmctld is down; slurmdbd may not be."""
        if call.name in ("sacct", "sacctmgr"):
            return None
        reply = self._down_reply(call)
        end = time.monotonic() + self.settings.down_seconds * (2 if call.name == "squeue" else 1)
        if not self.settings.down_seconds or reply.stdout:
            return reply
        return Later(lambda: reply if time.monotonic() >= end else None)

    def _down_reply(self, call: Call) -> Reply:
        if "--version" in call.arguments or "-V" in call.arguments:
            return Reply("slurm-wlm 22.05.8\n")
        if call.name == "sbatch":
            text = f"sbatch: error: Batch job submission failed: {_DOWN}\n"
            return Reply(stderr=text, code=1)
        if call.name == "scancel":
            ids = [word for word in call.arguments if word[:1].isdigit()]
            lines = [f"scancel: error: Kill job error on job id {one}: {_DOWN}\n" for one in ids]
            return Reply(stderr="".join(lines), code=8)
        if call.name == "sinfo":
            return Reply(stderr=f"slurm_load_partitions: {_DOWN}\n", code=1)
        if call.arguments[:1] == ["ping"]:
            stars = "*" * 41
            return Reply(
                "Slurmctld(primary) at node01 is DOWN\n"
                f"{stars}\n** RESTORE SLURMCTLD DAEMON TO SERVICE **\n{stars}\n",
                code=1,
            )
        return Reply(stderr=f"slurm_load_jobs error: {_DOWN}\n", code=1)

    def lost_answer(self, call: Call) -> Reply:
        """The controller took too long to answer."""
        text = "Socket timed out on send/recv operation"
        if call.name == "sbatch":
            text = f"sbatch: error: Batch job submission failed: {text}"
        elif call.name == "scancel":
            text = f"scancel: error: Kill job error on job id {call.arguments[-1]}: {text}"
        else:
            text = f"slurm_load_jobs error: {text}"
        return Reply(stderr=text + "\n", code=1)
