"""The contract of stores: what the engine asks of a manifest database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from reflow.model.attempts import Attempt
from reflow.model.cleaning import Extent, RowPosition, RunContents, StoreSize
from reflow.model.durations import Durations
from reflow.model.json import Json
from reflow.model.notes import Note
from reflow.model.outcomes import Outcome
from reflow.model.records import (
    FailedInstance,
    Instance,
    Lease,
    LeaseRecord,
    Look,
    RecordedResult,
    RequestKind,
    RequestRecord,
    RunRecord,
    StoredOutput,
    SubmissionRecord,
    Taker,
    TaskRecord,
)
from reflow.model.states import RunState, TaskState


class FencedWriter(Protocol):
    """The writes of one transaction, in bulk: all of them are committed or none."""

    def set_run_state(self, state: RunState, message: str = "") -> None:
        """Set the run's state; a final one sets `finished_at`, RUNNING clears it."""
        ...

    def set_task_size(self, task: str, size: int) -> None:
        """Record how many elements a task has."""
        ...

    def set_task_state(self, task: str, state: TaskState | None) -> None:
        """Record how a task ended before its elements were known; None clears that again."""
        ...

    def add_instances(self, instances: Sequence[Instance]) -> None:
        """Insert new instances as they stand."""
        ...

    def replace_instances(self, instances: Sequence[Instance]) -> None:
        """Replace instances by new ones of the same task and index.

        Runs that took over a result of the old ones keep it; no further run may take it.
        """
        ...

    def update_instances(self, instances: Sequence[Instance]) -> None:
        """Write every field of the instances; task and index tell which rows."""
        ...

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write what instances ended with: output, error, measurements and state.

        Only instances of this run that are not SUCCESS yet are written: the first success stays.
        A SUCCESS outcome clears cause, error and traceback. The instance's `attempt` is not
        changed, and its `native_id` only where the outcome has one.
        """
        ...

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Keep notes on the run; of those with the same task and key the first stays."""
        ...

    def allow_reuse(self, wave: int) -> None:
        """Make those results of a wave reusable that were recorded with `Reuse.LATER`."""
        ...

    def refresh_paths(self, key: int, paths: str) -> None:
        """Replace what is recorded of the files of a stored output, which may be another run's."""
        ...

    def add_submission(self, record: SubmissionRecord) -> None:
        """Record that a job or array is about to be submitted; `number` and `token` must be new."""
        ...

    def update_submission(self, record: SubmissionRecord) -> None:
        """Write state and times of a submission; its `native_ids` are not changed."""
        ...

    def drop_request(self, key: int) -> None:
        """Delete a user's request that has been carried out."""
        ...


@runtime_checkable
class Store(Protocol):
    """A manifest database for all of a user's runs. Safe in several processes at once.

    Methods raise `StoreError` when the database cannot be reached, with nothing written: then the
    dispatcher tries again later, unless the error is `lasting`. `NotFoundError` is raised for an
    unknown run.
    """

    @property
    def url(self) -> str:
        """The URL that opens this store again, from any process and any folder."""
        ...

    def close(self) -> None:
        """Close connections. Using the store again opens new ones."""
        ...

    # -- runs ------------------------------------------------------------------------------
    def create_run(self, run: RunRecord, tasks: Sequence[TaskRecord]) -> bool:
        """Insert a run and its tasks; return False, with nothing written, when the id is taken."""
        ...

    def run(self, run_id: str) -> RunRecord:
        """Return the record of a run."""
        ...

    def list_runs(
        self,
        graph_name: str | None = None,
        limit: int | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        status: str | RunState | None = None,
    ) -> list[RunRecord]:
        """Return runs, newest first; `since` is inclusive, `until` exclusive.

        Both are ISO 8601 or datetime; times without a zone are local. Raises `ParameterError` for
        a value that is no time or no state.
        """
        ...

    def tasks(self, run_id: str) -> list[TaskRecord]:
        """Return the tasks of a run in topological order."""
        ...

    def counts(self, run_id: str) -> dict[str, dict[TaskState, int]]:
        """Count each task's instances by state. Fast for runs of any size."""
        ...

    def reasons(self, run_id: str) -> dict[str, dict[str, int]]:
        """Count each task's SUBMITTED instances by the reason they wait for (their `error`).

        Tasks without a reason are absent.
        """
        ...

    def cached(self, run_id: str) -> dict[str, int]:
        """Count each task's instances with a result of an earlier run; absent where none."""
        ...

    def retried(self, run_id: str) -> dict[str, int]:
        """Count the attempts of each task's instances after the first; absent where none."""
        ...

    def failures(
        self, run_id: str, task: str | None = None, limit: int | None = None
    ) -> list[FailedInstance]:
        """Return FAILED instances in order of task and index."""
        ...

    def instances(
        self,
        run_id: str,
        task: str | None = None,
        states: Iterable[TaskState] | None = None,
    ) -> list[Instance]:
        """Return instances in order of task and index."""
        ...

    def outputs(self, run_id: str, task: str) -> Iterator[tuple[int, str, str | None]]:
        """Yield (index, output, paths) of every SUCCESS instance, in index order.

        A cached instance has the output and paths of its source. Rows are read while iterating, so
        that the outputs of a large task need not fit in memory.
        """
        ...

    def log_of(self, run_id: str, task: str, index: int) -> str | None:
        """Return the log of an instance's last attempt, relative to the run directory."""
        ...

    def durations(self, workflow: str, task: str) -> Durations | None:
        """Return how long elements of a task took that succeeded in its newest runs.

        A few runs and some hundred elements are enough. None where no duration is known.
        """
        ...

    def notes(self, run_id: str) -> list[Note]:
        """Return the notes on a run, in the order in which they were written."""
        ...

    # -- cache -----------------------------------------------------------------------------
    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        """Return, by index, its result in the newest run in which it had the wanted identity.

        `wanted` holds indexes and their identities. Only runs of the taker's workflow and place
        count. An instance's result is the one that it computed or, with a `source`, took over.
        Absent are indexes without a result, and those whose result the taker may not take: not
        reusable, of another user, or computed by a run of `kin`.
        """
        ...

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        """Return, by identity, reusable results that the taker may take.

        Results of tasks added later come first, those of one task in index order; at most `limit`
        of them, beginning behind `after` where a look has one. Identities without any are absent.
        """
        ...

    def taken_by_kin(self, taker: Taker) -> set[int]:
        """Return the keys of outputs that runs of the taker's kin have taken over."""
        ...

    def output_keys(self, run_id: str, task: str) -> list[int]:
        """Return the output keys of SUCCESS instances, computed or taken over, ascending."""
        ...

    def output(self, key: int) -> str:
        """Return the stored output of that key."""
        ...

    # -- lease -----------------------------------------------------------------------------
    def lease(self, run_id: str) -> LeaseRecord:
        """Return the lease of a run, which names its dispatcher."""
        ...

    def acquire(
        self, run_id: str, owner: Mapping[str, Json], seen: LeaseRecord | None = None
    ) -> Lease | None:
        """Take the lease if it is free, or, with `seen`, if (epoch, heartbeat) is still as seen.

        Taking it raises the epoch. Returns None where the lease is held.
        """
        ...

    def heartbeat(self, lease: Lease) -> bool:
        """Write a heartbeat; return True where a wakeup was requested. Raises `LeaseLostError`."""
        ...

    def request_wakeup(self, run_id: str) -> None:
        """Request a wakeup: ask the holder of the lease to take another dispatch step."""
        ...

    def clear_wakeup(self, lease: Lease) -> None:
        """Clear the wakeup, before the step that answers it."""
        ...

    def release(self, lease: Lease) -> bool:
        """Release the lease, unless a wakeup was requested: then keep it and return False."""
        ...

    def fenced(self, lease: Lease) -> AbstractContextManager[FencedWriter]:
        """Open an immediate transaction that begins by checking the epoch.

        Raises `LeaseLostError` and writes nothing when another process has taken the lease. An
        exception in the block rolls everything back.
        """
        ...

    # -- submissions -----------------------------------------------------------------------
    def submissions(self, run_id: str, open_only: bool = True) -> list[SubmissionRecord]:
        """Return the submissions of a run by number; `open_only` leaves out those that are OVER."""
        ...

    def next_submission_number(self, run_id: str) -> int:
        """Return the largest submission number of the run plus one."""
        ...

    def add_native_id(self, run_id: str, token: str, native_id: str) -> None:
        """Add a native id to a submission, without a lease; one that is there is no error."""
        ...

    # -- requests of users -----------------------------------------------------------------
    def add_request(
        self,
        run_id: str,
        kind: RequestKind,
        task: str | None = None,
        *,
        uid: int | None = None,
        options: Mapping[str, Json] | None = None,
    ) -> None:
        """Leave a request for the holder of the lease, and a wakeup, in one transaction."""
        ...

    def requests(self, run_id: str) -> list[RequestRecord]:
        """Return requests not yet carried out, oldest first."""
        ...


@runtime_checkable
class KeepsAttempts(Protocol):
    """A fenced writer that keeps every try of an instance, not the last one only."""

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep tries of instances that did not succeed."""
        ...


@runtime_checkable
class ReadsAttempts(Protocol):
    """A store whose writers keep every try of an instance."""

    def attempts(self, run_id: str, task: str | None = None) -> Iterator[Attempt]:
        """Yield the tries that have ended, in order of task, index and attempt.

        An instance whose result was taken over from another run has none. Rows are read while
        iterating, so that the tries of a large task need not fit in memory.
        """
        ...


@runtime_checkable
class TellsOrigins(Protocol):
    """A store that counts the runs whose results a run took over."""

    def origins(self, run_id: str) -> dict[str, dict[str, int]]:
        """Count each task's results of earlier runs by the id of the run, the largest first.

        Tasks without any are absent, and runs that the store no longer has.
        """
        ...


@runtime_checkable
class FindsInstance(Protocol):
    """A store that reads one instance without the others of its task."""

    def instance(self, run_id: str, task: str, index: int) -> Instance | None:
        """Return an instance; None where the task has none of that index yet."""
        ...


@runtime_checkable
class TracesResults(Protocol):
    """A store that tells where results came from; without it `explain` says less."""

    def result_of(self, key: int) -> RecordedResult | None:
        """Return how the result of that key came about; None where there is none any more."""
        ...

    def result_at(self, run_id: str, task: str, index: int) -> RecordedResult | None:
        """Return what is recorded of an element; None where the task has none of that index."""
        ...

    def sources(self, run_id: str, task: str) -> dict[str, int]:
        """Count a task's elements by the run whose result they took over, most of them first."""
        ...


@runtime_checkable
class CleansUp(Protocol):
    """A store from which records of runs are removed, and in which results are forgotten.

    Each method is one short transaction, so that dispatchers beside it hardly wait. A result that
    any instance has taken over is never removed. A transaction that records an instance with a
    `source` which is not there any more must fail with a `StoreError` that may pass.
    """

    def size(self) -> StoreSize:
        """Return how large the store is."""
        ...

    def instance_counts(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Count the instances of each of some runs; absent where there are none."""
        ...

    def contents(self, run_id: str) -> RunContents:
        """Count what there is of a run."""
        ...

    def begin_cleaning(self, lease: Lease, extent: Extent) -> None:
        """Record that a run is being cleaned up.

        From then on its results are offered only where `extent` leaves them. Raises
        `NotReadyError` where the run has not ended, where submissions of it are not over, and
        where a request waits.
        """
        ...

    def remove_records(
        self, lease: Lease, extent: Extent, position: RowPosition, most: int
    ) -> RowPosition | None:
        """Look at about `most` records of a run and delete those that nothing needs.

        Return where to go on; None at the end.
        """
        ...

    def result_paths(self, run_id: str) -> Iterator[str]:
        """Yield what is recorded of the files of each result that is left of a run."""
        ...

    def end_cleaning(self, lease: Lease) -> bool:
        """Record that a run is cleaned up, and release its lease; return whether it is gone."""
        ...

    def shrink(self, most: int) -> int:
        """Give at most so many bytes of unused space back; return how many it were."""
        ...

    def results_had(self, run_id: str, task: str) -> Iterator[tuple[int, str, int]]:
        """Yield index, identity and the result's key of each instance that has succeeded."""
        ...

    def offered(self, identities: Sequence[str]) -> list[tuple[int, int | None]]:
        """Return key and user of every result that the cache may offer for some identities."""
        ...

    def forbid_reuse(self, keys: Sequence[int]) -> None:
        """Let the cache offer results no more; instances that have them keep them."""
        ...


@runtime_checkable
class ReadsNewest(Protocol):
    """A store that reads a few instances of a large run without the others."""

    def newest_failures(
        self, run_id: str, task: str | None = None, *, limit: int
    ) -> list[FailedInstance]:
        """Return FAILED instances, those recorded last first, without their tracebacks."""
        ...

    def running(self, run_id: str, task: str | None = None, *, limit: int) -> list[Instance]:
        """Return RUNNING instances in order of task and index."""
        ...

    def finished_since(self, run_id: str, since: float) -> dict[str, tuple[int, float]]:
        """Count each task's instances whose attempt ended at `since` or later.

        Beside the number stands when the first of them began. Both times are in seconds since
        1970. Tasks without any are absent.
        """
        ...


def newest_failures(
    store: Store, run_id: str, task: str | None = None, *, limit: int
) -> list[FailedInstance]:
    """Return FAILED instances, the newest first where the store can tell."""
    if isinstance(store, ReadsNewest):
        return store.newest_failures(run_id, task, limit=limit)
    return store.failures(run_id, task, limit)


def running_instances(
    store: Store, run_id: str, task: str | None = None, *, limit: int
) -> list[Instance]:
    """Return at most `limit` RUNNING instances in order of task and index."""
    if isinstance(store, ReadsNewest):
        return store.running(run_id, task, limit=limit)
    return store.instances(run_id, task, (TaskState.RUNNING,))[:limit]


def finished_since(store: Store, run_id: str, since: float) -> dict[str, tuple[int, float]]:
    """Count what has ended lately, as `ReadsNewest` says; nothing where the store cannot tell."""
    return store.finished_since(run_id, since) if isinstance(store, ReadsNewest) else {}


def find_instance(store: Store, run_id: str, task: str, index: int) -> Instance | None:
    """Return an instance, from one row where the store can read it alone; None without it."""
    if isinstance(store, FindsInstance):
        return store.instance(run_id, task, index)
    return next((each for each in store.instances(run_id, task) if each.index == index), None)
