"""The data that passes between the engine and an executor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState

LOG_NAME = "scheduler.log"
"""In a request's directory: what the scheduler, and the script before its work, have to say."""

AGAIN_NAME = "again"
"""In a request's directory: a file that a job makes before it submits itself once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One plain job or one array to be submitted.

    `token` names the job and finds it again: ASCII, a letter first, `[A-Za-z0-9_-]`, at most 60
    characters. `command` is the argument list to run. With `size` None the job is plain and the
    command is complete; with `size` n (2 or more) the job is an array of n elements and the
    executor appends each element's position, 0 to n-1, as the last argument.
    """

    token: str
    command: tuple[str, ...]
    directory: Path
    """An existing folder for the rendered script and the scheduler's own output."""
    working_directory: Path
    resources: Resources = field(default_factory=Resources)
    size: int | None = None
    throttle: int | None = None
    """Most elements that may run at once; None for no limit."""
    begin_in: timedelta | None = None
    """Not to start before this much time has passed."""
    again_unless: Path | None = None
    """Where the command fails and that file is not there, the job may submit itself once more:
    under the same token, to start `begin_in` later, having made the file `AGAIN_NAME`. None for
    jobs that are submitted once."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables to set in the job, and nothing else of the submitter's."""
    excluded_hosts: tuple[str, ...] = ()
    label: str = ""
    """For users: workflow, run and task, any Unicode. Never parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobHandle:
    """A job that a scheduler has accepted."""

    native_id: str
    token: str = ""
    size: int | None = None
    """As in the request: None for a plain job."""
    submitted_at: datetime | None = None
    """Aware, UTC. Bounds how far back accounting is asked."""
    directory: Path | None = None
    """The request's folder. What the scheduler wrote there may explain why a job ended."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What `submit` returns: the work's handle, and the follow-up's where one was asked for."""

    job: JobHandle
    follow_up: JobHandle | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What a scheduler says of a job or of some positions of an array.

    `positions` None speaks of the whole job. UNKNOWN means that the scheduler does not know the
    job: neither success nor failure.
    """

    native_id: str
    state: JobState
    positions: range | None = None
    cause: FailureCause | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str = ""
    """The scheduler's own words: why it waits, why it failed."""
    host: str = ""
    impossible: bool = False
    """Queued, and never able to start as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a scheduler allows now. None where there is no limit or none is known."""

    max_array_size: int | None = None
    max_submit_jobs: int | None = None
    """Most jobs of this user in the queue at once, each array element counted."""
    queued_jobs: int = 0
    """How many of those places are taken now, by jobs of this run as by others."""
    max_whole_jobs: int | None = None
    """Most jobs of this user in the queue at once where an array counts once, however large."""
    queued_whole_jobs: int = 0
    """How many of those places are taken now."""
    cpus: int | None = None
    """CPUs that all jobs have together, where that is known: `per_job="auto"` asks for no more
    jobs than can run at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feasibility:
    """Whether a job could ever start, as far as its scheduler tells without taking it."""

    impossible: str = ""
    """Why no queue can ever run it, as the end of a sentence that begins with what asks for it;
    empty where one may, or nobody knows."""
    checked: tuple[str, ...] = ()
    """What of the request was compared with what there is: `cpus`, `mem`, `gpus`, `nodes`,
    `time`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an executor can do, known without asking the scheduler."""

    dispatch_jobs: bool = True
    """Runs go on by dispatch jobs of their own; False where a supervisor process dispatches."""
    volatile: bool = False
    """Queued work dies with the executor object; what its workers began may live on."""
    begin_time: bool = True
    """`JobRequest.begin_in` is honoured."""
    exclude_hosts: bool = False
    """`JobRequest.excluded_hosts` is honoured."""
    throttle: bool = True
    """`JobRequest.throttle` is honoured; False where only as many may be submitted at a time."""
    memory_limit: bool = True
    """The scheduler enforces memory; False where the request is only a hint."""
    whole_nodes: bool = False
    """`Resources.whole_nodes` is honoured: a job can have its nodes for itself."""
    notes: tuple[str, ...] = ()
    """What users of this executor must know that it cannot do, a sentence each."""
