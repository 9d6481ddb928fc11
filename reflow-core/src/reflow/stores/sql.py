"""The SQL store: SQLite by default, PostgreSQL where a team wants a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from reflow.errors import StoreError
from reflow.model.json import Json
from reflow.model.notes import Note
from reflow.model.records import (
    FailedInstance,
    Instance,
    Lease,
    LeaseRecord,
    Look,
    RequestKind,
    RequestRecord,
    RunRecord,
    StoredOutput,
    SubmissionRecord,
    Taker,
    TaskRecord,
)
from reflow.model.states import RunState, TaskState
from reflow.stores import filters, instances, reuse, runs, submissions
from reflow.stores.contract import FencedWriter
from reflow.stores.database import Database, Dialect
from reflow.stores.migrations import migrate
from reflow.stores.text import plain, plain_or_none
from reflow.stores.url import PostgresUrl, SqliteUrl, parse_url
from reflow.stores.writer import SqlWriter

PAGE = 1_000
"""Outputs read at a time."""


class SqlStore:
    """A manifest in a file (`sqlite:///path`) or on a server (`postgresql://user@host/db`).

    Nothing is opened before the first use. Threads may share a store; a forked process opens a
    connection of its own. What the methods promise stands in `reflow.stores.contract.Store`.
    """

    def __init__(self, url: str) -> None:
        """Raises `ConfigError` for a URL that is neither."""
        self._url = parse_url(url)
        self._database = Database(_dialect(self._url), migrate)

    def __repr__(self) -> str:
        return f"SqlStore({self._url.shown!r})"

    @property
    def url(self) -> str:
        """The URL that opens this store again, from any process and any folder."""
        return self._url.text

    def close(self) -> None:
        """Close the connection. Using the store again opens another."""
        self._database.close()

    # -- runs ------------------------------------------------------------------------------
    def create_run(self, run: RunRecord, tasks: Sequence[TaskRecord]) -> bool:
        """Insert a run and its tasks; False, and nothing written, when the id is taken."""
        with self._database.writing() as session:
            return runs.create(session, run, tasks)

    def run(self, run_id: str) -> RunRecord:
        """The run of that id."""
        with self._database.reading() as session:
            return runs.find(session, run_id)

    def list_runs(
        self,
        graph_name: str | None = None,
        limit: int | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        status: str | RunState | None = None,
    ) -> list[RunRecord]:
        """Runs, newest first. `since` is inclusive, `until` exclusive."""
        wanted = (
            graph_name,
            None if limit is None else filters.run_limit(limit),
            None if since is None else filters.run_time("since", since),
            None if until is None else filters.run_time("until", until),
            None if status is None else filters.run_state(status),
        )
        with self._database.reading() as session:
            return runs.listed(session, *wanted)

    def tasks(self, run_id: str) -> list[TaskRecord]:
        """The tasks of a run in topological order."""
        with self._database.reading() as session:
            return [task for _, task in runs.tasks(session, run_id)]

    def counts(self, run_id: str) -> dict[str, dict[TaskState, int]]:
        """By task, how many instances are in each state."""
        with self._database.reading() as session:
            return instances.counts(session, run_id)

    def reasons(self, run_id: str) -> dict[str, dict[str, int]]:
        """By task, why instances wait with the scheduler, and how many do."""
        with self._database.reading() as session:
            return instances.reasons(session, run_id)

    def cached(self, run_id: str) -> dict[str, int]:
        """By task, how many instances took their result from an earlier run; absent where none."""
        with self._database.reading() as session:
            return instances.cached(session, run_id)

    def retried(self, run_id: str) -> dict[str, int]:
        """By task, how many attempts its instances had after their first; absent where none."""
        with self._database.reading() as session:
            return instances.retried(session, run_id)

    def failures(
        self, run_id: str, task: str | None = None, limit: int | None = None
    ) -> list[FailedInstance]:
        """FAILED instances in order of task and index."""
        with self._database.reading() as session:
            return instances.failures(session, run_id, task, limit)

    def instances(
        self,
        run_id: str,
        task: str | None = None,
        states: Iterable[TaskState] | None = None,
    ) -> list[Instance]:
        """Instances in order of task and index."""
        with self._database.reading() as session:
            return instances.instances(session, run_id, task, states)

    def outputs(self, run_id: str, task: str) -> Iterator[tuple[int, str, str | None]]:
        """(index, output, paths) of every SUCCESS instance in index order; cached ones included."""
        with self._database.reading() as session:
            key, _ = runs.task(session, run_id, task)
        return self._outputs(run_id, task, key)

    def _outputs(self, run_id: str, task: str, key: int) -> Iterator[tuple[int, str, str | None]]:
        after = -1
        while True:
            with self._database.reading() as session:
                page = instances.outputs(session, key, after, PAGE)
            for index, output, paths in page:
                if output is None:
                    # Leaving it out would make a gathered list too short, in silence.
                    raise StoreError(
                        f"Element {index} of task {task!r} in run {run_id} succeeded, but the "
                        f"store holds no output of it; submit the workflow again with "
                        f"force_tasks=[{task!r}]"
                    )
                yield index, plain(output), plain_or_none(paths)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def log_of(self, run_id: str, task: str, index: int) -> str | None:
        """The recorded log of an instance's last attempt, relative to the run directory."""
        with self._database.reading() as session:
            key, _ = runs.task(session, run_id, task)
            return instances.log_of(session, key, index)

    def notes(self, run_id: str) -> list[Note]:
        """The notes on a run, in the order in which they were written."""
        with self._database.reading() as session:
            return runs.notes(session, run_id)

    # -- cache -----------------------------------------------------------------------------
    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        """By index, what that index had in the newest run in which it had that identity."""
        with self._database.reading() as session:
            return reuse.previous(session, taker, wanted)

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        """By identity, reusable results that the taker may take, those of later tasks first."""
        with self._database.reading() as session:
            return reuse.found(session, taker, looks)

    def taken_by_kin(self, taker: Taker) -> set[int]:
        """The keys of outputs that runs of the taker's kin have taken over."""
        with self._database.reading() as session:
            return reuse.taken_by_kin(session, taker)

    def output_keys(self, run_id: str, task: str) -> list[int]:
        """The keys of the outputs that SUCCESS instances have made or taken over, ascending."""
        with self._database.reading() as session:
            return instances.output_keys(session, runs.task(session, run_id, task)[0])

    def output(self, key: int) -> str:
        """The stored output of that key. Raises `NotFoundError` when there is none."""
        with self._database.reading() as session:
            return instances.output(session, key)

    # -- lease -----------------------------------------------------------------------------
    def lease(self, run_id: str) -> LeaseRecord:
        """Who dispatches the run."""
        with self._database.reading() as session:
            return runs.lease(session, run_id)

    def acquire(
        self, run_id: str, owner: Mapping[str, Json], seen: LeaseRecord | None = None
    ) -> Lease | None:
        """Take the lease if it is free, or, with `seen`, if (epoch, beat) is still as seen."""
        with self._database.writing() as session:
            return runs.acquire(session, run_id, owner, seen)

    def beat(self, lease: Lease) -> bool:
        """Show life. True when somebody has left a mark. Raises `LeaseLostError`."""
        with self._database.writing() as session:
            return runs.beat(session, lease)

    def leave_mark(self, run_id: str) -> None:
        """Ask the holder to go round once more."""
        with self._database.writing() as session:
            runs.set_mark(session, runs.key_of(session, run_id), True)

    def clear_mark(self, lease: Lease) -> None:
        """Take note of the mark, before going round. Raises `LeaseLostError`."""
        with self._database.writing() as session:
            runs.set_mark(session, runs.held(session, lease), False)

    def release(self, lease: Lease) -> bool:
        """Let go unless there is a mark; False when there is one, and the lease is kept."""
        with self._database.writing() as session:
            return runs.release(session, lease)

    @contextmanager
    def fenced(self, lease: Lease) -> Iterator[FencedWriter]:
        """One immediate transaction that begins by checking the epoch."""
        with self._database.writing() as session:
            yield SqlWriter(session, runs.held(session, lease))

    # -- submissions -----------------------------------------------------------------------
    def submissions(self, run_id: str, open_only: bool = True) -> list[SubmissionRecord]:
        """Submissions of a run by number; with `open_only` without those that are OVER."""
        with self._database.reading() as session:
            return submissions.submissions(session, run_id, open_only)

    def next_submission_number(self, run_id: str) -> int:
        """One more than the largest number in use."""
        with self._database.reading() as session:
            return submissions.next_number(session, run_id)

    def add_native_id(self, run_id: str, token: str, native_id: str) -> None:
        """Add an id to a submission's set; not fenced, and no error when it is there already."""
        with self._database.writing() as session:
            submissions.add_native_id(session, run_id, token, native_id)

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
        with self._database.writing() as session:
            request = RequestRecord(key=0, kind=kind, task=task, uid=uid, options=options or {})
            submissions.ask(session, run_id, request)

    def requests(self, run_id: str) -> list[RequestRecord]:
        """Wishes not yet carried out, oldest first."""
        with self._database.reading() as session:
            return submissions.requests(session, run_id)


def _dialect(url: SqliteUrl | PostgresUrl) -> Dialect:
    if isinstance(url, PostgresUrl):
        from reflow.stores.postgres import PostgresDialect

        return PostgresDialect(url)
    from reflow.stores.sqlite import SqliteDialect

    return SqliteDialect(url.path)
