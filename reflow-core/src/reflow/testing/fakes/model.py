"""What every fake scheduler is made of: nodes, jobs, tasks, runs.

A *job* is what one submission makes. It has one *task*, or one per array element. A task is run
once, or several times when it is put back into the queue; each time is a *run*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Phase(Enum):
    """The phase of a task in the engine's own terms."""

    PENDING = "pending"
    RUNNING = "running"
    ENDING = "ending"
    """Signalled to end; its processes have not ended yet."""
    OVER = "over"


class Why(Enum):
    """Why a run ended, or why a task is over without a run."""

    EXITED = "exited"
    """By itself; the wait status tells how."""
    CANCELLED = "cancelled"
    WALLTIME = "walltime"
    MEMORY = "memory"
    NODE = "node"
    LAUNCH = "launch"
    """It could not be started, as where a folder is missing."""
    DEPENDENCY = "dependency"
    """Its dependency can never be met, so the scheduler removed it."""
    IMPOSSIBLE = "impossible"
    """No node could ever run it, so the scheduler removed it."""
    PREEMPTED = "preempted"
    REQUEUED = "requeued"


class Wait(Enum):
    """Why a task does not start, in the engine's own terms; emulators add theirs."""

    NOT_ASKED = "not asked"
    """The scheduler has not looked at it yet."""
    HELD = "held"
    BEGIN_TIME = "begin time"
    DEPENDENCY = "dependency"
    NEVER = "dependency never satisfied"
    THROTTLE = "throttle"
    RESOURCES = "resources"
    QUEUE = "queue closed"
    LIMIT = "limit"
    IMPOSSIBLE = "impossible"


@dataclass
class Node:
    """A simulated machine."""

    name: str
    cpus: int
    memory: int
    """In bytes."""
    up: bool = True
    used_cpus: int = 0
    used_memory: int = 0

    def takes(self, share: Share) -> bool:
        """Tell whether this share is free on the node now."""
        return (
            self.up
            and self.used_cpus + share.cpus <= self.cpus
            and self.used_memory + share.memory <= self.memory
        )


@dataclass(frozen=True)
class Share:
    """What one node gives to a job."""

    cpus: int = 1
    memory: int = 0
    """In bytes."""


@dataclass(frozen=True)
class Request:
    """What a job asks for."""

    nodes: int = 1
    share: Share = field(default_factory=Share)
    """The share on each of its nodes."""
    walltime: float | None = None
    """In seconds."""
    memory_limit: int | None = None
    """In bytes, for all processes of the task; None where no limit is enforced."""
    on_nodes: tuple[str, ...] = ()
    """The only nodes allowed; empty for any."""
    not_on_nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Launch:
    """How a run's process is started."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    stdout: Path
    stderr: Path | None = None
    """None for the same file as `stdout`."""
    stdin: Path = Path("/dev/null")
    append: bool = False
    umask: int = 0o022
    address_space: int | None = None
    """A limit in bytes on each process' address space."""
    cpu_seconds: int | None = None
    """A limit on each process' CPU time."""


@dataclass
class Run:
    """One time that a task was started."""

    number: int
    """0 for the first."""
    nodes: tuple[Node, ...]
    share: Share
    started: float
    pid: int = 0
    ended: float | None = None
    why: Why = Why.EXITED
    status: int = 0
    """The wait status of its process, as `os.wait` gives it."""
    by: str = ""
    """The user who ended it; empty where none did."""
    launch: Launch | None = None
    waited_for: object = None
    """The last reason for which it did not start earlier."""
    peak_memory: int = 0
    """In bytes, sampled."""
    suspended: bool = False
    superseded: bool = False
    """True once its task was requeued."""

    @property
    def code(self) -> int:
        """The exit code; 0 where a signal ended it."""
        return self.status >> 8 & 0xFF

    @property
    def signal(self) -> int:
        """The signal that ended it, or 0."""
        return self.status & 0x7F


@dataclass
class Task:
    """One unit of execution: that of a plain job, or an array element."""

    job: Job
    index: int | None
    """The scheduler's own number of the element; None in a plain job."""
    phase: Phase = Phase.PENDING
    runs: list[Run] = field(default_factory=list)
    ended: float | None = None
    why: Why | None = None
    by: str = ""
    known: bool = True
    """Whether the scheduler still remembers it."""
    forgotten: bool = False
    """Whether a test made the scheduler forget it; else it is only over and no longer shown."""
    accounted: bool = True
    """Whether accounting still has it."""
    dropped: bool = False
    """Removed without a trace, as if it had never been submitted."""
    reason: object = None
    """Why this task waits, where the reason differs from its job's."""
    waited_for: object = None
    """The last reason for which it waited."""
    error: str = ""
    """The message where the scheduler has put it into an error state."""
    begin: float = 0.0
    """The time before which it must not start."""

    @property
    def run(self) -> Run | None:
        """The run that counts: the latest, unless the task was requeued since."""
        return self.runs[-1] if self.runs and not self.runs[-1].superseded else None

    @property
    def never_ran(self) -> bool:
        """True where no process was ever started for it."""
        return not self.runs

    @property
    def succeeded(self) -> bool:
        """True where it ended by itself with exit code 0."""
        return (
            self.phase is Phase.OVER
            and self.why is Why.EXITED
            and self.run is not None
            and self.run.status == 0
        )


@dataclass(kw_only=True)
class Job:
    """What one submission made. Emulators derive their own class from it."""

    number: int
    name: str
    user: str
    submitted: float
    request: Request = field(default_factory=Request)
    queue: str = ""
    priority: int = 0
    throttle: int | None = None
    """The most tasks that may run at once."""
    holds: set[str] = field(default_factory=set)
    begin: float = 0.0
    indices: tuple[int | None, ...] = (None,)
    """One per task; `(None,)` for a plain job."""
    reason: object = Wait.NOT_ASKED
    requeues: bool = True
    """Whether it may be requeued when a node fails."""

    def __post_init__(self) -> None:
        self.tasks: dict[int | None, Task] = {index: Task(self, index) for index in self.indices}
        self.waiting = dict(self.tasks)
        self.active = 0

    @property
    def is_array(self) -> bool:
        """True for an array, of whatever size."""
        return None not in self.tasks

    @property
    def present(self) -> list[Task]:
        """The tasks that were not removed without a trace."""
        return [task for task in self.tasks.values() if not task.dropped]

    @property
    def is_over(self) -> bool:
        """True once no task waits or runs."""
        return not self.waiting and not self.active

    @property
    def is_known(self) -> bool:
        """True while the scheduler remembers any of its tasks."""
        return any(task.known for task in self.present)
