"""Looking at runs again and again, at a bounded cost for the database and the scheduler."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from reflow.errors import NotFoundError, ReflowError
from reflow.model.records import RunRecord
from reflow.model.states import TaskState
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import own_settings
from reflow.runs.open_dispatcher import recorded_graph
from reflow.runs.recover import end_abandoned, recover
from reflow.runs.status import overview_of
from reflow.runs.watching.glance import (
    ElementName,
    Glance,
    LogGlance,
    Running,
    RunRow,
    RunsGlance,
    Wanted,
)
from reflow.runs.watching.hosts import Hosts
from reflow.runs.watching.pace import WINDOW, Tally, paces, time_left
from reflow.stores.contract import (
    Store,
    find_instance,
    finished_since,
    newest_failures,
    running_instances,
)

RECOVER_EVERY = 15.0
"""Seconds between two checks that a run still has a dispatcher, which may ask the scheduler."""
DURATIONS_EVERY = 30.0
"""Seconds after which the durations of a task's elements are asked for again."""


class RunLooks:
    """Looks at one run."""

    def __init__(self, store: Store, run_id: str, task: str | None = None) -> None:
        """Look at all tasks, or at `task` only."""
        self._store = store
        self._task = task
        self.record = store.run(run_id)
        self._hosts = Hosts(RunLayout(self.record.run_dir, run_id))
        self._tally: Tally | None = None
        self._notes: Sequence[str] = ()
        # The first look only reads, so that there is something to see at once.
        self._recover_at: float | None = None
        self._means: dict[str, tuple[float, float | None]] = {}
        self._upstream: Mapping[str, Collection[str]] | None = None
        self._read_upstream = False

    def look(self, wanted: Wanted) -> Glance:
        """Look at the run. Raises `ReflowError` where that cannot be done."""
        record = self._store.run(self.record.run_id)
        if self._recover_at is None:
            self._recover_at = 0.0
        elif not record.state.final and time.monotonic() >= self._recover_at:
            self._notes = recover(self._store, record)
            self._recover_at = time.monotonic() + RECOVER_EVERY
        status = overview_of(self._store, record.run_id, self._notes, self._task)
        tasks, now = status["tasks"], datetime.now(UTC)
        tally = self._counted(tasks, now.timestamp())
        pace = paces(tasks, tally, self._mean)
        task = wanted.task or self._task
        failed = any(each["counts"].get(TaskState.FAILED) for each in tasks.values())
        running = self._running(tasks, wanted, task)
        return Glance(
            at=now,
            status=status,
            failures=newest_failures(self._store, record.run_id, task, limit=wanted.failures)
            if failed and wanted.failures
            else (),
            running=running,
            hosts=Counter(each.host for each in running if each.host),
            paces=pace,
            left=time_left(tasks, pace, self._edges(record), self._mean),
        )

    def _counted(self, tasks: Mapping[str, Mapping[str, object]], now: float) -> Tally:
        if self._tally is None:
            self._tally = Tally()
            lately = finished_since(self._store, self.record.run_id, now - WINDOW)
            self._tally.begin(tasks, lately, now)
        self._tally.add(tasks, now)
        return self._tally

    def _running(
        self, tasks: Mapping[str, Mapping[str, object]], wanted: Wanted, task: str | None
    ) -> list[Running]:
        any_runs = any(each["state"] == TaskState.RUNNING for each in tasks.values())
        if not wanted.running or not any_runs:
            return []
        run_id = self.record.run_id
        found = running_instances(self._store, run_id, task, limit=wanted.running)
        return [
            Running(
                element=ElementName(each.task, each.index if tasks[each.task]["array"] else None),
                attempt=each.attempt,
                job_id=each.native_id,
                host=host,
            )
            for each, host in zip(found, self._hosts.of(found), strict=True)
            if each.task in tasks
        ]

    def _mean(self, task: str) -> float | None:
        """Return how long elements of a task take, in seconds, from this run and earlier ones."""
        known = self._means.get(task)
        if known is None or time.monotonic() >= known[0]:
            found = self._store.durations(self.record.workflow, task)
            known = (time.monotonic() + DURATIONS_EVERY, None if found is None else found.mean)
            self._means[task] = known
        return known[1]

    def _edges(self, record: RunRecord) -> Mapping[str, Collection[str]] | None:
        """Return the tasks that each task waits for; None where the run's files do not tell."""
        if not self._read_upstream:
            self._read_upstream = True
            with suppress(ReflowError, OSError, ValueError, LookupError, TypeError):
                graph = recorded_graph(own_settings(record))
                self._upstream = {name: spec.upstream for name, spec in graph.tasks.items()}
        return self._upstream


class HasLogs(Protocol):
    """A run, as its user's handle has it."""

    @property
    def run_id(self) -> str:
        """Its id."""

    @property
    def run_dir(self) -> Path:
        """The folder in which it works."""

    @property
    def store(self) -> Store:
        """The database that it is recorded in."""

    def log_path(self, task: str, index: int = 0) -> Path:
        """Return the log of an element's last attempt. Raises `NotFoundError`."""


class LogLooks:
    """Looks at the log of one element, that of its last attempt."""

    def __init__(self, run: HasLogs, element: ElementName) -> None:
        self._run, self._store, self._run_id = run, run.store, run.run_id
        self._element = element
        self._layout = RunLayout(run.run_dir, run.run_id)
        self._asked: int | None = None
        self._recorded: Path | None = None

    def look(self) -> LogGlance:
        """Read the end of the log. Raises `ReflowError` where the store does not answer."""
        task, index = self._element.task, self._element.index or 0
        instance = find_instance(self._store, self._run_id, task, index)
        state = None if instance is None else instance.state
        attempt = 0 if instance is None else instance.attempt
        path = self._find(task, index, attempt, state is not None and state.final)
        if path is None:
            return LogGlance(element=self._element, state=state, attempt=attempt)
        try:
            text, is_whole = end_of(path)
        except OSError as error:
            text, is_whole = f"(the log cannot be read: {error.strerror})", True
        return LogGlance(
            element=self._element,
            path=str(path),
            lines=text.removesuffix("\n").split("\n") if text else (),
            is_whole=is_whole,
            state=state,
            attempt=attempt,
        )

    def _find(self, task: str, index: int, attempt: int, has_ended: bool) -> Path | None:
        own = self._layout.log(task, index, attempt)
        if own.exists():
            return own
        if has_ended and self._asked != attempt:
            # The folder is listed once for each attempt: it may hold 100,000 logs.
            self._asked, self._recorded = attempt, None
            with suppress(NotFoundError):
                self._recorded = self._run.log_path(task, index)
        return self._recorded if has_ended else None


MOST_BYTES = 256 * 1024
"""How much of a log is read, from its end."""


def end_of(path: Path) -> tuple[str, bool]:
    """Return the end of a text file from the start of a line, and whether that is all of it.

    Raises `OSError`.
    """
    from reflow.rundir.files import open_regular

    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(max(size - MOST_BYTES, 0))
        data = file.read(MOST_BYTES)
    if size > MOST_BYTES:
        data = data.partition(b"\n")[2]
    return data.decode(errors="replace"), size <= MOST_BYTES


MOST_COUNTED = 50
"""Ended runs whose instances one look counts; the next looks count further ones."""


class AllLooks:
    """Looks at many runs."""

    def __init__(
        self, store: Store, listed: Callable[[], tuple[Sequence[RunRecord], bool]]
    ) -> None:
        """Keep `listed`, which returns the runs, and whether there are more."""
        self._store, self._listed = store, listed
        self._ended: dict[str, RunRow] = {}

    def look(self) -> RunsGlance:
        """Look at the runs. Raises `ReflowError` where that cannot be done."""
        records, more = self._listed()
        abandoned = [record for record in records if end_abandoned(self._store, record)]
        if abandoned:
            records, more = self._listed()
        new = [each for each in records if each.state.final and not self._is_known(each)]
        to_count = {each.run_id for each in new[:MOST_COUNTED]}
        return RunsGlance(
            at=datetime.now(UTC),
            rows=[self._row(each, each.run_id in to_count) for each in records],
            more=more,
        )

    def _is_known(self, record: RunRecord) -> bool:
        known = self._ended.get(record.run_id)
        return known is not None and known.record == record

    def _row(self, record: RunRecord, to_count: bool) -> RunRow:
        if self._is_known(record):
            return self._ended[record.run_id]
        if record.state.final and not to_count:
            return RunRow(record=record)
        counts = self._store.counts(record.run_id).values()
        sizes = [task.size or 0 for task in self._store.tasks(record.run_id)]
        row = RunRow(
            record=record,
            done=sum(each.get(TaskState.SUCCESS, 0) for each in counts),
            failed=sum(each.get(TaskState.FAILED, 0) for each in counts),
            size=sum(sizes),
        )
        if record.state.final:
            self._ended[record.run_id] = row
        return row
