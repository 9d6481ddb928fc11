"""Runs: handles for watching, cancelling and retrying a submission."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reflow.errors import (
    ForeignRunError,
    NotFoundError,
    NotReadyError,
    RunFailedError,
    WaitTimeoutError,
)
from reflow.model.records import RequestKind, RunRecord, TaskRecord
from reflow.model.states import RETRIED_TASK_STATES, RunState, TaskState
from reflow.stores.contract import Store, find_instance
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.workflow import Workflow

HEAL_EVERY = 15.0
"""Seconds between two checks of `wait` that the run still has a dispatcher."""


_MOST_NAMED = 10
"""Elements without a result that a message names."""


@dataclass(frozen=True, slots=True)
class ElementResult:
    """The state of one element of a task, and its value."""

    index: int
    state: TaskState
    value: Any
    """What it returned; None while it has not succeeded."""
    error: str
    """Why it failed; empty where it did not."""


class Run:
    """A handle to one submission of a workflow. It is cheap; any process may have one."""

    def __init__(self, store: Store, record: RunRecord, workflow: Workflow | None) -> None:
        self._store = store
        self._record = record
        self._workflow = workflow

    def __repr__(self) -> str:
        return f"Run({self.run_id!r})"

    def _repr_html_(self) -> str:
        """Show the recorded state of the run in a notebook; nothing is asked or changed."""
        from reflow.report.html import run_html
        from reflow.runs.status import status_of

        return run_html(status_of(self._store, self.run_id))

    @property
    def run_id(self) -> str:
        """The unique name of the run: `<workflow>-<YYYYMMDD>-<4 hex digits>`."""
        return self._record.run_id

    @property
    def run_dir(self) -> Path:
        """The folder in which the run works."""
        return self._record.run_dir

    @property
    def store(self) -> Store:
        """The manifest database that the run is recorded in."""
        return self._store

    @property
    def workflow_name(self) -> str:
        """The name of the workflow."""
        return self._record.workflow

    @property
    def state(self) -> RunState:
        """The recorded state of the run; a foreground run whose process is dead has ended."""
        from reflow.runs.recover import end_abandoned

        record = self._store.run(self.run_id)
        if end_abandoned(self._store, record):
            record = self._store.run(self.run_id)
        return record.state

    # -- looking ---------------------------------------------------------------------------
    def status(
        self, errors: bool = False, as_dict: bool = False, task: str | None = None
    ) -> dict[str, Any]:
        """Print the status of the run, and return the same as a mapping.

        `errors` also prints tracebacks, `as_dict` prints nothing, `task` looks at one task only.
        First takes in what has finished, asks the executor once about what is outstanding, and
        starts a dispatcher again that has died.
        """
        from reflow.runs.recover import recover
        from reflow.runs.status import status_of

        if task is not None:
            self._task(task)
        notes = recover(self._store, self._store.run(self.run_id))
        mapping = status_of(self._store, self.run_id, notes, task)
        if not as_dict:
            from reflow.report.status import print_status

            print_status(mapping, errors=errors)
        return mapping

    def report(self, path: str | Path | None = None) -> dict[str, Any]:
        """Write a page about the run to a file, and return what it tells as a mapping.

        Without a path nothing is written. Like `status`, it first takes in what has finished.
        """
        from reflow.runs.recover import recover
        from reflow.runs.reporting.collect import collect

        recover(self._store, self._store.run(self.run_id))
        report = collect(self._store, self.run_id)
        if path is not None:
            from reflow.report.page.render import write_page

            write_page(report, Path(path))
        return report.as_json()

    def result(self, task: str, index: int | None = None) -> Any:
        """Return a task's result; for an array task the list in index order, or one element's.

        Raises `NotFoundError` for an unknown task or element, and `NotReadyError` when what is
        asked for has no complete result, or not yet; it says which elements have none.
        """
        record = self._task(task)
        if index is not None:
            return self._element(record, index)
        values = dict(self._values(task))
        if record.size is None or len(values) < record.size:
            raise NotReadyError(self._not_ready(record, values))
        return list(values.values()) if record.array else values[0]

    def results(self, task: str) -> list[ElementResult]:
        """Return each element's state and value, in index order.

        A plain task has one, of index 0. Empty where the number of elements is not known yet.
        Raises `NotFoundError` for an unknown task.
        """
        record, values = self._task(task), dict(self._values(task))
        found = {item.index: item for item in self._store.instances(self.run_id, task)}
        return [
            ElementResult(
                index=index,
                state=found[index].state if index in found else TaskState.PENDING,
                value=values.get(index),
                error=found[index].error if index in found else "",
            )
            for index in range(record.size or 0)
        ]

    def _element(self, record: TaskRecord, index: int) -> Any:
        if record.size is not None and not 0 <= index < record.size:
            raise NotFoundError(_no_element(record, index))
        for place, value in self._values(record.name, index):
            if place == index:
                return value
        found = find_instance(self._store, self.run_id, record.name, index)
        stands = "not begun" if found is None else f"{found.state} {found.error}"
        raise NotReadyError(
            f"{record.name}[{index}] of {self.run_id} has no result: {stands.strip()}"
        )

    def _values(self, task: str, index: int | None = None) -> Iterator[tuple[int, Any]]:
        """Yield index and value of every element that has one, or of one element."""
        from reflow.execution.execute import plugin_codecs
        from reflow.model.canonical import loads

        codecs, returns = plugin_codecs(), cache(lambda: self._annotation(task))
        for place, text, _ in self._store.outputs(self.run_id, task):
            if index in (None, place):
                # Numbers, texts and lists of them need no class, so that their flow is not loaded.
                yield place, codecs.decode(loads(text), returns() if "{" in text else Any)

    def wait(self, timeout: float | None = None) -> RunState:
        """Wait until the run has ended, reviving a dispatcher that has died; return its state.

        Raises `WaitTimeoutError` after `timeout` seconds.
        """
        from reflow.runs.recover import recover
        from reflow.runs.waiting import wait_until

        next_look = 0.0

        def ended() -> bool:
            nonlocal next_look
            record = self._store.run(self.run_id)
            if not record.state.final and time.monotonic() >= next_look:
                # The scheduler is asked at times, not at every look at the database.
                recover(self._store, record)
                next_look = time.monotonic() + HEAL_EVERY
            return record.state.final

        if not wait_until(ended, timeout):
            raise WaitTimeoutError(f"{self.run_id} has not ended after {timeout:g} seconds")
        return self.state

    def follow(
        self, on_progress: Callable[[Mapping[str, Any]], None] = lambda tasks: None
    ) -> RunState:
        """Dispatch the run from here until it has ended, and return its state.

        For clusters whose compute nodes may not submit jobs. May be stopped with Ctrl-C and
        started again: the run's jobs go on. `on_progress` is given the "tasks" of the status.
        Raises `NotReadyError` when another process dispatches the run.
        """
        from reflow.runs.follow import follow_run

        record = self._store.run(self.run_id)
        if not record.state.final:
            follow_run(self._store, record, on_progress)
        return self.state

    def explain(self, task: str, index: int | None = None) -> dict[str, Any]:
        """Return why an element ran or came from the cache, as plain data.

        Without an index, of an array task: all of its elements, those alike together. Nothing is
        run or imported, and nothing changed. `docs/explaining.md` lists the fields. Raises
        `NotFoundError` for an unknown task or element.
        """
        from reflow.runs.explain.explain import explain_element, explain_task

        record = self._task(task)
        if index is None and record.array:
            return explain_task(self._store, self._record, record)
        return explain_element(self._store, self._record, record, index or 0)

    def replay(
        self, task: str, index: int | None = None, *, keep: bool = False, pdb: bool = False
    ) -> dict[str, Any]:
        """Call the function of an element again, here, and compare what it returns.

        Its inputs are the recorded ones, and its source that of the run; what it prints goes where
        this process prints. Nothing is recorded: the run directory that it is given is a temporary
        folder, as is what it is told to write to, and `keep` leaves both there. `pdb` opens the
        debugger at the exception, or at the start of a function that had succeeded. Returns plain
        data; `docs/explaining.md` lists the fields.

        Raises `NotFoundError` for an unknown task or element, `ForeignRunError` for the run of
        another user, and `NotReadyError` where the inputs are not known.
        """
        from reflow.runs.replay.replay import Wish, replay

        record = self._task(task)
        if index is None and record.array and record.size != 1:
            raise NotFoundError(f"{task!r} of {self.run_id} has several elements: name one")
        wish = Wish(keep=keep, pdb=pdb)
        return replay(self._store, self._record, record, index or 0, wish)

    def log_path(self, task: str, index: int = 0) -> Path:
        """Return the log of an instance's last attempt.

        Raises `NotFoundError` for an unknown task or element, and where nothing was printed.
        """
        from reflow.rundir.layout import RunLayout

        record = self._task(task)
        if record.size is not None and not 0 <= index < record.size:
            raise NotFoundError(_no_element(record, index))
        known = self._store.log_of(self.run_id, task, index)
        folder = RunLayout(self.run_dir, self.run_id).logs / task
        recorded = [self.run_dir / known] if known and _is_inside(known) else []
        there = [path for path in [*_newest_first(folder, index), *recorded] if path.exists()]
        if there:
            # The recorded log may be that of an attempt before the running one.
            return max(there, key=lambda path: path.stat().st_mtime_ns)
        raise NotFoundError(
            f"there is no log of {task}[{index}] in {folder}: it printed nothing, has not begun, "
            "or its result came from the cache"
        )

    # -- changing --------------------------------------------------------------------------
    def cancel(self, task: str | None = None) -> int:
        """Cancel what has not ended, of one task or of all; return how many elements.

        0 when there was nothing to do. Elements that have ended stay as they are.
        """
        return self._ask(RequestKind.CANCEL, task)

    def retry(
        self,
        task: str | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
        *,
        changed: bool | Callable[[Mapping[str, int]], bool] | None = None,
    ) -> int:
        """Retry elements that failed, were cancelled or skipped; return how many.

        The source is taken as it is now. Elements that have succeeded with another source are
        computed anew, with all that comes after them; with `changed=False` such results stay beside
        the new ones, and `status` says so. `changed=True` recomputes them even where nothing has
        failed. A function decides; it is given the number of such results by task.

        0 when there was nothing to do. A run of `run_local` is retried here and now, and the
        call returns when it has ended; meanwhile `on_progress` is given the "tasks" of the
        status. Other runs go on by themselves.
        """
        return self._ask(RequestKind.RETRY, task, on_progress, changed)

    def _ask(
        self,
        kind: RequestKind,
        task: str | None,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
        changed: bool | Callable[[Mapping[str, int]], bool] | None = None,
    ) -> int:
        from reflow.rundir.ownership import require_files
        from reflow.runs.request_change import ask

        if task is None:
            require_files(self._store.run(self.run_id))
        else:
            self._task(task)
        graph = None if self._workflow is None else self._workflow.graph()
        return ask(
            self._store,
            self._store.run(self.run_id),
            kind,
            task,
            graph,
            on_progress,
            changed=changed is True,
            decide=changed if callable(changed) else lambda counts: changed is not False,
        )

    def failure_text(self) -> str:
        """Say in one sentence how the run did not succeed, and what to type next."""
        record = self._store.run(self.run_id)
        failed = self._store.failures(self.run_id, limit=1)
        if not failed:
            why = record.message or str(record.state)
        else:
            first = failed[0]
            place = first.task if first.index is None else f"{first.task}[{first.index}]"
            why = f"{place}: {first.error}"
        return f"run {self.run_id} {record.state.lower()}: {why}\nrun.status(errors=True) says more"

    def failure(self) -> RunFailedError:
        """Return the exception for the run's failure, caused by that of the task."""
        from reflow.rundir.remote_error import exception_of

        error = RunFailedError(self.failure_text(), self.run_id)
        error.run = self
        failed = self._store.failures(self.run_id, limit=1)
        error.__cause__ = exception_of(failed[0]) if failed else None
        return error

    # -- cleaning up -----------------------------------------------------------------------
    def invalidate(self, task: str, index: int | Collection[int] | None = None) -> int:
        """Have the cache forget results of a task, or of its elements of some index.

        The next run computes them. What comes after them is computed again where it is then given
        other values. Returns how many results were forgotten, older ones included. Raises
        `NotFoundError` for an unknown task or element.
        """
        from reflow.runs.cleaning.forget import forget_results

        record = self._task(task)
        wanted = {index} if isinstance(index, int) else index
        for each in wanted or ():
            if not 0 <= each < (record.size or 0):
                raise NotFoundError(_no_element(record, each))
        return forget_results(self._store, self.run_id, task, wanted).results

    def remove(self) -> None:
        """Remove the run with all that it computed, save results that other runs have taken over.

        What its tasks wrote by themselves is not touched. Raises `NotReadyError` where the run has
        not ended or is in use, and `ForeignRunError` where it is another user's.
        """
        from reflow.runs.cleaning.clean import remove_run

        remove_run(self._store, self._store.run(self.run_id))

    # -- details ---------------------------------------------------------------------------
    def _task(self, name: str) -> TaskRecord:
        from reflow.rundir.ownership import require_files

        require_files(self._store.run(self.run_id))
        tasks = {record.name: record for record in self._store.tasks(self.run_id)}
        if name not in tasks:
            raise NotFoundError(f"{self.run_id} has no task {name!r}{did_you_mean(name, tasks)}")
        return tasks[name]

    def _annotation(self, task: str) -> Any:
        """Return the annotation in which the classes of a task's result are found."""
        if self._workflow is None:
            from reflow.execution.flow_loading import resolve
            from reflow.rundir.ownership import own_settings

            try:
                settings = own_settings(self._record)
            except ForeignRunError:
                # Nothing of another user's flow is loaded: only values without classes can be read.
                return Any
            if settings.flow is None:
                return None
            if not settings.flow.file.exists():
                if settings.executor == "inline":  # which keeps no copy
                    return None
                from reflow.execution.execute import load_tasks

                return load_tasks(settings)[task].returns
            specs = {spec.name: spec for spec in resolve(settings.flow).specs()}
            return specs[task].returns
        return self._workflow.spec(task).returns

    def _not_ready(self, record: TaskRecord, there: Collection[int]) -> str:
        counts = self._store.counts(self.run_id).get(record.name, {})
        lost = {state: counts[state] for state in RETRIED_TASK_STATES if counts.get(state)}
        if lost:
            states = ", ".join(f"{number} {state}" for state, number in lost.items())
            which = _missing(record, there)
            return f"{record.name!r} of {self.run_id} has no result{which}: {states}. Type: retry"
        size = "an unknown number" if record.size is None else record.size
        return (
            f"{record.name!r} of {self.run_id} has no result yet: {len(there)} of {size} are there"
        )


def open_run(run_id: str, store: Store | str | Path | None = None) -> Run:
    """Return the handle of a run of any workflow. Raises `NotFoundError` for an unknown one.

    `store` is the manifest that it is recorded in (a URL, a path, or a store), if that is not
    the configured one.
    """
    from reflow.plugins.registry import opened_store

    if store is None:
        from reflow.config.schema import load_config

        store = load_config().store.url
    opened = opened_store(store)
    return Run(opened, opened.run(run_id), None)


def _missing(record: TaskRecord, there: Collection[int]) -> str:
    """Say which elements have no result: ` of 3 elements (1, 4, 5)`."""
    missing = [index for index in range(record.size or 0) if index not in there]
    if not record.array or not missing:
        return ""
    shown = ", ".join(map(str, missing[:_MOST_NAMED])) + ", ..." * (len(missing) > _MOST_NAMED)
    return f" of {len(missing)} of its {record.size} elements ({shown}); results() has the others"


def _no_element(record: TaskRecord, index: int) -> str:
    if not record.array:
        return f"{record.name!r} is no array task: it has no element {index}"
    return f"{record.name!r} has {record.size} elements; there is no {index}"


def _is_inside(path: str) -> bool:
    """Tell whether a path from a row of the database stays in the folder it is relative to."""
    return not path.startswith("/") and ".." not in path.split("/")


def _newest_first(folder: Path, index: int) -> Iterable[Path]:
    paths = folder.glob(f"{index}.*.log")
    return sorted(paths, key=lambda path: int(path.name.split(".")[1]), reverse=True)
