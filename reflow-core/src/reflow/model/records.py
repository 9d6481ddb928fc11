"""The rows of the manifest database, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from reflow.model.cleaning import Extent
from reflow.model.json import Json
from reflow.model.lineage import Kin
from reflow.model.states import FailureCause, RunState, TaskState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One submission of a workflow."""

    run_id: str
    workflow: str
    state: RunState
    run_dir: Path
    created_at: datetime
    """Aware, UTC; so are all times here."""
    finished_at: datetime | None = None
    executor: str = ""
    parameters: Mapping[str, Json]
    """Encoded, by keyword."""
    message: str = ""
    """Why the run ended, where there is more to say than its state."""
    uid: int | None = None
    """Number of the user who submitted it; the run directory decides whose it is."""
    lineage: str = ""
    """The elements it was started by, as `reflow.model.lineage` writes them; empty for most."""
    place: str = ""
    """The lineage without the runs: what is the same when those are repeated."""
    tags: tuple[str, ...] = ()
    """The words that its user gave it, to find it by."""
    cleaned_at: datetime | None = None
    """When its files were begun to be removed; None while it has them."""
    extent: Extent | None = None
    """What was to be removed then."""
    cleaning: bool = False
    """Whether that has begun and not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """One task of a run."""

    name: str
    ordinal: int
    """Place in the topological order, from 0."""
    array: bool
    size: int | None = None
    """Number of elements once it is known; 1 for a plain task."""
    state: TaskState | None = None
    """Set where a task ended (CANCELLED, SKIPPED) before its elements were known."""


@dataclass(slots=True, kw_only=True)
class Instance:
    """One execution unit. The dispatcher changes it in memory and hands it to the store."""

    task: str
    index: int
    """0 for a plain task."""
    state: TaskState = TaskState.PENDING
    attempt: int = 0
    """Number of tries submitted; the first is 1."""
    retries_used: int = 0
    """Retries spent of those that the task allows."""
    node_losses: int = 0
    """Tries lost to NODE or PREEMPTED since the last retry by hand."""
    wave: int | None = None
    """Number of the wave it was last submitted with."""
    position: int | None = None
    """Its position there."""
    identity: str | None = None
    """Full-length digest once all inputs are known; None before."""
    source: int | None = None
    """Key of the stored output that a cached instance took its result from."""
    cause: FailureCause | None = None
    error: str = ""
    """One line for users."""
    native_id: str = ""
    """The scheduler's id of the last job it ran in, element included as the scheduler writes it."""
    mem_scale: float = 1.0
    time_scale: float = 1.0
    missing_since: float | None = None
    """File server time at which its job was first seen to be gone, or unable ever to start."""
    not_before: float | None = None
    """File server time before which it must not be submitted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedInstance:
    """A FAILED instance, as users see it."""

    task: str
    index: int | None
    """None for a plain task."""
    cause: FailureCause | None
    error: str
    traceback: str
    log: str
    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutput:
    """A result that can be reused, without the value itself."""

    key: int
    """What `Instance.source` refers to."""
    identity: str
    paths: str | None
    bound_dir: str | None
    run_id: str
    order: tuple[int, int]
    """A number of its task, larger for later runs, and its index there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedResult:
    """How a result came about, and whether it may be reused, without the value itself."""

    key: int
    """As in `StoredOutput`."""
    run_id: str
    task: str
    index: int
    state: TaskState
    identity: str | None
    reusable: bool
    bound_dir: str | None
    """The run directory in which alone it may be reused; None for all."""
    paths: str | None
    """What is recorded of its files."""
    host: str
    started_at: datetime | None
    ended_at: datetime | None
    uid: int | None
    """Number of the user whose run computed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """A run that looks for results to reuse. It need not be in the store."""

    workflow: str
    place: str
    uid: int | None
    """The user whose results it may take, beside those of unknown users; None for all results."""
    kin: tuple[Kin, ...]
    """Runs whose results it may not take, itself among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A query for results of one identity."""

    identity: str
    limit: int
    """How many at most."""
    after: StoredOutput | None = None
    """The last one seen; None to begin with the first."""


class SubmissionKind(StrEnum):
    """The purpose of a submission."""

    WAVE = "wave"
    FOLLOW_UP = "follow-up"
    WATCHDOG = "watchdog"
    PILOTS = "pilots"
    """Jobs that run elements of all waves."""


class SubmissionState(StrEnum):
    """The progress of a submission."""

    INTENT = "intent"
    """Written down; the scheduler may or may not have it."""
    ACCEPTED = "accepted"
    """The scheduler has it; a wave without ids is open to pilots, and no scheduler has that."""
    CANCELLING = "cancelling"
    """To be cancelled; the scheduler has not confirmed that it is gone."""
    OVER = "over"
    """Nothing of it is outstanding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRecord:
    """A job or array that was, or is about to be, handed to the scheduler."""

    number: int
    """Unique in its run, from 1; a wave's number names its folder."""
    kind: SubmissionKind
    token: str
    state: SubmissionState = SubmissionState.INTENT
    task: str | None = None
    size: int | None = None
    """As in `JobRequest`."""
    follows: int | None = None
    """For a follow-up: the number of the wave, or of the pilots."""
    submitted_at: datetime | None = None
    begins_at: datetime | None = None
    """For a watchdog."""
    native_ids: tuple[str, ...] = ()
    """Every id the scheduler gave it; more than one when an answer was lost."""


class RequestKind(StrEnum):
    """What a user asks of a run; the holder of the lease carries it out."""

    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A user's request, waiting for the holder of the lease."""

    key: int
    kind: RequestKind
    task: str | None = None
    uid: int | None = None
    """Number of the user who asked."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """Further options of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """The dispatcher of a run, as any process can read it."""

    epoch: int
    heartbeat: int
    wakeup: bool
    owner: Mapping[str, Json] | None
    """None when the lease is free."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Proof of having taken a run over; every write is fenced by its epoch."""

    run_id: str
    epoch: int
