"""What a dispatcher writes in one fenced transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property

from reflow.errors import NotFoundError
from reflow.model.attempts import Attempt
from reflow.model.notes import Note
from reflow.model.outcomes import Outcome, Reuse
from reflow.model.records import Instance, SubmissionRecord
from reflow.model.states import RunState, TaskState
from reflow.stores.bulk import batch, chunks
from reflow.stores.cleaning import results
from reflow.stores.database import Session
from reflow.stores.models import Attempt as AttemptTable
from reflow.stores.models import Instance as Table
from reflow.stores.models import Note as NoteTable
from reflow.stores.models import Request, Run, Submission, Task
from reflow.stores.rows import (
    ATTEMPT_COLUMNS,
    attempt_cells,
    instance_cells,
    moment,
    moment_or_none,
    outcome_cells,
    submission_values,
)
from reflow.stores.text import plain, stored
from reflow.suggest import did_you_mean

_KEY = ("task", "idx")

_NO_SUCCESS = (
    '("reflow_instance"."state" <> \'SUCCESS\' OR '
    '("reflow_instance"."output" IS NULL AND "reflow_instance"."source" IS NULL))'
)
"""True also for a SUCCESS without an output: its state was written earlier in this transaction."""


class SqlWriter:
    """The writes of one transaction on one run."""

    def __init__(self, session: Session, run: int) -> None:
        self._session = session
        self._run = run

    def set_run_state(self, state: RunState, message: str = "") -> None:
        """Set the run's state; a final one sets `finished_at`, RUNNING clears it."""
        self._session.execute(
            Run.update(
                state=state.value,
                message=stored(message),
                finished_at=moment(datetime.now(UTC)) if state.final else None,
            ).where(Run.id == self._run)
        )

    def set_task_size(self, task: str, size: int) -> None:
        """Record how many elements a task has."""
        self._session.execute(Task.update(size=size).where(Task.id == self._key_of(task)))

    def set_task_state(self, task: str, state: TaskState | None) -> None:
        """Record how a task ended before its elements were known; None clears that again."""
        word = None if state is None else state.value
        self._session.execute(Task.update(state=word).where(Task.id == self._key_of(task)))

    def add_instances(self, instances: Sequence[Instance]) -> None:
        """Insert new instances as they stand. Raises `StoreError` as `update_instances` does."""
        for chunk in chunks(instances):
            results.require(self._session, [one.source for one in chunk])
            cells = instance_cells(chunk, self._keys_of([one.task for one in chunk]))
            self._session.insert(batch(Table, cells))

    def replace_instances(self, instances: Sequence[Instance]) -> None:
        """Replace instances by new ones of the same task and index.

        Runs that took over a result of the old ones keep it.
        """
        self._keep_successes(instances)
        # The old rows stay, as other rows may refer to their keys, but belong to no run.
        parted = {
            Table.task: 0 - Table.task,
            Table.idx: 0 - Table.id,
            Table.reusable: Reuse.NEVER.value,
        }
        for name in {one.task for one in instances}:
            for chunk in chunks([one.index for one in instances if one.task == name]):
                mine = (Table.task == self._key_of(name)) & Table.idx.in_(list(chunk))
                self._session.execute(Table.update(parted).where(mine))
        self.add_instances(instances)

    def _keep_successes(self, instances: Sequence[Instance]) -> None:
        """Keep the tries by which instances that are replaced have succeeded."""
        columns = [getattr(AttemptTable, name) for name in ("task", *ATTEMPT_COLUMNS)]
        for name in {one.task for one in instances}:
            for chunk in chunks([one.index for one in instances if one.task == name]):
                computed = Table.source.is_null() & (Table.state == TaskState.SUCCESS.value)
                mine = (Table.task == self._key_of(name)) & Table.idx.in_(list(chunk))
                there = Table.select(*(getattr(Table, column.name) for column in columns))
                self._session.execute(
                    AttemptTable.insert_from(there.where(mine & computed), columns)
                )

    def update_instances(self, instances: Sequence[Instance]) -> None:
        """Write every field of instances.

        Raises `NotFoundError` when one is not there, and a `StoreError` that may pass where a
        result that one has taken over was removed since it was found.
        """
        for chunk in chunks(instances):
            results.require(self._session, [one.source for one in chunk])
            cells = instance_cells(chunk, self._keys_of([one.task for one in chunk]))
            found = self._session.update(batch(Table, cells, _KEY), _KEY)
            if found < len(chunk):
                raise NotFoundError(
                    f"{len(chunk) - found} of {len(chunk)} instances that were to be updated "
                    f"were never added; nothing was written"
                )

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write what instances ended with, unless they are SUCCESS: the first success stays."""
        now = moment(datetime.now(UTC))
        for chunk in chunks(outcomes):
            cells = outcome_cells(chunk, self._keys_of([one.task for one in chunk]), now)
            self._session.update(batch(Table, cells, _KEY, ("native_id",)), _KEY, _NO_SUCCESS)

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Keep tries of instances that did not succeed."""
        for chunk in chunks(attempts):
            tasks = self._keys_of([one.outcome.task for one in chunk])
            self._session.insert(batch(AttemptTable, attempt_cells(chunk, tasks)))

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Keep notes on the run; of those with the same task and key the first stays."""
        for note in notes:
            row = {"task": stored(note.task), "key": stored(note.key), "text": stored(note.text)}
            self._session.execute(NoteTable.insert(run=self._run, **row).on_conflict_ignore())

    def allow_reuse(self, wave: int) -> None:
        """Make those results of a wave reusable that were recorded with `Reuse.LATER`."""
        self._session.execute(
            Table.update(reusable=Reuse.NOW.value).where(
                Table.task.in_(list(self._keys.values()))
                & (Table.wave == wave)
                & (Table.reusable == Reuse.LATER.value)
            )
        )

    def refresh_paths(self, key: int, paths: str) -> None:
        """Replace what is recorded of the files of a stored output, which may be another run's."""
        self._session.execute(
            Table.update(paths=stored(paths)).where((Table.id == key) & Table.paths.is_null(False))
        )

    def add_submission(self, record: SubmissionRecord) -> None:
        """Record that a job or array is about to be submitted; `number` and `token` must be new."""
        self._session.execute(Submission.insert(run=self._run, **submission_values(record)))

    def update_submission(self, record: SubmissionRecord) -> None:
        """Write state and times. Raises `NotFoundError` for a number that was never added."""
        found = self._session.execute(
            Submission.update(
                state=record.state.value,
                submitted_at=moment_or_none(record.submitted_at),
                begins_at=moment_or_none(record.begins_at),
            ).where((Submission.run == self._run) & (Submission.number == record.number))
        )
        if not found:
            raise NotFoundError(f"The run has no submission number {record.number}")

    def drop_request(self, key: int) -> None:
        """Delete a user's request that has been carried out."""
        self._session.execute(
            Request.delete().where((Request.run == self._run) & (Request.id == key))
        )

    @cached_property
    def _keys(self) -> dict[str, int]:
        query = Task.select(Task.name, Task.id).where(Task.run == self._run)
        return {plain(name): key for name, key in self._session.rows(query)}

    def _keys_of(self, tasks: Sequence[str]) -> Sequence[int]:
        keys = {task: self._key_of(task) for task in set(tasks)}
        return [keys[task] for task in tasks]

    def _key_of(self, task: str) -> int:
        try:
            return self._keys[task]
        except KeyError:
            raise NotFoundError(
                f"The run has no task {task!r}{did_you_mean(task, self._keys)}"
            ) from None
