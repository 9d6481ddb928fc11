"""Cancel and retry, requested by a process that does not dispatch the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from reflow.dispatch.changes import cancel_jobs
from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.lease import holder_lives, take, working_under
from reflow.dispatch.mixed_sources import of_other_source
from reflow.dispatch.modes import Keeper, mode_named, mode_of
from reflow.dispatch.tracked_run import TrackedRun
from reflow.errors import (
    DamagedRunError,
    ForeignRunError,
    NotFoundError,
    NotReadyError,
    ReflowError,
)
from reflow.executors.contract import Executor
from reflow.model.graph import Graph
from reflow.model.json import Json
from reflow.model.records import Lease, RequestKind, RunRecord
from reflow.model.states import FINAL_TASK_STATES, RETRIED_TASK_STATES, RunState, TaskState
from reflow.plugins.registry import registry
from reflow.rundir.graph_data import graph_of_data
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import may_end, own_settings
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import RunSource
from reflow.runs.abort import abort
from reflow.runs.driver import Command, drive
from reflow.runs.failure_policy import DATA_ERRORS
from reflow.runs.launch import drive_here
from reflow.runs.open_dispatcher import (
    OpensExecutor,
    executor_for_all,
    load_graph,
    open_dispatcher,
    recorded_graph,
)
from reflow.runs.recover import recover
from reflow.runs.recovery.heal import replace_frozen
from reflow.runs.recovery.silence import holder_of, time_to_live
from reflow.runs.retake_source import retaken_source
from reflow.runs.supervisor import start_supervisor
from reflow.runs.troubles import Tries
from reflow.runs.unreadable import Unreadable
from reflow.runs.waiting import wait_until
from reflow.stores.contract import Store

HEED_TIMEOUT = 30.0
"""Seconds that a dispatcher has to carry out a request."""
WRITTEN_DOWN = (
    "Your request is recorded; it is carried out if the configuration of the run's owner has "
    '[store] requests = "all"'
)


def ask(
    store: Store,
    record: RunRecord,
    kind: RequestKind,
    task: str | None,
    graph: Graph | None,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
    *,
    changed: bool = False,
    decide: Callable[[Mapping[str, int]], bool] | None = None,
) -> int:
    """Request a cancellation or retry; return how many elements it concerns, 0 for none.

    `on_progress` is called where the run is dispatched here, to its end. Where a retry would leave
    results of another source beside new ones, `decide` tells whether those are to be computed
    anew, given their number by task; without it they are. `changed` looks for them even where
    nothing else is to be done.
    """
    from reflow import __version__

    with executor_for_all() as open_executor:
        recover(store, record, open_executor)
        count = _concerned(store, record, kind, task)
        if count == 0 and not changed:
            return 0
        try:
            settings = own_settings(record)
        except (NotFoundError, DamagedRunError) as error:
            if kind is RequestKind.RETRY or task is not None or not may_end(record):
                raise
            return _end_without_settings(store, record, count, str(error))
        except ForeignRunError as error:
            store.add_request(record.run_id, kind, task, uid=os.geteuid())
            raise ForeignRunError(f"{error}. {WRITTEN_DOWN}") from None
        options: dict[str, Json] = {}
        if kind is RequestKind.RETRY:
            source = retaken_source(
                settings, graph, [each.name for each in store.tasks(record.run_id)]
            )
            mixed = _mixed(store, settings, source, task)
            if mixed and (decide is None or decide(mixed)):
                options["changed"] = True
                count += sum(mixed.values())
            if count == 0:
                return 0
            settings = replace(settings, reflow=__version__)
            settings.write()
            source.write(settings.layout)
        store.add_request(record.run_id, kind, task, uid=os.geteuid(), options=options)
        if not holder_lives(store, record.run_id):
            _dispatch(store, settings, graph, on_progress, open_executor)
        _await_heeding(store, settings, open_executor)
        if kind is RequestKind.CANCEL and task is None:
            # The dispatcher that carries it out records the end a moment later.
            wait_until(lambda: store.run(record.run_id).state.final, HEED_TIMEOUT, longest=0.5)
        return count


def _mixed(
    store: Store, settings: RunSettings, source: RunSource, task: str | None
) -> dict[str, int]:
    """Return, by task, how many results of another source a retry with a source would leave."""
    tracked = TrackedRun(store, settings.run_id, graph_of_data(source.graph))
    found = of_other_source(tracked, settings.layout, source.code)
    return {name: len(found[name]) for name in found if task in (None, name)}


def _concerned(store: Store, record: RunRecord, kind: RequestKind, task: str | None) -> int:
    states = (
        RETRIED_TASK_STATES
        if kind is RequestKind.RETRY
        else frozenset(TaskState) - FINAL_TASK_STATES
    )
    counts = store.counts(record.run_id)
    found = 0
    for item in store.tasks(record.run_id):
        if task not in (None, item.name):
            continue
        known = counts.get(item.name, {})
        found += sum(number for state, number in known.items() if state in states)
        if item.state is not None:
            found += item.state in states
        elif item.size is None or (item.size == 1 and not known):
            # Not begun: there are no elements to count yet.
            found += kind is RequestKind.CANCEL
    return found


def _dispatch(
    store: Store,
    settings: RunSettings,
    graph: Graph | None,
    on_progress: Callable[[Mapping[str, Any]], None] | None,
    open_executor: OpensExecutor,
) -> None:
    """Arrange that a dispatcher carries the request out."""
    if mode_named(settings.executor).keeper is Keeper.PROCESS:
        if settings.executor == "inline":
            graph = graph or load_graph(settings)
        else:
            graph = recorded_graph(settings)
        lease = take(store, settings.run_id)
        if lease is not None:
            drive_here(store, settings, graph, lease, on_progress)
        return
    with open_executor(settings) as executor:
        if mode_of(executor).keeper is Keeper.SUPERVISOR:
            start_supervisor(store, settings)
            return
        lease = take(store, settings.run_id)
        if lease is not None:
            with working_under(store, lease):
                _step(store, settings, lease, executor)


def _step(store: Store, settings: RunSettings, lease: Lease, executor: Executor) -> None:
    """Take a dispatch step; where the run's data cannot be used, only cancellations are heeded."""
    try:
        drive(open_dispatcher(store, settings, lease, executor), Command())
    except DATA_ERRORS as error:
        tries = Tries(settings.layout)
        if not Unreadable(store, settings, lease, executor, tries, error).end_if_cancelled():
            raise


def _end_without_settings(store: Store, record: RunRecord, count: int, message: str) -> int:
    """Record a run as cancelled that cannot be dispatched any more, and end its jobs."""
    lease = take(store, record.run_id)
    if lease is None:
        raise NotReadyError(f"{record.run_id} is dispatched elsewhere, and {message}")
    handles = handles_of(RunLayout(record.run_dir, record.run_id), store.submissions(record.run_id))
    abort(store, lease, f"cancelled; {message}", RunState.CANCELLED)
    with suppress(ReflowError), closing(registry().make_executor(record.executor, {})) as executor:
        cancel_jobs(executor, handles)
    return count


def _await_heeding(store: Store, settings: RunSettings, open_executor: OpensExecutor) -> None:
    """Wait until the request is carried out, by another dispatcher where this one is frozen."""

    def heeded() -> bool:
        if not store.requests(settings.run_id):
            return True
        replace_frozen(store, settings, open_executor)
        return False

    holder = holder_of(store, settings)
    frozen = holder is not None and holder.process.stopped and holder.replaceable
    patience = HEED_TIMEOUT + (time_to_live(settings) if frozen else 0)
    if not wait_until(heeded, patience, longest=0.5):
        raise NotReadyError(
            f"{settings.run_id}: the dispatcher has not answered yet; your request is recorded "
            "and will be carried out. `status` tells how it stands"
        )
