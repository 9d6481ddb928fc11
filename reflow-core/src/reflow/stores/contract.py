"""The contract of stores: what the engine asks of a manifest database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from reflow.model.json import Json
from reflow.model.notes import Note
from reflow.model.records import (
    FailedInstance,
    Instance,
    Lease,
    LeaseRecord,
    Look,
    Outcome,
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
    """Writes of one transaction. All of them land or none; bulk by nature."""

    def set_run_state(self, state: RunState, message: str = "") -> None:
        """Set the run's state; a final one sets `finished_at`, RUNNING clears it."""
        ...

    def set_task_size(self, task: str, size: int) -> None:
        """Record how many elements a task has."""
        ...

    def set_task_state(self, task: str, state: TaskState | None) -> None:
        """Record how a task ended before its elements were known; None takes that back."""
        ...

    def add_instances(self, instances: Sequence[Instance]) -> None:
        """Insert new instances as they stand."""
        ...

    def replace_instances(self, instances: Sequence[Instance]) -> None:
        """Put new instances in the place of others of the same task and index.

        What those have given to instances of other runs stays; nobody is given it any more.
        """
        ...

    def update_instances(self, instances: Sequence[Instance]) -> None:
        """Write every field of `Instance` but the identity's row key (task, index)."""
        ...

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write what instances ended with: output, error, measurements and state.

        Only for instances of this run that are not SUCCESS yet: the first success stays.
        A SUCCESS outcome clears cause, error and traceback. The instance's `attempt` is left
        alone, and so is its `native_id` where the outcome has none.
        """
        ...

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Keep notes on the run; of those with the same task and key the first stays."""
        ...

    def allow_reuse(self, wave: int) -> None:
        """Make the results of a wave reusable that were recorded with `Reuse.LATER`."""
        ...

    def refresh_paths(self, key: int, paths: str) -> None:
        """Replace what is recorded of the files of a stored output, of whatever run."""
        ...

    def add_submission(self, record: SubmissionRecord) -> None:
        """Write an intent. `number` and `token` must be new."""
        ...

    def update_submission(self, record: SubmissionRecord) -> None:
        """Write state and times of a submission; `native_ids` are left alone."""
        ...

    def drop_request(self, key: int) -> None:
        """Forget a person's wish that has been carried out."""
        ...


@runtime_checkable
class Store(Protocol):
    """A manifest database for all of a user's runs. Safe in several processes at once.

    Methods raise `StoreError` when the database cannot be reached, and `NotFoundError` for an
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
        """Insert a run and its tasks; False, and nothing written, when the id is taken."""
        ...

    def run(self, run_id: str) -> RunRecord:
        """The run of that id."""
        ...

    def list_runs(
        self,
        graph_name: str | None = None,
        limit: int | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        status: str | RunState | None = None,
    ) -> list[RunRecord]:
        """Runs, newest first. `since` is inclusive, `until` exclusive, both ISO 8601 or datetime.

        Times without a zone are local. Raises `ParameterError` for what is no time or state.
        """
        ...

    def tasks(self, run_id: str) -> list[TaskRecord]:
        """The tasks of a run in topological order."""
        ...

    def counts(self, run_id: str) -> dict[str, dict[TaskState, int]]:
        """By task, how many instances are in each state. Fast for runs of any size."""
        ...

    def reasons(self, run_id: str) -> dict[str, dict[str, int]]:
        """By task, why SUBMITTED instances wait (their `error`), and how many do.

        Tasks with nothing to say are absent.
        """
        ...

    def cached(self, run_id: str) -> dict[str, int]:
        """By task, how many instances took their result from an earlier run; absent where none."""
        ...

    def retried(self, run_id: str) -> dict[str, int]:
        """By task, how many attempts its instances had after their first; absent where none."""
        ...

    def failures(
        self, run_id: str, task: str | None = None, limit: int | None = None
    ) -> list[FailedInstance]:
        """FAILED instances in order of task and index."""
        ...

    def instances(
        self,
        run_id: str,
        task: str | None = None,
        states: Iterable[TaskState] | None = None,
    ) -> list[Instance]:
        """Instances in order of task and index."""
        ...

    def outputs(self, run_id: str, task: str) -> Iterator[tuple[int, str, str | None]]:
        """(index, output, paths) of every SUCCESS instance in index order; cached ones included.

        Of a cached one, both are those of its source.
        Reads as it goes, so that a large task does not have to fit in memory.
        """
        ...

    def log_of(self, run_id: str, task: str, index: int) -> str | None:
        """The recorded log of an instance's last attempt, relative to the run directory."""
        ...

    def notes(self, run_id: str) -> list[Note]:
        """The notes on a run, in the order in which they were written."""
        ...

    # -- cache -----------------------------------------------------------------------------
    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        """By index, what that index had in the newest run in which it had that identity.

        `wanted` are indexes and their identities. Only runs of the taker's workflow and place
        count. What an instance had is the result that it made or, with a `source`, took over.
        Indexes are absent that had none, or one that is not the taker's to take: not reusable,
        of another user, or made by a run of `kin`.
        """
        ...

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        """By identity, reusable results that the taker may take.

        Those of tasks added later come before others, and those of one task in index order; the
        first `limit` of them, or of those behind `after`. Identities without any are absent.
        """
        ...

    def taken_by_kin(self, taker: Taker) -> set[int]:
        """The keys of outputs that runs of the taker's kin have taken over."""
        ...

    def output_keys(self, run_id: str, task: str) -> list[int]:
        """The keys of the outputs that SUCCESS instances have made or taken over, ascending."""
        ...

    def output(self, key: int) -> str:
        """The stored output of that key."""
        ...

    # -- lease -----------------------------------------------------------------------------
    def lease(self, run_id: str) -> LeaseRecord:
        """Who dispatches the run."""
        ...

    def acquire(
        self, run_id: str, owner: Mapping[str, Json], seen: LeaseRecord | None = None
    ) -> Lease | None:
        """Take the lease if it is free, or, with `seen`, if (epoch, beat) is still as seen.

        None when it is not to be had. Taking it raises the epoch.
        """
        ...

    def beat(self, lease: Lease) -> bool:
        """Show life. True when somebody has left a mark. Raises `LeaseLostError`."""
        ...

    def leave_mark(self, run_id: str) -> None:
        """Ask the holder to go round once more."""
        ...

    def clear_mark(self, lease: Lease) -> None:
        """Take note of the mark, before going round."""
        ...

    def release(self, lease: Lease) -> bool:
        """Let go unless there is a mark; False when there is one, and the lease is kept."""
        ...

    def fenced(self, lease: Lease) -> AbstractContextManager[FencedWriter]:
        """One immediate transaction that begins by checking the epoch.

        Raises `LeaseLostError` and writes nothing when another has taken over. An exception in
        the block rolls everything back.
        """
        ...

    # -- submissions -----------------------------------------------------------------------
    def submissions(self, run_id: str, open_only: bool = True) -> list[SubmissionRecord]:
        """Submissions of a run by number; with `open_only` without those that are OVER."""
        ...

    def next_submission_number(self, run_id: str) -> int:
        """One more than the largest number in use."""
        ...

    def add_native_id(self, run_id: str, token: str, native_id: str) -> None:
        """Add an id to a submission's set; not fenced, and no error when it is there already."""
        ...

    # -- what people ask -------------------------------------------------------------------
    def add_request(
        self,
        run_id: str,
        kind: RequestKind,
        task: str | None = None,
        *,
        uid: int | None = None,
        options: Mapping[str, Json] | None = None,
    ) -> None:
        """Leave a wish and a mark for the holder of the lease, in one transaction."""
        ...

    def requests(self, run_id: str) -> list[RequestRecord]:
        """Wishes not yet carried out, oldest first."""
        ...
