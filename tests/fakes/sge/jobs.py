"""Grid Engine's jobs, its site's settings, its letters for states, its ranges of tasks."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reflow.testing.fakes.emulator import BasicSettings
from reflow.testing.fakes.model import Job, Phase, Run, Task, Wait

MIB = 2**20
_UNITS = {"": 1, "k": 1000, "K": 1024, "m": 1000**2, "M": MIB, "g": 1000**3, "G": 2**30}


@dataclass
class SgeSettings(BasicSettings):
    """What the site can set."""

    nodes: int = 1
    memory_per_node: int = 8 * 2**30
    queues: dict[str, dict[str, bool]] = field(
        default_factory=lambda: {"all.q": {}, "closed.q": {"enabled": False}}
    )
    """By name; jobs that name no queue run in the first."""
    parallel_environments: list[str] = field(default_factory=lambda: ["smp"])
    projects: list[str] = field(default_factory=list)
    consumables: list[str] = field(default_factory=list)
    """Resources the site has defined besides the usual ones, `gpu` for example."""
    max_aj_tasks: int = 75000
    max_u_jobs: int = 0
    """Jobs a user may have, an array counted once; 0 for no limit."""
    flush_time: float = 0.0
    """Seconds until an ended job reaches the accounting file; 15 on most sites."""
    finished_jobs: int = 100
    """How many finished jobs `qstat -s z` remembers."""
    shell: str = "/bin/bash"
    """The queue's shell; it runs the scripts, whatever their first line says."""
    reschedule_delay: float = 0.2
    """Seconds until a rescheduled job is started again; some 10 on a real site."""
    cluster: str = "lab"


@dataclass
class Record:
    """One record of the accounting file."""

    job: SgeJob
    task: Task
    run: Run
    failed: int
    status: int
    """What qacct calls exit_status."""
    visible: float
    """From when on it is in the file."""
    started: bool = True
    """False where the times are unknown."""


@dataclass(kw_only=True)
class SgeJob(Job):
    """One qsub."""

    script: Path | None
    """The copy that is run; None with `-b y`."""
    script_name: str
    command: tuple[str, ...] = ()
    """With `-b y`."""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    directory: Path
    is_cwd: bool = False
    submit_directory: Path
    stdout: str = ""
    stderr: str = ""
    merge: bool = False
    shell: str = ""
    umask: int = 0o022
    slots: int = 1
    parallel: str = ""
    resources: dict[str, str] = field(default_factory=dict)
    soft_walltime: float | None = None
    address_space: int | None = None
    cpu_seconds: int | None = None
    notify: bool = False
    rerunnable: bool = False
    account: str = "sge"
    project: str = ""
    hard_queue: str = ""
    predecessors: set[int] = field(default_factory=set)
    asked_predecessors: str = ""
    element_predecessors: set[int] = field(default_factory=set)
    step: int = 1
    uid: int = 0
    task_text: str = ""
    """`1-10:1` for an array."""
    loosened: bool = False
    """Whether a waiting task was deleted: the limit on concurrency does not hold any more."""
    finished: float = 0.0
    """When it left qstat."""

    @property
    def tasks_left(self) -> list[Task]:
        """The tasks that qstat shows."""
        return [task for task in self.present if task.phase is not Phase.OVER]

    @property
    def category(self) -> str:
        """What qacct shows of the request."""
        listed = ",".join(f"{name}={value}" for name, value in sorted(self.resources.items()))
        parts = [f"-l {listed}"] if listed else []
        if self.parallel:
            parts.append(f"-pe {self.parallel} {self.slots}")
        return " ".join(parts) or "NONE"


def state_of(task: Task) -> str:
    """The letters that qstat shows."""
    job, run = task.job, task.run
    assert isinstance(job, SgeJob)
    held = "h" if job.holds or waits_for_another(task) else ""
    if task.phase is Phase.PENDING:
        if task.error:
            return f"{held}Eqw"
        return f"{held}Rq" if task.runs else f"{held}qw"
    restarted = "R" if len(task.runs) > 1 else ""
    if task.phase is Phase.ENDING:
        return f"d{restarted}r"
    if run is not None and run.suspended:
        return f"{restarted}s"
    return f"{held}{restarted}r"


def waits_for_another(task: Task) -> bool:
    """Whether a dependency keeps it from starting."""
    reason = task.reason if task.reason is not None else task.job.reason
    return task.phase is Phase.PENDING and reason is Wait.DEPENDENCY


def write_range(indices: Sequence[int]) -> str:
    """Write task numbers as qstat does: `3-10:1`, `1,3`, `3-7:1,9,10`, `5`."""
    parts: list[str] = []
    rest = list(indices)
    while rest:
        count, step = _run_length(rest)
        if count < 3:
            parts.append(str(rest.pop(0)))
        else:
            parts.append(f"{rest[0]}-{rest[count - 1]}:{step}")
            del rest[:count]
    return ",".join(parts)


def _run_length(indices: Sequence[int]) -> tuple[int, int]:
    """How many numbers at the front are evenly spaced, and by how much."""
    if len(indices) < 2:
        return len(indices), 1
    step = indices[1] - indices[0]
    count = 2
    while count < len(indices) and indices[count] - indices[count - 1] == step:
        count += 1
    return count, step


def parse_seconds(text: str) -> float | None:
    """Read `3600` or `1:00:00`; None for what is no time."""
    if not re.fullmatch(r"\d*(:\d*){0,2}", text) or not text:
        return None
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + int(part or 0)
    return seconds


def parse_memory(text: str) -> int | None:
    """Read `300M`, `1.5G`; None for what is no amount."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmMgG]?)", text)
    return int(float(match[1]) * _UNITS[match[2]]) if match else None


def write_moment(moment: float) -> str:
    """Write a moment as qstat's table does."""
    return time.strftime("%m/%d/%Y %H:%M:%S", time.localtime(moment))


def write_long_moment(moment: float) -> str:
    """Write a moment as `qstat -j` and qacct do."""
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(moment))


def write_xml_moment(moment: float) -> str:
    """Write a moment as `qstat -xml` does."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(moment))
