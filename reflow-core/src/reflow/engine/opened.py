"""Making a dispatcher for a run from what its run directory says."""

from __future__ import annotations

from reflow.engine.dispatch import Dispatcher
from reflow.engine.execute import plugin_codecs
from reflow.engine.flowref import resolve
from reflow.engine.observe import observer
from reflow.engine.settings import RunSettings
from reflow.errors import FlowImportError
from reflow.executors.contract import Executor
from reflow.model.graph import Graph
from reflow.model.records import Lease
from reflow.plugins import registry
from reflow.stores.contract import Store

FOREGROUND_EXECUTORS = frozenset({"pool", "inline"})
"""Executors of `run_local`, which end with the process that started the run."""


def graph_of(settings: RunSettings) -> Graph:
    """The run's workflow, loaded from where it was. Raises `FlowImportError`."""
    if settings.flow is None:
        raise FlowImportError(
            f"run {settings.run_id} was started by run_local(max_workers=1) from a workflow that "
            "other processes cannot import: retry it from there"
        )
    return resolve(settings.flow).graph()


def executor_of(settings: RunSettings) -> Executor:
    """The run's executor, with the settings that it had at submission."""
    return registry().make_executor(settings.executor, settings.executor_settings)


def dispatcher_of(
    store: Store,
    settings: RunSettings,
    lease: Lease,
    executor: Executor | None = None,
    graph: Graph | None = None,
) -> Dispatcher:
    """A dispatcher that goes on where the last one left off."""
    return Dispatcher(
        store,
        settings,
        graph or graph_of(settings),
        executor or executor_of(settings),
        lease,
        plugin_codecs(),
        observer(settings),
    )
