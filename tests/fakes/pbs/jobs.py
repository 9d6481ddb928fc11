"""PBS' jobs, its site's settings, its letters for states and the errors of its server."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reflow.testing.fakes.emulator import BasicSettings, Refusal
from reflow.testing.fakes.model import Job, Phase, Run, Task, Wait, Why

from tests.fakes.pbs.depend import Dependency

SERVER = "node01"
VERSION = "23.06.06"

# What commands exit with: the server's error number modulo 256.
UNKNOWN_JOB = 153
HISTORY_JOB = 35
FINISHED_SUBJOB = 55
UNAUTHORIZED = 159
UNKNOWN_QUEUE = 170
NO_CONNECTION = 162

_ID = re.compile(r"(\d+)(?:\[(\d*(?:-\d+)?(?:,\d+)*)\])?(?:\.([\w.-]+))?")


@dataclass
class PbsSettings(BasicSettings):
    """What the site can set."""

    nodes: int = 1
    memory_per_node: int = 24684096 * 1024
    max_array_size: int = 10000
    job_history: bool = True
    """`job_history_enable`: whether finished jobs are remembered. Off on a fresh server."""
    job_history_duration: float = 24 * 3600.0
    refuse_root: bool = False
    """Whether root may not submit, as on a fresh server."""
    queues: dict[str, dict[str, object]] = field(
        default_factory=lambda: {
            "workq": {},
            "small": {
                "max_queued": 3,
                "max_mem": 2**30,
                "max_ncpus": 2,
                "max_walltime": 600,
            },
            "closed": {"enabled": False, "started": False},
            "stopped": {"started": False},
        }
    )
    """By name, the first is the default. Keys: enabled, started, max_queued (per user),
    max_queued_res (per user, by resource: ncpus, mem), max_array_size, max_mem (bytes), max_ncpus,
    max_walltime (seconds)."""
    max_queued: int | None = None
    """The server's limit on a user's jobs that are not over, array elements counted."""
    max_queued_res: dict[str, int] = field(default_factory=dict)
    """The server's limits on what a user's jobs that are not over ask for together."""
    copies: bool = True
    """Whether a node can copy output to the machine that submitted, with scp or a shared disk."""
    resources: list[str] = field(default_factory=list)
    """Resources there are besides the usual ones, such as `ngpus`."""
    json_writer: str = "master"
    """`master`: several ids lose all but the first; `release`: odd values give invalid JSON."""
    kill_wait: float = 10.0
    undelivered_seconds: float = 0.2
    """How long a job stays in state E when its output cannot be copied; 32 on a real site."""
    requeue_delay: float = 0.0


@dataclass(kw_only=True)
class PbsJob(Job):
    """One qsub."""

    script: Path | None
    """The copy that is run; None for `qsub -- command`."""
    command: tuple[str, ...] = ()
    """After `--`, or a script's arguments."""
    environment: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    """`Variable_List`."""
    submit_directory: Path
    submit_arguments: str = ""
    output: str = ""
    error: str = ""
    join: str = "n"
    keep: str = "n"
    shell: str = ""
    umask: int = 0o077
    resources: dict[str, str] = field(default_factory=dict)
    """`Resource_List`."""
    vnode: str = ""
    """`exec_vnode` without the node: `ncpus=1:mem=102400kb`."""
    cpus: int = 1
    dependencies: list[Dependency] = field(default_factory=list)
    doomed: bool = False
    """Given up because of a dependency."""
    released: int = 0
    """How many of the events counted by `on` have happened."""
    step: int = 1
    range_text: str = ""
    changed: float = 0.0
    began: float | None = None
    exit_status: int | None = None
    """An array's own: 0 or 1, as its element that finished last."""
    any_failed: bool = False
    deleted_by: str = ""
    uid: int = 0
    lost: set[int | None] = field(default_factory=set)
    """Elements deleted while the array ran: nothing is kept of how they ended."""
    deleting: bool = False
    exiting: int = 0
    """Elements that have ended and whose output is not copied yet."""

    @property
    def finished(self) -> bool:
        """Whether it is over as a whole."""
        return self.is_over and not self.exiting

    @property
    def indices_left(self) -> list[int]:
        """The elements that have not started yet."""
        return sorted(index for index in self.waiting if index is not None)


@dataclass(frozen=True)
class Reference:
    """An id as the user writes it: `24`, `24[]`, `24[3]`, `24[2-4].node01`."""

    number: int
    is_array: bool = False
    indices: tuple[int, ...] = ()
    text: str = ""

    @property
    def full(self) -> str:
        """With the server's name."""
        return self.text if "." in self.text else f"{self.text}.{SERVER}"


def parse_reference(text: str) -> Reference | None:
    """Read an id; None for what is none."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    inside = match[2]
    indices: list[int] = []
    for part in filter(None, (inside or "").split(",")):
        first, _, last = part.partition("-")
        indices += range(int(first), int(last or first) + 1)
    return Reference(int(match[1]), inside is not None, tuple(indices), text)


def state_of(task: Task) -> str:
    """The letter of a plain job or an element."""
    job = task.job
    assert isinstance(job, PbsJob)
    if task.phase is Phase.RUNNING:
        return "S" if task.run is not None and task.run.suspended else "R"
    if task.phase is Phase.ENDING:
        return "R" if task.error != "E" else "E"
    if task.phase is Phase.OVER:
        return "F" if job.finished else "X"
    if job.is_array:
        return "Q"
    return waiting_state(job)


def waiting_state(job: PbsJob) -> str:
    """`H`, `W` or `Q`."""
    if job.holds or job.reason is Wait.DEPENDENCY:
        return "H"
    return "W" if job.reason is Wait.BEGIN_TIME else "Q"


def array_state_of(job: PbsJob) -> str:
    """The letter of an array as a whole."""
    if job.finished:
        return "F"
    return "B" if job.began is not None else waiting_state(job)


def exit_status_of(task: Task) -> int | None:
    """`Exit_status`; None where it never ran."""
    job, run = task.job, task.run
    assert isinstance(job, PbsJob)
    if task.phase is not Phase.OVER:
        return None
    if task.index is not None and (task.index in job.lost or (run is None and job.began)):
        return 1
    return None if run is None or run.ended is None else run_status(run)


def run_status(run: Run) -> int:
    """What the server makes of how a run ended."""
    if run.why is Why.WALLTIME:
        return -29
    if run.why is Why.MEMORY:
        return -27
    if run.why is Why.CANCELLED:
        return 265 if run.by == "force" else 271
    return 256 + run.signal if run.signal else run.code


def write_moment(moment: float) -> str:
    """Write a moment as qstat does."""
    return time.strftime("%a %b %e %H:%M:%S %Y", time.localtime(moment))


def write_comment_moment(moment: float) -> str:
    """Write a moment as a job's comment does."""
    return time.strftime("%a %b %d at %H:%M", time.localtime(moment))


def write_span(seconds: float) -> str:
    """Write a span as `00:00:02`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d}"


def parse_span(text: str) -> float | None:
    """Read `[[HH:]MM:]SS[.MS]`; None for invalid."""
    if not re.fullmatch(r"\d+(:\d+){0,2}(\.\d+)?", text):
        return None
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def parse_size(text: str) -> int | None:
    """Read `100mb`; None for invalid."""
    match = re.fullmatch(r"(\d+)([kmgtp]?)([bw]?)", text, re.IGNORECASE)
    if match is None:
        return None
    unit: int = 1024 ** " kmgtp".index(match[2].lower() or " ")
    return int(match[1]) * unit * (8 if match[3].lower() == "w" else 1)


def write_indices(indices: Sequence[int]) -> str:
    """Write the indices that remain: `2-9`, `0,3-5`, `-` for none."""
    if not indices:
        return "-"
    parts: list[str] = []
    start = previous = indices[0]
    for index in [*indices[1:], None]:
        if index is not None and index == previous + 1:
            previous = index
            continue
        parts.append(str(start) if start == previous else f"{start}-{previous}")
        if index is not None:
            start = previous = index
    return ",".join(parts)


def refused(text: str, code: int) -> Refusal:
    """Refuse as qsub does."""
    return Refusal(f"qsub: {text}", code)
