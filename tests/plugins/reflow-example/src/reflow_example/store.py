"""A manifest in one SQLite file, with the standard library alone.

Columns of tables have the names of the records' fields, so a few functions convert rows to records
and back. Text is written as JSON: that is ASCII, whatever file names and error messages contain.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from reflow.plugin_api import (
    Durations,
    FailedInstance,
    FencedWriter,
    Instance,
    Json,
    Lease,
    LeaseLostError,
    LeaseRecord,
    Look,
    Note,
    NotFoundError,
    Outcome,
    RequestKind,
    RequestRecord,
    RunRecord,
    RunState,
    StoredOutput,
    StoreError,
    StoreVersionError,
    SubmissionRecord,
    SubmissionState,
    Taker,
    TaskRecord,
    TaskState,
    did_you_mean,
    run_limit,
    run_state,
    run_time,
)

# [start:schema]
SCHEMA = 1
"""Raised whenever the tables change, so that an older version refuses the file."""

TABLES = """
CREATE TABLE run (
    key INTEGER PRIMARY KEY, run_id UNIQUE, workflow, state, run_dir, created_at, finished_at,
    executor, parameters, message, uid, lineage, place, tags, cleaned_at, extent,
    cleaning, epoch DEFAULT 0, heartbeat DEFAULT 0, wakeup DEFAULT 0, owner
);
CREATE TABLE task (
    key INTEGER PRIMARY KEY, run, name, ordinal, array, size, state, UNIQUE (run, name)
);
CREATE TABLE instance (
    key INTEGER PRIMARY KEY, task, "index", state, attempt, retries_used, node_losses, wave,
    position, identity, source, cause, error, native_id, mem_scale, time_scale, missing_since,
    not_before, output, paths, bound_dir, reusable DEFAULT 0, traceback, host, log, started_at,
    ended_at, peak_memory, cpu_time, recorded_at, UNIQUE (task, "index")
);
CREATE INDEX reusable ON instance (identity, task DESC, "index") WHERE reusable = 1;
CREATE INDEX had ON instance (identity, "index", task DESC)
    WHERE reusable = 1 OR source NOT NULL;
CREATE TABLE submission (
    key INTEGER PRIMARY KEY, run, number, kind, token, state, task, size, follows, submitted_at,
    begins_at, UNIQUE (run, number), UNIQUE (run, token)
);
CREATE TABLE native_id (
    key INTEGER PRIMARY KEY, submission, native_id, UNIQUE (submission, native_id)
);
CREATE TABLE request (key INTEGER PRIMARY KEY AUTOINCREMENT, run, kind, task, uid, options);
CREATE TABLE note (place INTEGER PRIMARY KEY, run, task, key, text, UNIQUE (run, task, key));
"""
# [end:schema]

PATIENCE = 60.0
"""Seconds to wait for another process that writes."""
PAGE = 1_000
"""Outputs read, and identities looked up, at a time."""

Record = TypeVar("Record")


# [start:cells]
def cell(value: Any) -> Any:
    """A value in the form in which a column holds it."""
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Path):
        return json.dumps(str(value))
    if isinstance(value, str | Mapping | tuple):
        return json.dumps(value)
    return value


def readers(record: type) -> Mapping[str, Callable[[Any], Any]]:
    """By column, the function that converts a cell to the value of the record."""
    if record not in _READERS:
        hints = get_type_hints(record)
        names = (each.name for each in fields(record))
        _READERS[record] = {name: _reader(hints[name]) for name in names if name != "native_ids"}
    return _READERS[record]


_READERS: dict[type, Mapping[str, Callable[[Any], Any]]] = {}


def _reader(annotation: Any) -> Callable[[Any], Any]:
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    kind = kinds[0] if type(None) in get_args(annotation) else annotation
    if isinstance(kind, type) and issubclass(kind, StrEnum | IntEnum | bool):
        return kind
    if kind is datetime:
        return datetime.fromisoformat
    if kind is Path:
        return lambda text: Path(json.loads(text))
    if kind is str or get_origin(kind) is Mapping:
        return json.loads
    if kind == tuple[str, ...]:
        return lambda text: tuple(json.loads(text))
    return lambda value: value


def made(record: type[Record], row: Sequence[Any], **more: Any) -> Record:
    """Make a record from a row with the columns in the order of the fields."""
    pairs = zip(readers(record).items(), row, strict=True)
    return record(
        **{name: None if value is None else read(value) for (name, read), value in pairs}, **more
    )


# [end:cells]
# [start:session]
class Session:
    """One transaction. Errors of SQLite become `StoreError`."""

    def __init__(self, path: Path, begin: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the ledger {path} cannot be opened: {error}") from error
        self._path = path
        self.rows("PRAGMA synchronous = FULL")
        self.rows(begin)

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """Run one statement."""
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"the ledger {self._path} cannot be used: {error}") from error

    def many(self, statement: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> int:
        """Run a statement for each row; how many rows of the table it changed."""
        try:
            return self._connection.executemany(statement, rows).rowcount
        except sqlite3.Error as error:
            raise StoreError(f"the ledger {self._path} cannot be used: {error}") from error

    def insert(self, table: str, **cells: Any) -> int:
        """Insert a row, unless there is one of that name or number; how many were inserted."""
        names = ", ".join(f'"{name}"' for name in cells)
        places = ", ".join("?" * len(cells))
        statement = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({places})"
        return self.many(statement, [tuple(cells.values())])

    def close(self) -> None:
        """Roll back what was not committed."""
        self._connection.close()


@contextmanager
def session(path: Path, begin: str) -> Iterator[Session]:
    """A transaction that is committed when the block ends without an exception."""
    opened = Session(path, begin)
    try:
        yield opened
        opened.rows("COMMIT")
    finally:
        opened.close()


# [end:session]
# [start:store]
class LedgerStore:
    """A manifest in a file: `ledger:///path/to/file`.

    Each call opens the file anew, so that threads and forked processes share nothing. The journal
    is SQLite's plain one, which needs no more of a file system than locks.
    """

    def __init__(self, url: str) -> None:
        """Open nothing yet."""
        path = url.removeprefix("ledger://")
        if not path.startswith("/"):
            raise StoreError(f"{url!r} names no file; write ledger:///absolute/path/to/file")
        self._path = Path(path)
        self._made = False

    @property
    def url(self) -> str:
        """The URL that opens this store again."""
        return f"ledger://{self._path}"

    def close(self) -> None:
        """Nothing is held between calls."""

    def _reading(self) -> AbstractContextManager[Session]:
        self._make()
        return session(self._path, "BEGIN")

    def _writing(self) -> AbstractContextManager[Session]:
        self._make()
        return session(self._path, "BEGIN IMMEDIATE")

    # [end:store]
    # [start:make]
    def _make(self) -> None:
        """Make the tables where there are none; many processes may do so at once."""
        if self._made:
            return
        with session(self._path, "BEGIN IMMEDIATE") as opened:
            [(version,)] = opened.rows("PRAGMA user_version")
            if version > SCHEMA:
                raise StoreVersionError(
                    f"the ledger {self._path} was written by a newer reflow-example; "
                    "update it: pip install --upgrade reflow-example"
                )
            if version == 0:
                for statement in TABLES.split(";\n"):
                    opened.rows(statement)
                opened.rows(f"PRAGMA user_version = {SCHEMA}")
        self._made = True

    # [end:make]
    # -- runs ------------------------------------------------------------------------------
    # [start:create]
    def create_run(self, run: RunRecord, tasks: Sequence[TaskRecord]) -> bool:
        """Insert a run and its tasks; False, and nothing written, when the id is taken."""
        with self._writing() as opened:
            if not opened.insert("run", **_cells(run)):
                return False
            key = _run_key(opened, run.run_id)
            for task in tasks:
                opened.insert("task", run=key, **_cells(task))
        return True

    # [end:create]
    def run(self, run_id: str) -> RunRecord:
        """The run of that id."""
        with self._reading() as opened:
            key = _run_key(opened, run_id)
            return _select(opened, RunRecord, "FROM run WHERE key = ?", key)[0]

    def list_runs(
        self,
        graph_name: str | None = None,
        limit: int | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        status: str | RunState | None = None,
    ) -> list[RunRecord]:
        """Runs, newest first. `since` is inclusive, `until` exclusive."""
        wanted: dict[str, Any] = {}
        if graph_name is not None:
            wanted["workflow = ?"] = graph_name
        if since is not None:
            wanted["created_at >= ?"] = run_time("since", since)
        if until is not None:
            wanted["created_at < ?"] = run_time("until", until)
        if status is not None:
            wanted["state = ?"] = run_state(status)
        most = -1 if limit is None else run_limit(limit)
        where = " AND ".join(["TRUE", *wanted])
        rest = f"FROM run WHERE {where} ORDER BY created_at DESC, key DESC LIMIT ?"
        with self._reading() as opened:
            return _select(opened, RunRecord, rest, *map(cell, wanted.values()), most)

    def tasks(self, run_id: str) -> list[TaskRecord]:
        """The tasks of a run in topological order."""
        with self._reading() as opened:
            key = _run_key(opened, run_id)
            return _select(opened, TaskRecord, "FROM task WHERE run = ? ORDER BY ordinal", key)

    def counts(self, run_id: str) -> dict[str, dict[TaskState, int]]:
        """By task, how many instances are in each state."""
        found: dict[str, dict[TaskState, int]] = {task.name: {} for task in self.tasks(run_id)}
        for task, state, number in self._grouped(run_id, "state", "TRUE"):
            found[task][TaskState(state)] = number
        return found

    def reasons(self, run_id: str) -> dict[str, dict[str, int]]:
        """By task, why instances wait with the scheduler, and how many do."""
        found: dict[str, dict[str, int]] = {}
        said = f"instance.state = 'SUBMITTED' AND error != '{cell('')}'"
        for task, error, number in self._grouped(run_id, "error", said):
            found.setdefault(task, {})[json.loads(error)] = number
        return found

    def cached(self, run_id: str) -> dict[str, int]:
        """By task, how many instances took their result from an earlier run."""
        grouped = self._grouped(run_id, "task", "source IS NOT NULL")
        return {task: number for task, _, number in grouped}

    def retried(self, run_id: str) -> dict[str, int]:
        """By task, how many attempts its instances had after their first."""
        found: dict[str, int] = {}
        for task, attempt, number in self._grouped(run_id, "attempt", "attempt > 1"):
            found[task] = found.get(task, 0) + (attempt - 1) * number
        return found

    def _grouped(self, run_id: str, column: str, where: str) -> list[tuple[str, Any, int]]:
        with self._reading() as opened:
            rows = opened.rows(
                f"SELECT task.name, instance.{column}, COUNT(*) FROM instance "
                f"JOIN task ON task.key = instance.task WHERE task.run = ? AND {where} "
                f"GROUP BY task.key, instance.{column}",
                _run_key(opened, run_id),
            )
        return [(json.loads(name), value, number) for name, value, number in rows]

    def failures(
        self, run_id: str, task: str | None = None, limit: int | None = None
    ) -> list[FailedInstance]:
        """FAILED instances in order of task and index."""
        with self._reading() as opened:
            chosen = _task_keys(opened, run_id, task)
            rows = opened.rows(
                'SELECT task.name, CASE WHEN task.array THEN "index" END, cause, error, '
                "COALESCE(traceback, ?1), COALESCE(log, ?1), native_id, attempt FROM instance "
                f"JOIN task ON task.key = instance.task WHERE instance.task IN ({chosen}) "
                "AND instance.state = 'FAILED' ORDER BY ordinal, \"index\" LIMIT ?2",
                cell(""),
                -1 if limit is None else limit,
            )
        return [made(FailedInstance, row) for row in rows]

    def instances(
        self,
        run_id: str,
        task: str | None = None,
        states: Iterable[TaskState] | None = None,
    ) -> list[Instance]:
        """Instances in order of task and index."""
        words = ", ".join(f"'{state.value}'" for state in (TaskState if states is None else states))
        with self._reading() as opened:
            chosen = _task_keys(opened, run_id, task)
            columns = ", ".join(
                "task.name" if name == "task" else f'instance."{name}"'
                for name in readers(Instance)
            )
            rows = opened.rows(
                f"SELECT {columns} FROM instance "
                f"JOIN task ON task.key = instance.task WHERE instance.task IN ({chosen}) "
                f'AND instance.state IN ({words}) ORDER BY ordinal, "index"'
            )
        return [made(Instance, row) for row in rows]

    # [start:outputs]
    def outputs(self, run_id: str, task: str) -> Iterator[tuple[int, str, str | None]]:
        """(index, output, paths) of every SUCCESS instance in index order; cached ones included."""
        with self._reading() as opened:
            key = int(_task_keys(opened, run_id, task))
        return self._outputs(task, key)

    def _outputs(self, task: str, key: int) -> Iterator[tuple[int, str, str | None]]:
        """Read a page at a time: a slow reader must not keep other processes from writing."""
        after = -1
        while True:
            with self._reading() as opened:
                page = opened.rows(
                    'SELECT own."index", COALESCE(own.output, other.output), '
                    "COALESCE(own.paths, other.paths) FROM instance AS own "
                    "LEFT JOIN instance AS other ON other.key = own.source WHERE own.task = ? "
                    "AND own.\"index\" > ? AND own.state = 'SUCCESS' "
                    'ORDER BY own."index" LIMIT ?',
                    key,
                    after,
                    PAGE,
                )
            for index, output, paths in page:
                if output is None:
                    raise StoreError(f"element {index} of {task!r} succeeded without an output")
                yield index, json.loads(output), None if paths is None else json.loads(paths)
            if len(page) < PAGE:
                return
            after = page[-1][0]

    # [end:outputs]
    def log_of(self, run_id: str, task: str, index: int) -> str | None:
        """The recorded log of an instance's last attempt, relative to the run directory."""
        with self._reading() as opened:
            key = int(_task_keys(opened, run_id, task))
            found = opened.rows(
                'SELECT log FROM instance WHERE task = ? AND "index" = ? AND log != ?',
                key,
                index,
                cell(""),
            )
        return json.loads(found[0][0]) if found else None

    def durations(self, workflow: str, task: str) -> Durations | None:
        """How long elements of a task took that succeeded in its five newest runs."""
        with self._reading() as opened:
            rows = opened.rows(
                "SELECT max(0.0, ended_at - started_at) AS seconds FROM instance "
                "WHERE task IN (SELECT task.key FROM task JOIN run ON run.key = task.run "
                "WHERE workflow = ? AND name = ? ORDER BY task.key DESC LIMIT 5) "
                "AND instance.state = 'SUCCESS' AND seconds NOT NULL LIMIT ?",
                cell(workflow),
                cell(task),
                PAGE,
            )
        seconds = [row[0] for row in rows]
        return Durations(sum(seconds) / len(seconds), max(seconds)) if seconds else None

    # -- cache -----------------------------------------------------------------------------
    # [start:reuse]
    def previous_outputs(
        self, taker: Taker, wanted: Sequence[tuple[int, str]]
    ) -> dict[int, StoredOutput]:
        """By index, what that index had in the newest run in which it had that identity."""
        allowed, values = _allowed(taker)
        statement = (
            f"SELECT {_RESULT} AND allowed.reusable = 1 AND {allowed} AND allowed.key = ("
            "SELECT COALESCE(source, instance.key) FROM instance "
            "JOIN task ON task.key = instance.task JOIN run ON run.key = task.run "
            'WHERE identity = ? AND "index" = ? AND (reusable = 1 OR source NOT NULL) '
            "AND workflow = ? AND place = ? ORDER BY task DESC LIMIT 1)"
        )
        same = (cell(taker.workflow), cell(taker.place))
        found = {}
        with self._reading() as opened:
            for index, identity in sorted(wanted):
                for row in opened.rows(statement, *values, cell(identity), index, *same):
                    found[index] = _stored_output(row)
        return found

    def find_outputs(self, taker: Taker, looks: Sequence[Look]) -> dict[str, list[StoredOutput]]:
        """By identity, reusable results that the taker may take, those of later tasks first."""
        allowed, values = _allowed(taker)
        statement = (
            f"SELECT {_RESULT} AND allowed.reusable = 1 AND allowed.identity = ? AND {allowed} "
            'AND (-task, "index") > (?, ?) ORDER BY task DESC, "index" LIMIT ?'
        )
        found = {}
        with self._reading() as opened:
            for look in looks:
                task, index = look.after.order if look.after else (2**62, 0)
                rows = opened.rows(
                    statement, cell(look.identity), *values, -task, index, look.limit
                )
                if rows:
                    found[look.identity] = [_stored_output(row) for row in rows]
        return found

    # [end:reuse]
    def taken_by_kin(self, taker: Taker) -> set[int]:
        """The keys of outputs that runs of the taker's kin have taken over."""
        allowed, values = _allowed(replace(taker, uid=None))
        with self._reading() as opened:
            rows = opened.rows(
                "SELECT source FROM run JOIN task ON task.run = run.key "
                "JOIN instance ON instance.task = task.key "
                f"WHERE source NOT NULL AND NOT ({allowed})",
                *values,
            )
        return {key for (key,) in rows}

    def output_keys(self, run_id: str, task: str) -> list[int]:
        """The keys of the outputs that SUCCESS instances have made or taken over, ascending."""
        with self._reading() as opened:
            rows = opened.rows(
                "SELECT COALESCE(source, key) AS had FROM instance "
                "WHERE task = ? AND state = 'SUCCESS' ORDER BY had",
                int(_task_keys(opened, run_id, task)),
            )
        return [key for (key,) in rows]

    def output(self, key: int) -> str:
        """The stored output of that key."""
        with self._reading() as opened:
            found = opened.rows(
                "SELECT output FROM instance WHERE key = ? AND output IS NOT NULL", key
            )
        if not found:
            raise NotFoundError(f"the ledger {self._path} holds no output with key {key}")
        text: str = json.loads(found[0][0])
        return text

    # -- lease -----------------------------------------------------------------------------
    # [start:lease]
    def lease(self, run_id: str) -> LeaseRecord:
        """The lease of the run: its holder, epoch and heartbeat."""
        with self._reading() as opened:
            return _lease(opened, run_id)[1]

    def acquire(
        self, run_id: str, owner: Mapping[str, Json], seen: LeaseRecord | None = None
    ) -> Lease | None:
        """Take the lease if it is free, or, with `seen`, if (epoch, heartbeat) is still as seen."""
        with self._writing() as opened:
            key, present = _lease(opened, run_id)
            still = seen is not None and (seen.epoch, seen.heartbeat) == (
                present.epoch,
                present.heartbeat,
            )
            if present.owner is not None and not still:
                return None
            epoch = present.epoch + 1
            taken = "UPDATE run SET epoch = ?, heartbeat = 0, owner = ? WHERE key = ?"
            opened.rows(taken, epoch, json.dumps(owner), key)
        return Lease(run_id, epoch)

    def heartbeat(self, lease: Lease) -> bool:
        """Write a heartbeat; return True where a wakeup was requested."""
        with self._writing() as opened:
            key, present = _held(opened, lease)
            opened.rows("UPDATE run SET heartbeat = heartbeat + 1 WHERE key = ?", key)
        return present.wakeup

    def request_wakeup(self, run_id: str) -> None:
        """Ask the holder of the lease for one more dispatch step."""
        with self._writing() as opened:
            opened.rows("UPDATE run SET wakeup = 1 WHERE key = ?", _run_key(opened, run_id))

    def clear_wakeup(self, lease: Lease) -> None:
        """Clear the wakeup, before the step that answers it."""
        with self._writing() as opened:
            opened.rows("UPDATE run SET wakeup = 0 WHERE key = ?", _held(opened, lease)[0])

    def release(self, lease: Lease) -> bool:
        """Release the lease, unless a wakeup was requested: then keep it and return False."""
        with self._writing() as opened:
            key, present = _lease(opened, lease.run_id)
            if present == replace(present, epoch=lease.epoch, owner=None):
                return True
            key, present = _held(opened, lease)
            if not present.wakeup:
                opened.rows("UPDATE run SET owner = NULL WHERE key = ?", key)
        return not present.wakeup

    # [end:lease]
    # [start:fenced]
    @contextmanager
    def fenced(self, lease: Lease) -> Iterator[FencedWriter]:
        """One immediate transaction that begins by checking the epoch."""
        with self._writing() as opened:
            key, _ = _held(opened, lease)
            yield LedgerWriter(opened, key)

    # [end:fenced]
    # -- submissions -----------------------------------------------------------------------
    def submissions(self, run_id: str, open_only: bool = True) -> list[SubmissionRecord]:
        """Submissions of a run by number; with `open_only` without those that are OVER."""
        columns = ", ".join(readers(SubmissionRecord))
        with self._reading() as opened:
            rows = opened.rows(
                f"SELECT {columns}, (SELECT json_group_array(native_id) FROM (SELECT native_id "
                "FROM native_id WHERE submission = submission.key ORDER BY key)) "
                "FROM submission WHERE run = ? ORDER BY number",
                _run_key(opened, run_id),
            )
        found = [
            made(SubmissionRecord, row, native_ids=tuple(map(json.loads, json.loads(ids))))
            for *row, ids in rows
        ]
        return [one for one in found if not (open_only and one.state is SubmissionState.OVER)]

    def next_submission_number(self, run_id: str) -> int:
        """One more than the largest number in use."""
        numbers = [record.number for record in self.submissions(run_id, open_only=False)]
        return max(numbers, default=0) + 1

    def add_native_id(self, run_id: str, token: str, native_id: str) -> None:
        """Add an id to a submission's set; not fenced, and no error when it is there already."""
        with self._writing() as opened:
            key = _run_key(opened, run_id)
            named = "SELECT key FROM submission WHERE run = ? AND token = ?"
            found = opened.rows(named, key, cell(token))
            if not found:
                raise NotFoundError(f"run {run_id} has no submission with the token {token!r}")
            opened.insert("native_id", submission=found[0][0], native_id=cell(native_id))

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
        """Leave a request for the holder of the lease, and a wakeup, in one transaction."""
        request = RequestRecord(key=0, kind=kind, task=task, uid=uid, options=options or {})
        cells = {name: value for name, value in _cells(request).items() if name != "key"}
        with self._writing() as opened:
            key = _run_key(opened, run_id)
            opened.insert("request", run=key, **cells)
            opened.rows("UPDATE run SET wakeup = 1 WHERE key = ?", key)

    def notes(self, run_id: str) -> list[Note]:
        """The notes on a run, in the order in which they were written."""
        with self._reading() as opened:
            key = _run_key(opened, run_id)
            return _select(opened, Note, "FROM note WHERE run = ? ORDER BY place", key)

    def requests(self, run_id: str) -> list[RequestRecord]:
        """Requests not yet carried out, oldest first."""
        with self._reading() as opened:
            key = _run_key(opened, run_id)
            return _select(opened, RequestRecord, "FROM request WHERE run = ? ORDER BY key", key)


# [start:writer]
class LedgerWriter:
    """The writes of one transaction on one run."""

    def __init__(self, opened: Session, run: int) -> None:
        self._session = opened
        self._run = run
        rows = opened.rows("SELECT name, key FROM task WHERE run = ?", run)
        self._tasks: dict[str, int] = {json.loads(name): key for name, key in rows}

    def record_outcomes(self, outcomes: Sequence[Outcome]) -> None:
        """Write what instances ended with, unless they are SUCCESS: the first success stays."""
        now = cell(datetime.now(UTC))
        rows = []
        for one in outcomes:
            well = one.state is TaskState.SUCCESS
            plain = replace(one, cause=None, error="", traceback="") if well else one
            cells = _cells(plain) | {"task": self._key_of(one.task)}
            cells |= {"reusable": int(one.reusable) if well else 0, "recorded_at": now}
            cells["native_id"] = cell(one.native_id or None)
            del cells["attempt"]
            rows.append(cells)
        # A SUCCESS without an output was only announced, earlier in this transaction.
        self._update(
            rows,
            "AND (state != 'SUCCESS' OR (output IS NULL AND source IS NULL))",
            keep=("native_id",),
        )

    # [end:writer]
    def allow_reuse(self, wave: int) -> None:
        """Make the results of a wave reusable that were recorded with `Reuse.LATER`."""
        self._session.rows(
            "UPDATE instance SET reusable = 1 WHERE reusable = 2 AND wave = ? "
            "AND task IN (SELECT key FROM task WHERE run = ?)",
            wave,
            self._run,
        )

    def refresh_paths(self, key: int, paths: str) -> None:
        """Replace what is recorded of the files of a stored output, of whatever run."""
        changed = "UPDATE instance SET paths = ? WHERE key = ? AND paths IS NOT NULL"
        self._session.rows(changed, cell(paths), key)

    def set_run_state(self, state: RunState, message: str = "") -> None:
        """Set the run's state; a final one sets `finished_at`, RUNNING clears it."""
        ended = datetime.now(UTC) if state.final else None
        values = map(cell, (state, message, ended))
        changed = "UPDATE run SET state = ?, message = ?, finished_at = ? WHERE key = ?"
        self._session.rows(changed, *values, self._run)

    def set_task_size(self, task: str, size: int) -> None:
        """Record how many elements a task has."""
        self._session.rows("UPDATE task SET size = ? WHERE key = ?", size, self._key_of(task))

    def set_task_state(self, task: str, state: TaskState | None) -> None:
        """Record how a task ended before its elements were known; None takes that back."""
        key = self._key_of(task)
        self._session.rows("UPDATE task SET state = ? WHERE key = ?", cell(state), key)

    def add_instances(self, instances: Sequence[Instance]) -> None:
        """Insert new instances."""
        names = ", ".join(f'"{name}"' for name in readers(Instance))
        places = ", ".join(f":{name}" for name in readers(Instance))
        rows = [self._row(one) for one in instances]
        self._session.many(f"INSERT INTO instance ({names}) VALUES ({places})", rows)

    def replace_instances(self, instances: Sequence[Instance]) -> None:
        """Put new instances in the place of others of the same task and index."""
        self._session.many(
            'UPDATE instance SET task = -task, "index" = -key, reusable = 0 '
            'WHERE task = ? AND "index" = ?',
            [(self._key_of(one.task), one.index) for one in instances],
        )
        self.add_instances(instances)

    def update_instances(self, instances: Sequence[Instance]) -> None:
        """Write every field of `Instance` but the identity's row key (task, index)."""
        found = self._update([self._row(one) for one in instances])
        if found < len(instances):
            raise NotFoundError(f"{len(instances) - found} instances were never added")

    def add_notes(self, notes: Sequence[Note]) -> None:
        """Keep notes on the run; of those with the same task and key the first stays."""
        for note in notes:
            self._session.insert("note", run=self._run, **_cells(note))

    def add_submission(self, record: SubmissionRecord) -> None:
        """Write an intent. `number` and `token` must be new."""
        if not self._session.insert("submission", run=self._run, **_cells(record)):
            raise StoreError(f"submission {record.number} ({record.token}) is there already")

    def update_submission(self, record: SubmissionRecord) -> None:
        """Write state and times of a submission; `native_ids` are left alone."""
        values = map(cell, (record.state, record.submitted_at, record.begins_at, self._run))
        found = self._session.many(
            "UPDATE submission SET state = ?, submitted_at = ?, begins_at = ? "
            "WHERE run = ? AND number = ?",
            [(*values, record.number)],
        )
        if not found:
            raise NotFoundError(f"the run has no submission number {record.number}")

    def drop_request(self, key: int) -> None:
        """Delete a request that has been carried out."""
        self._session.rows("DELETE FROM request WHERE run = ? AND key = ?", self._run, key)

    def _row(self, instance: Instance) -> dict[str, Any]:
        return _cells(instance) | {"task": self._key_of(instance.task)}

    def _update(
        self, rows: Sequence[dict[str, Any]], condition: str = "", keep: Sequence[str] = ()
    ) -> int:
        """Update instances by task and index; a column in `keep` stays where there is no value."""
        if not rows:
            return 0
        written = ", ".join(
            f'"{name}" = COALESCE(:{name}, "{name}")' if name in keep else f'"{name}" = :{name}'
            for name in rows[0]
            if name not in ("task", "index")
        )
        statement = f'UPDATE instance SET {written} WHERE task = :task AND "index" = :index'
        return self._session.many(f"{statement} {condition}", rows)

    def _key_of(self, task: str) -> int:
        if task not in self._tasks:
            raise NotFoundError(f"the run has no task {task!r}{did_you_mean(task, self._tasks)}")
        return self._tasks[task]


def _cells(record: Any) -> dict[str, Any]:
    """The columns of a record."""
    return {name: cell(getattr(record, name)) for name in readers(type(record))}


def _select(opened: Session, record: type[Record], rest: str, *values: Any) -> list[Record]:
    columns = ", ".join(readers(record))
    return [made(record, row) for row in opened.rows(f"SELECT {columns} {rest}", *values)]


_RESULT = (
    'allowed.key, identity, paths, bound_dir, run_id, task, "index" FROM instance AS allowed '
    "JOIN task ON task.key = allowed.task JOIN run ON run.key = task.run WHERE TRUE"
)


def _stored_output(row: Sequence[Any]) -> StoredOutput:
    return made(StoredOutput, [*row[:5], tuple(row[5:])])


def _allowed(taker: Taker) -> tuple[str, list[Any]]:
    """The condition, with its values, that the taker may use the results of a run."""
    conditions = ["(uid IS NULL OR uid = COALESCE(?, uid))"]
    values: list[Any] = [taker.uid]
    for kin in taker.kin:
        # As `Kin.has` says it. How a text in JSON begins is how its JSON begins.
        below = json.dumps(kin.below)[:-1]
        but = below if kin.but is None else json.dumps(kin.but)[:-1]
        conditions.append(
            "run_id != ? AND (substr(lineage, 1, ?) != ? OR ? AND substr(lineage, 1, ?) = ?)"
        )
        values += [cell(kin.run_id), len(below), below, kin.but is not None, len(but), but]
    return " AND ".join(conditions), values


def _run_key(opened: Session, run_id: str) -> int:
    found = opened.rows("SELECT key FROM run WHERE run_id = ?", cell(run_id))
    if not found:
        names = [json.loads(name) for (name,) in opened.rows("SELECT run_id FROM run")]
        raise NotFoundError(f"there is no run {run_id!r}{did_you_mean(run_id, names)}")
    key: int = found[0][0]
    return key


def _task_keys(opened: Session, run_id: str, task: str | None) -> str:
    """The keys of a run's tasks, or of one of them, for a list in a statement."""
    rows = opened.rows("SELECT name, key FROM task WHERE run = ?", _run_key(opened, run_id))
    keys = {json.loads(name): str(key) for name, key in rows}
    if task is None:
        return ", ".join(keys.values())
    if task not in keys:
        raise NotFoundError(f"run {run_id} has no task {task!r}{did_you_mean(task, keys)}")
    return keys[task]


def _lease(opened: Session, run_id: str) -> tuple[int, LeaseRecord]:
    key = _run_key(opened, run_id)
    [(epoch, heartbeat, wakeup, owner)] = opened.rows(
        "SELECT epoch, heartbeat, wakeup, owner FROM run WHERE key = ?", key
    )
    holder = None if owner is None else json.loads(owner)
    return key, LeaseRecord(epoch=epoch, heartbeat=heartbeat, wakeup=bool(wakeup), owner=holder)


def _held(opened: Session, lease: Lease) -> tuple[int, LeaseRecord]:
    key, present = _lease(opened, lease.run_id)
    if present.owner is None or present.epoch != lease.epoch:
        raise LeaseLostError(f"run {lease.run_id} is dispatched by another process now")
    return key, present
