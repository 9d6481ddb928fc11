"""Cancel and retry, asked for by a process that does not dispatch the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reflow.engine.control import RETRIED
from reflow.engine.drive import step_once, wait_until
from reflow.engine.heal import heal
from reflow.engine.launch import drive_here
from reflow.engine.lease import holder_lives, take, working_under
from reflow.engine.opened import FOREGROUND_EXECUTORS, dispatcher_of, executor_of, graph_of
from reflow.engine.settings import read_settings
from reflow.engine.supervise import start_supervisor
from reflow.errors import NotReadyError
from reflow.model.graph import Graph
from reflow.model.records import RequestKind, RunRecord
from reflow.model.states import FINAL_TASK_STATES, TaskState
from reflow.stores.contract import Store

HEED_TIMEOUT = 30.0
"""Seconds that a dispatcher has to carry out what was asked."""


def ask(
    store: Store,
    record: RunRecord,
    kind: RequestKind,
    task: str | None,
    graph: Graph | None,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> int:
    """Have a run cancelled or retried; tells how many elements it concerns, 0 for none.

    `on_progress` is called where the run is dispatched here, to its end.
    """
    heal(store, record)
    count = _concerned(store, record, kind, task)
    if count == 0:
        return 0
    store.add_request(record.run_id, kind, task)
    if not holder_lives(store, record.run_id):
        _dispatch(store, record, graph, on_progress)
    _await_heeding(store, record.run_id)
    if kind is RequestKind.CANCEL and task is None:
        # Whoever carries it out records the end a moment later.
        wait_until(lambda: store.run(record.run_id).state.final, HEED_TIMEOUT, longest=0.5)
    return count


def _concerned(store: Store, record: RunRecord, kind: RequestKind, task: str | None) -> int:
    states = RETRIED if kind is RequestKind.RETRY else frozenset(TaskState) - FINAL_TASK_STATES
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
            # Not begun: there is nothing yet that could be counted.
            found += kind is RequestKind.CANCEL
    return found


def _dispatch(
    store: Store,
    record: RunRecord,
    graph: Graph | None,
    on_progress: Callable[[Mapping[str, Any]], None] | None,
) -> None:
    """See that somebody carries the wish out."""
    settings = read_settings(record.run_dir, record.run_id)
    if settings.executor in FOREGROUND_EXECUTORS:
        graph = graph or graph_of(settings)
        lease = take(store, record.run_id)
        if lease is not None:
            drive_here(store, settings, graph, lease, on_progress)
        return
    executor = executor_of(settings)
    try:
        if executor.capabilities.volatile:
            start_supervisor(store, settings)
            return
        lease = take(store, record.run_id)
        if lease is not None:
            with working_under(store, lease):
                step_once(dispatcher_of(store, settings, lease, executor))
    finally:
        executor.close()


def _await_heeding(store: Store, run_id: str) -> None:
    if not wait_until(lambda: not store.requests(run_id), HEED_TIMEOUT, longest=0.5):
        raise NotReadyError(
            f"{run_id}: the dispatcher has not yet taken note; the wish is written down and will "
            "be carried out. `status` tells how it stands"
        )
