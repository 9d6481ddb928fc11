"""Slurm's jobs, its site's settings and the words it has for states."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reflow.testing.fakes.emulator import BasicSettings
from reflow.testing.fakes.model import Job, Phase, Run, Task, Wait, Why

from tests.fakes.slurm import indices
from tests.fakes.slurm.dependencies import Dependency

NO_INDEX = 4294967294
"""What `%a` becomes in the output name of a job that is no array."""

COMPACT = {
    "PENDING": "PD", "RUNNING": "R", "SUSPENDED": "S", "COMPLETING": "CG", "COMPLETED": "CD",
    "CANCELLED": "CA", "FAILED": "F", "TIMEOUT": "TO", "NODE_FAIL": "NF", "PREEMPTED": "PR",
    "BOOT_FAIL": "BF", "DEADLINE": "DL", "OUT_OF_MEMORY": "OOM", "CONFIGURING": "CF",
    "REQUEUED": "RQ", "REQUEUE_HOLD": "RH", "REQUEUE_FED": "RF", "RESIZING": "RS",
    "REVOKED": "RV", "SIGNALING": "SI", "SPECIAL_EXIT": "SE", "STAGE_OUT": "SO", "STOPPED": "ST",
}  # fmt: skip
"""Every state with its short form, squeue(1), JOB STATE CODES."""
STATES_BY_CODE = {code: state for state, code in COMPACT.items()}


@dataclass
class SlurmSettings(BasicSettings):
    """What the site can set."""

    cluster: str = "lab"
    default_mem_per_cpu: int = 1000
    """In MB; also the limit of jobs that ask for no memory."""
    max_array_size: int = 10001
    """The largest index plus one."""
    min_job_age: float = 300.0
    """Seconds for which slurmctld remembers a finished job."""
    requeue_delay: float = 0.2
    """Seconds that a requeued job waits; some 120 on a real cluster."""
    accounting: bool = True
    """Whether there is a slurmdbd."""
    accounting_down: bool = False
    accounting_lag: float = 0.0
    """Seconds until accounting has heard of anything. For as long again it is wrong."""
    accounts: list[str] = field(default_factory=lambda: ["lab"])
    qos: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"normal": {}, "tiny": {"max_submit": 3, "max_running": 1}}
    )
    """By name; the limits are per user and count array elements."""
    max_submit_jobs: int | None = None
    """The association's limit on queued and running jobs, array elements counted."""
    partitions: dict[str, dict[str, object]] = field(
        default_factory=lambda: {
            "main": {},
            "short": {"max_minutes": 1, "default_minutes": 1},
            "lowmem": {"max_mem": 500},
            "wide": {"nodes": ["node01"]},
            "closed": {"up": False},
        }
    )
    """By name, the first is the default. Keys: up, nodes, max_minutes, default_minutes, max_mem."""
    memory_killer: str = "cgroup"
    """`cgroup`: a job over its memory ends OUT_OF_MEMORY; `polling`: FAILED 0:9."""
    features: list[str] = field(default_factory=list)
    gres: list[str] = field(default_factory=list)
    """Kinds of generic resources there are, such as `gpu`."""
    down_seconds: float = 0.0
    """How long commands try before they give a dead controller up; some 9 on a real cluster."""


@dataclass(kw_only=True)
class SlurmJob(Job):
    """One sbatch."""

    account: str = ""
    qos: str = "normal"
    comment: str = ""
    script: Path
    """The copy that is run."""
    command: str = ""
    """The script as the user named it, empty for `--wrap` and standard input."""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path
    submit_directory: Path
    stdin: str = "/dev/null"
    stdout: str = ""
    stderr: str = ""
    append: bool = False
    umask: int = 0o022
    ntasks: int | None = None
    cpus_per_task: int | None = None
    mem_per_node: int | None = None
    """In MB."""
    mem_per_cpu: int = 0
    """In MB; counts where `mem_per_node` is None."""
    nodelist: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    dependency: Dependency | None = None
    kill_on_invalid_dependency: bool = False
    uid: int = 0
    features: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.raw_ids: dict[int | None, int] = {} if self.is_array else {None: self.number}
        self.every_index: list[int] = [index for index in self.tasks if index is not None]

    def raw_id(self, task: Task) -> int:
        """The id that the task has as a job of its own."""
        return self.raw_ids.get(task.index, self.number)

    def split(self, task: Task, next_number: int | None) -> None:
        """Give an element an id of its own; the last to leave keeps the array's."""
        self.raw_ids[task.index] = self.number if next_number is None else next_number

    @property
    def folded(self) -> list[Task]:
        """The waiting elements that are still one record together."""
        return [task for task in self.waiting.values() if task.index not in self.raw_ids]


@dataclass(frozen=True)
class Record:
    """One line of squeue: a plain job, an element, or the elements that are still together."""

    job: SlurmJob
    tasks: tuple[Task, ...]
    alone: bool = False
    """True for one of the elements that are together, shown on a line of its own."""
    together: bool = False
    """True where all elements are shown as if none had started yet."""
    whole: bool = False
    """True where lists of indices are not to be cut."""

    @property
    def task(self) -> Task:
        """The task, or the first of several."""
        return self.tasks[0]

    @property
    def is_folded(self) -> bool:
        """True where it stands for elements without ids of their own."""
        if self.alone or not self.job.is_array:
            return False
        return self.together or self.task.index not in self.job.raw_ids

    @property
    def raw_id(self) -> int:
        """`%A`."""
        return self.job.number if self.together else self.job.raw_id(self.task)

    @property
    def index_text(self) -> str:
        """`%K`: the index, or the list of indices with the limit."""
        if not self.job.is_array:
            return "N/A"
        if not self.is_folded:
            return str(self.task.index)
        listed = indices.write_list([task.index or 0 for task in self.tasks])
        limit = f"%{self.job.throttle}" if self.job.throttle else ""
        return indices.cut(listed + limit, whole=self.whole)

    @property
    def id_text(self) -> str:
        """The whole of `%i`: `24`, `24_3`, `24_[4-9%2]`."""
        if not self.job.is_array:
            return str(self.job.number)
        index = self.index_text
        return f"{self.job.number}_[{index}]" if self.is_folded else f"{self.job.number}_{index}"


def records(job: SlurmJob, *, whole: bool = False) -> list[Record]:
    """The records that slurmctld keeps of a job, in the order in which it made them."""
    present = job.present
    if not job.is_array:
        return [Record(job, tuple(present))] if present else []
    together = [task for task in present if task.index not in job.raw_ids]
    groups: list[tuple[Task, ...]] = [
        *((task,) for task in present if task.index in job.raw_ids),
        tuple(task for task in together if task.phase is Phase.PENDING),
        tuple(task for task in together if task.phase is Phase.OVER),
    ]
    return [Record(job, group, whole=whole) for group in groups if group]


def state_of(task: Task) -> str:
    """The state that squeue shows."""
    if task.phase is Phase.PENDING:
        return "PENDING"
    if task.phase is Phase.ENDING:
        return "COMPLETING"
    if task.phase is Phase.RUNNING:
        return "SUSPENDED" if task.run is not None and task.run.suspended else "RUNNING"
    return end_state(task.why or Why.EXITED, task.run)


def end_state(why: Why, run: Run | None) -> str:
    """The state in which a run, or a task without one, ended."""
    if why is Why.EXITED:
        return "COMPLETED" if run is not None and run.status == 0 else "FAILED"
    return {
        Why.CANCELLED: "CANCELLED",
        Why.DEPENDENCY: "CANCELLED",
        Why.WALLTIME: "TIMEOUT",
        Why.MEMORY: "OUT_OF_MEMORY",
        Why.NODE: "NODE_FAIL",
        Why.PREEMPTED: "PREEMPTED",
        Why.REQUEUED: "REQUEUED",
        Why.LAUNCH: "FAILED",
    }.get(why, "FAILED")


def exit_code_of(run: Run | None, why: Why | None) -> tuple[int, int]:
    """Exit code and signal as scontrol shows them."""
    if run is None or run.ended is None:
        return 0, 0
    if why is Why.EXITED:
        return run.code, run.signal
    if why is Why.LAUNCH:
        return 0, 53
    if why is Why.MEMORY:
        return 0, 125
    return 0, 0


def reason_of(task: Task) -> str:
    """The reason that squeue shows."""
    job = task.job
    if task.phase is Phase.PENDING:
        if task.error:
            return task.error
        return _waiting_reason(job, task)
    if task.phase is Phase.OVER and task.run is None:
        return "DependencyNeverSatisfied" if task.why is Why.DEPENDENCY else _last_reason(job)
    if task.phase is not Phase.OVER or task.run is None:
        return "None"
    return {
        Why.EXITED: "None"
        if task.run.status == 0
        else ("JobLaunchFailure" if task.run.signal else "NonZeroExitCode"),
        Why.LAUNCH: "JobLaunchFailure",
        Why.WALLTIME: "TimeLimit",
        Why.MEMORY: "OutOfMemory",
        Why.NODE: "NodeDown",
    }.get(task.why or Why.EXITED, "None")


def _waiting_reason(job: Job, task: Task) -> str:
    if job.holds:
        return "JobHeldAdmin" if "admin" in job.holds else "JobHeldUser"
    reason = task.reason if task.reason is not None else job.reason
    # Nobody has looked at it yet: slurmctld has a word for that for plain jobs only.
    return "Priority" if reason is Wait.NOT_ASKED and not job.is_array else reason_text(reason)


def _last_reason(job: Job) -> str:
    return "None" if job.holds else reason_text(job.reason)


def reason_text(reason: object) -> str:
    """A reason for waiting in the words of slurmctld."""
    if isinstance(reason, str):
        return reason
    return {
        Wait.BEGIN_TIME: "BeginTime",
        Wait.DEPENDENCY: "Dependency",
        Wait.NEVER: "DependencyNeverSatisfied",
        Wait.THROTTLE: "JobArrayTaskLimit",
        Wait.RESOURCES: "Resources",
    }.get(reason if isinstance(reason, Wait) else Wait.NOT_ASKED, "None")
