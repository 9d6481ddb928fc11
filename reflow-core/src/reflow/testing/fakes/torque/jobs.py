"""Torque's site settings, its letters for states, its exit statuses and its errors."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from reflow.testing.fakes.face import Refusal
from reflow.testing.fakes.model import Phase, Run, Task, Why
from reflow.testing.fakes.pbs.jobs import SERVER, PbsJob, PbsSettings, waiting_state
from reflow.testing.fakes.torque.depend import Dependency

VERSION = "6.1.3"

# The server's error numbers; commands exit with the lowest eight bits.
UNKNOWN_JOB = 15001
UNAUTHORIZED = 15007
UNKNOWN_SIGNAL = 15015
BAD_VALUE = 15016
BAD_STATE = 15018
UNKNOWN_QUEUE = 15020
QUEUE_DISABLED = 15023
PROTOCOL = 15033
UNKNOWN_RESOURCE = 15037
EXCEEDS_QUEUE = 15038
NO_ATTRIBUTE = 15002
TOO_MANY_OF_USER = 15076
UNKNOWN_ARRAY = 15082
BAD_ARRAY = 15083

_ID = re.compile(r"(\d+)(?:\[(\d*)\])?(?:\.([\w.-]+))?(?:@[\w.-]+)?")


@dataclass
class TorqueSettings(PbsSettings):
    """What the site can set."""

    keep_completed: float = 300.0
    """For how many seconds a job is remembered once it is over; 0 on a fresh server."""
    kill_wait: float = 2.0
    """`kill_delay`: seconds from SIGTERM to SIGKILL."""
    max_array_size: int = 100000
    max_slot_limit: int | None = None
    """The most elements of an array that may run at once."""
    max_user_queuable: int | None = None
    """The most jobs and elements that a user may have, in all queues together."""
    queues: dict[str, dict[str, object]] = field(default_factory=lambda: {"batch": {}})
    """By name, the first is the default. Keys: enabled, started, max_user_queuable, max_mem
    (bytes), max_walltime (seconds)."""


@dataclass(kw_only=True)
class TorqueJob(PbsJob):
    """One qsub."""

    waits_for: list[Dependency] = field(default_factory=list)
    nodes_text: str = "1"
    """`Resource_List.nodes`."""


@dataclass(frozen=True)
class Reference:
    """An id as the user writes it: `24`, `24[]`, `24[3].node01`."""

    number: int
    is_array: bool
    index: int | None
    text: str

    @property
    def full(self) -> str:
        """With the server's name."""
        return self.text if "." in self.text else f"{self.text}.{SERVER}"


def parse_reference(text: str) -> Reference | None:
    """Read an id; None for what is none."""
    match = _ID.fullmatch(text)
    if match is None:
        return None
    index = int(match[2]) if match[2] else None
    return Reference(int(match[1]), match[2] == "", index, text)


def refused(text: str, error: int) -> Refusal:
    """Refuse a submission as the server does."""
    return Refusal(f"qsub: submit error ({text})", error & 255)


def job_of(task: Task) -> TorqueJob:
    """A task's job."""
    assert isinstance(task.job, TorqueJob)
    return task.job


def name_of(task: Task) -> str:
    """`Job_Name`: elements have their index in theirs."""
    return task.job.name if task.index is None else f"{task.job.name}-{task.index}"


def state_of(task: Task) -> str:
    """The letter of a plain job or an element."""
    if task.phase is Phase.RUNNING:
        return "S" if task.run is not None and task.run.suspended else "R"
    if task.phase is Phase.ENDING:
        return "R" if task.error != "E" else "E"
    if task.phase is Phase.OVER:
        return "C"
    return waiting_state(job_of(task))


def array_state_of(job: TorqueJob) -> str:
    """The letter of an array as a whole."""
    if job.is_over:
        return "C"
    return "R" if job.active else waiting_state(job)


def exit_status_of(task: Task) -> int | None:
    """`exit_status`; None where it never ran or is not over."""
    run = task.run
    if task.phase is not Phase.OVER or run is None or run.ended is None:
        return None
    return run_status(run)


def run_status(run: Run) -> int:
    """What the server makes of how a run ended."""
    if run.why is Why.WALLTIME:
        return -11
    if run.why is Why.MEMORY:
        return -10
    if run.why is Why.CANCELLED:
        return 265 if run.by == "force" else 271
    return 256 + run.signal if run.signal else run.code
