"""Flux's jobs, its instance's settings and its words for states and results."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reflow.testing.fakes.emulator import BasicSettings
from reflow.testing.fakes.model import Job, Phase, Task, Why

NEVER_RAN = -128
"""The returncode of a job that was cancelled before it ran."""


@dataclass
class FluxSettings(BasicSettings):
    """What the instance can set."""

    nodes: int = 1
    kill_wait: float = 5.0
    default_duration: float = 3600.0
    queues: dict[str, dict[str, float]] = field(default_factory=dict)
    """By name, the first is the default; none for a single nameless queue. Keys: duration (most
    seconds), ncores (most)."""
    max_active_jobs: int | None = None
    """Most jobs of a user that wait or run, as flux-accounting limits them."""
    inactive_age: float | None = None
    """Seconds until a finished job is purged; None for never."""


@dataclass
class Dependency:
    """What a job waits for: `after-success=ƒ2CdTGeK`."""

    kind: str
    """`success`, `failure`, `finish` or `start`."""
    number: int
    shown: str
    met: bool = False

    @property
    def text(self) -> str:
        """As `{dependencies}` lists it."""
        return f"after-{self.kind}={self.shown}"


@dataclass
class Trouble:
    """A job's exception."""

    type: str
    note: str
    severity: int = 0
    at: float = 0.0


@dataclass(kw_only=True)
class FluxJob(Job):
    """One job; `--cc` makes several."""

    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path
    output: str | None = None
    error: str | None = None
    append: bool = False
    umask: int = 0o022
    ntasks: int = 1
    cores_per_task: int = 1
    asked_nodes: int | None = None
    duration: float = 3600.0
    urgency: int = 16
    dependencies: list[Dependency] = field(default_factory=list)
    begin_text: str = ""
    trouble: Trouble | None = None
    never_started_note: str = ""
    waitable: bool = False
    waited: bool = False
    uid: int = 0
    cleanup: float | None = None
    """When it began to clean up."""
    cc: int | None = None
    is_batch: bool = False

    @property
    def task(self) -> Task:
        """Its only task."""
        return self.tasks[None]

    @property
    def left(self) -> list[str]:
        """The dependencies that are not met yet."""
        found = [one.text for one in self.dependencies if not one.met]
        return [*found, *([self.begin_text] if self.begin_text else [])]

    @property
    def ncores(self) -> int:
        """Cores in all."""
        return self.ntasks * self.cores_per_task


def state_of(job: FluxJob, *, depends: bool) -> str:
    """`DEPEND`, `SCHED`, `RUN`, `CLEANUP` or `INACTIVE`."""
    phase = job.task.phase
    if phase is Phase.PENDING:
        return "DEPEND" if depends else "SCHED"
    return {Phase.RUNNING: "RUN", Phase.ENDING: "CLEANUP", Phase.OVER: "INACTIVE"}[phase]


def result_of(job: FluxJob) -> str:
    """`COMPLETED`, `FAILED`, `CANCELED` or `TIMEOUT`; empty while it is not over."""
    task = job.task
    if task.phase is not Phase.OVER:
        return ""
    if task.why is Why.CANCELLED:
        return "CANCELED"
    if task.why is Why.WALLTIME:
        return "TIMEOUT"
    return "COMPLETED" if task.run is not None and wait_status(job) == 0 else "FAILED"


def wait_status(job: FluxJob) -> int | None:
    """The shell's own wait status; None where it never ran or is not over."""
    run = job.task.run
    if run is None or run.ended is None:
        return None
    code = 128 + run.signal if run.signal else run.code
    if code == 0 and job.task.why in (Why.CANCELLED, Why.WALLTIME):
        # A trap that exits well is not believed.
        code = 1
    return code << 8


def return_code(job: FluxJob) -> int | None:
    """What `{returncode}` shows."""
    if job.task.phase is not Phase.OVER:
        return None
    status = wait_status(job)
    if status is not None:
        return status >> 8
    return NEVER_RAN if job.task.why is Why.CANCELLED else 1


ABBREVIATIONS = {
    "DEPEND": "D",
    "PRIORITY": "P",
    "SCHED": "S",
    "RUN": "R",
    "CLEANUP": "C",
    "COMPLETED": "CD",
    "FAILED": "F",
    "CANCELED": "CA",
    "TIMEOUT": "TO",
}
