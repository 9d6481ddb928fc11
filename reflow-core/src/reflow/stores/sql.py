"""The SQL store: SQLite by default, PostgreSQL where a team wants a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from reflow.errors import StoreError
from reflow.model.attempts import Attempt
from reflow.model.cleaning import Extent, RowPosition, RunContents, StoreSize
from reflow.model.durations import Durations
from reflow.model.json import Json
from reflow.model.notes import Note
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
from reflow.stores import filters, instances, reuse, runs, submissions
from reflow.stores.cleaning import removal, results
from reflow.stores.contract import FencedWriter
from reflow.stores.database import Database, Dialect
from reflow.stores.migrations import migrate
from reflow.stores.text import plain, plain_or_none
from reflow.stores.url import PostgresUrl, SqliteUrl, parse_url
from reflow.stores.writer import SqlWriter

PAGE = 1_000
"""Outputs read by one query."""


class SqlStore:
    """A manifest in a file (`sqlite:///path`) or on a server (`postgresql://user@host/db`).

    Nothing is opened before the first use. Threads may share a store; a forked process opens a
    connection of its own. What the methods promise stands in `reflow.stores.contract.Store`.
    """

    def __init__(self, url: str) -> None:
        """Parse the URL. Raises `ConfigError` where it is neither SQLite's nor PostgreSQL's."""
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
        """Insert a run and its tasks; return False, with nothing written, when the id is taken."""
        with self._database.writing() as session:
            return runs.create(session, run, tasks)

    def run(self, run_id: str) -> RunRecord:
        """Return the record of a run."""
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
        """Return runs, newest first; `since` is inclusive, `until` exclusive."""
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
        """Return the tasks of a run in topological order."""
        with self._database.reading() as session:
            return [task for _, task in runs.tasks(session, run_id)]

    def counts(self, run_id: str) -> dict[str, dict[TaskState, int]]:
        """Count each task's instances by state."""
        with self._database.reading() as session:
            return instances.counts(session, run_id)

    def reasons(self, run_id: str) -> dict[str, dict[str, int]]:
        """Count each task's SUBMITTED instances by the reason they wait for (their `error`)."""
        with self._database.reading() as session:
            return instances.reasons(session, run_id)

    def cached(self, run_id: str) -> dict[str, int]:
        """Count each task's instances with a result of an earlier run; absent where none."""
        with self._database.reading() as session:
            return instances.cached(session, run_id)

    def origins(self, run_id: str) -> dict[str, dict[str, int]]:
        """Count each task's results of earlier runs by the id of the run, the largest first."""
        with self._database.reading() as session:
            return instances.origins(session, run_id)

    def retried(self, run_id: str) -> dict[str, int]:
        """Count the attempts of each task's instances after the first; absent where none."""
        with self._database.reading() as session:
            return instances.retried(session, run_id)

    def failures(
        self, run_id: str, task: str | None = None, limit: int | None = None
    ) -> list[FailedInstance]:
        """Return FAILED instances in order of task and index."""
        with self._database.reading() as session:
            return instances.failures(session, run_id, task, limit)

    def instances(
        self,
        run_id: str,
        task: str | None = None,
        states: Iterable[TaskState] | None = None,
    ) -> list[Instance]:
        """Return instances in order of task and index."""
        with self._database.reading() as session:
            return instances.instances(session, run_id, task, states)

    def instance(self, run_id: str, task: str, index: int) -> Instance | None:
        """Return an instance; None where the task has none of that index yet."""
        with self._database.reading() as session:
            key, _ = runs.task(session, run_id, task)
            return instances.instance(session, key, task, index)

    def newest_failures(
        self, run_id: str, task: str | None = None, *, limit: int
    ) -> list[FailedInstance]:
        """Return FAILED instances, those recorded last first, without their tracebacks."""
        with self._database.reading() as session:
            return instances.newest_failures(session, run_id, task, limit)

    def running(self, run_id: str, task: str | None = None, *, limit: int) -> list[Instance]:
        """Return RUNNING instances in order of task and index."""
        with self._database.reading() as session:
            return instances.running(session, run_id, task, limit)

    def finished_since(self, run_id: str, since: float) -> dict[str, tuple[int, float]]:
        """Count each task's instances that ended lately, and tell when the first of them began."""
        with self._database.reading() as session:
            return instances.finished_since(session, run_id, since)

    def attempts(self, run_id: str, task: str | None = None) -> Iterator[Attempt]:
        """Yield the tries that have ended, in order of task, index and attempt."""
        with self._database.reading() as session:
            chosen = instances.chosen(session, run_id, task)
        for key, record in chosen:
            after = -1
            while True:
                with self._database.reading() as session:
                    page = instances.attempts(session, key, record.name, after, PAGE)
                yield from page.attempts
                if page.is_last:
                    break
                after = page.until

    def result_of(self, key: int) -> RecordedResult | None:
        """Return how the result of that key came about; None where there is none any more."""
        with self._database.reading() as session:
            return instances.result_of(session, key)

    def result_at(self, run_id: str, task: str, index: int) -> RecordedResult | None:
        """Return what is recorded of an element; None where the task has none of that index."""
        with self._database.reading() as session:
            return instances.result_at(session, runs.task(session, run_id, task)[0], index)

    def sources(self, run_id: str, task: str) -> dict[str, int]:
        """Count a task's elements by the run whose result they took over, most of them first."""
        with self._database.reading() as session:
            return instances.sources(session, runs.task(session, run_id, task)[0])

    def outputs(self, run_id: str, task: str) -> Iterator[tuple[int, str, str | None]]:
        """Yield (index, output, paths) of every SUCCESS instance, in index order."""
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
                    # Leaving it out would silently make a gathered list too short.
                    raise StoreError(
                        f"Element {index} of task {task!r} in run {run_id} succeeded, but the "
                        f"store holds no output of it; submit the workflow again with "
                        f"force_tasks=[{task!r}]",
                        lasting=True,
                    )
                yield index, plain(output), plain_or_none(paths)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def log_of(self, run_id: str, task: str, index: int) -> str | None:
        """Return the log of an instance's last attempt, relative to the run directory."""
        with self._database.reading() as session:
            key, _ = runs.task(session, run_id, task)
            return instances.log_of(session, key, index)

    def durations(self, workflow: str, task: str) -> Durations | None:
        """Return how long elements took that succeeded in the newest runs; None if none did."""
        with self._database.reading() as session:
            return instances.durations(session, workflow, task)

    def notes(self, run_id: str) -> list[Note]:
        """Return the notes on a run, in the order in which they were written."""
        with self._database.reading() as session:
            return runs.notes(session, run_id)

    # -- cache -----------------------------------------------------------------------------
    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        """Return, by index, its result in the newest run in which it had the wanted identity."""
        with self._database.reading() as session:
            return reuse.previous(session, taker, wanted)

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        """Return, by identity, reusable results that the taker may take, later tasks first."""
        with self._database.reading() as session:
            return reuse.found(session, taker, looks)

    def taken_by_kin(self, taker: Taker) -> set[int]:
        """Return the keys of outputs that runs of the taker's kin have taken over."""
        with self._database.reading() as session:
            return reuse.taken_by_kin(session, taker)

    def output_keys(self, run_id: str, task: str) -> list[int]:
        """Return the output keys of SUCCESS instances, computed or taken over, ascending."""
        with self._database.reading() as session:
            return instances.output_keys(session, runs.task(session, run_id, task)[0])

    def output(self, key: int) -> str:
        """Return the stored output of that key. Raises `NotFoundError` when there is none."""
        with self._database.reading() as session:
            return instances.output(session, key)

    # -- lease -----------------------------------------------------------------------------
    def lease(self, run_id: str) -> LeaseRecord:
        """Return the lease of a run, which names its dispatcher."""
        with self._database.reading() as session:
            return runs.lease(session, run_id)

    def acquire(
        self, run_id: str, owner: Mapping[str, Json], seen: LeaseRecord | None = None
    ) -> Lease | None:
        """Take the lease if it is free, or, with `seen`, if (epoch, heartbeat) is still as seen."""
        with self._database.writing() as session:
            return runs.acquire(session, run_id, owner, seen)

    def heartbeat(self, lease: Lease) -> bool:
        """Write a heartbeat; return True where a wakeup was requested. Raises `LeaseLostError`."""
        with self._database.writing() as session:
            return runs.heartbeat(session, lease)

    def request_wakeup(self, run_id: str) -> None:
        """Request a wakeup: ask the holder of the lease to take another dispatch step."""
        with self._database.writing() as session:
            runs.set_wakeup(session, runs.key_of(session, run_id), True)

    def clear_wakeup(self, lease: Lease) -> None:
        """Clear the wakeup, before the step that answers it. Raises `LeaseLostError`."""
        with self._database.writing() as session:
            runs.set_wakeup(session, runs.held(session, lease), False)

    def release(self, lease: Lease) -> bool:
        """Release the lease, unless a wakeup was requested: then keep it and return False."""
        with self._database.writing() as session:
            return runs.release(session, lease)

    @contextmanager
    def fenced(self, lease: Lease) -> Iterator[FencedWriter]:
        """Open an immediate transaction that begins by checking the epoch."""
        with self._database.writing() as session:
            yield SqlWriter(session, runs.held(session, lease))

    # -- submissions -----------------------------------------------------------------------
    def submissions(self, run_id: str, open_only: bool = True) -> list[SubmissionRecord]:
        """Return the submissions of a run by number; `open_only` leaves out those that are OVER."""
        with self._database.reading() as session:
            return submissions.submissions(session, run_id, open_only)

    def next_submission_number(self, run_id: str) -> int:
        """Return the largest submission number of the run plus one."""
        with self._database.reading() as session:
            return submissions.next_number(session, run_id)

    def add_native_id(self, run_id: str, token: str, native_id: str) -> None:
        """Add a native id to a submission, without a lease; one that is there is no error."""
        with self._database.writing() as session:
            submissions.add_native_id(session, run_id, token, native_id)

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
        with self._database.writing() as session:
            request = RequestRecord(key=0, kind=kind, task=task, uid=uid, options=options or {})
            submissions.ask(session, run_id, request)

    def requests(self, run_id: str) -> list[RequestRecord]:
        """Return requests not yet carried out, oldest first."""
        with self._database.reading() as session:
            return submissions.requests(session, run_id)

    # -- cleaning up -----------------------------------------------------------------------
    def size(self) -> StoreSize:
        """Return how large the database is."""
        with self._database.reading() as session:
            return session.dialect.size(session)

    def instance_counts(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Count the instances of each of some runs; absent where there are none."""
        with self._database.reading() as session:
            return removal.instance_counts(session, run_ids)

    def contents(self, run_id: str) -> RunContents:
        """Count what there is of a run."""
        with self._database.reading() as session:
            return removal.contents(session, run_id)

    def begin_cleaning(self, lease: Lease, extent: Extent) -> None:
        """Record that a run is being cleaned up. Raises `NotReadyError`."""
        with self._database.writing() as session:
            removal.begin(session, lease, extent)

    def remove_records(
        self, lease: Lease, extent: Extent, position: RowPosition, most: int
    ) -> RowPosition | None:
        """Look at about `most` records of a run and delete those that nothing needs."""
        with self._database.writing() as session:
            further = removal.remove(session, lease, extent, position, most)
        self._database.settle()
        return further

    def result_paths(self, run_id: str) -> Iterator[str]:
        """Yield what is recorded of the files of each result that is left of a run."""
        position: RowPosition | None = RowPosition()
        while position is not None:
            with self._database.reading() as session:
                found, position = removal.result_paths(session, run_id, position)
            yield from found

    def end_cleaning(self, lease: Lease) -> bool:
        """Record that a run is cleaned up, and release its lease; return whether it is gone."""
        with self._database.writing() as session:
            return removal.end(session, lease)

    def shrink(self, most: int) -> int:
        """Give at most so many bytes of unused space back; return how many it were."""
        with self._database.writing() as session:
            given = session.dialect.shrink(session, most)
        self._database.settle()
        return given

    def results_had(self, run_id: str, task: str) -> Iterator[tuple[int, str, int]]:
        """Yield index, identity and the result's key of each instance that has succeeded."""
        after = -1
        while True:
            with self._database.reading() as session:
                page = results.results_had(session, run_id, task, after, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1][0]

    def offered(self, identities: Sequence[str]) -> list[tuple[int, int | None]]:
        """Return key and user of every result that the cache may offer for some identities."""
        with self._database.reading() as session:
            return results.offered(session, identities)

    def forbid_reuse(self, keys: Sequence[int]) -> None:
        """Let the cache offer results no more; instances that have them keep them."""
        with self._database.writing() as session:
            results.forbid_reuse(session, keys)


def _dialect(url: SqliteUrl | PostgresUrl) -> Dialect:
    if isinstance(url, PostgresUrl):
        from reflow.stores.postgres import PostgresDialect

        return PostgresDialect(url)
    from reflow.stores.sqlite import SqliteDialect

    return SqliteDialect(url.path)
