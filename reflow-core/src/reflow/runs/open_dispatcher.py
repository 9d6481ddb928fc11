"""Opening a dispatcher for a run from what its run directory says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext

from reflow.dispatch.dispatcher import Dispatcher
from reflow.dispatch.events import observer
from reflow.errors import FlowImportError
from reflow.execution.execute import plugin_codecs
from reflow.execution.flow_loading import resolve
from reflow.executors.contract import Executor
from reflow.model.graph import Graph
from reflow.model.records import Lease
from reflow.plugins.registry import registry
from reflow.rundir.graph_data import graph_of_data
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.series import check_series
from reflow.rundir.source_record import RunSource, current_source
from reflow.stores.contract import Store

OpensExecutor = Callable[[RunSettings], AbstractContextManager[Executor]]
"""Opens a run's executor, with the settings that it had at submission, and closes it in the end."""


def load_graph(settings: RunSettings) -> Graph:
    """Return the run's graph, its flow loaded from its place. Raises `FlowImportError`."""
    if settings.flow is None:
        raise FlowImportError(
            f"run {settings.run_id} was started by run_local(max_workers=1) from a workflow that "
            "other processes cannot import: retry it from there"
        )
    return resolve(settings.flow).graph()


def executor_of(settings: RunSettings) -> Executor:
    """Return the run's executor, with the settings that it had at submission."""
    return registry().make_executor(settings.executor, settings.executor_settings)


def opened_executor(settings: RunSettings) -> AbstractContextManager[Executor]:
    """Open a run's executor."""
    return closing(executor_of(settings))


@contextmanager
def executor_for_all() -> Iterator[OpensExecutor]:
    """Yield what opens a run's executor once for several steps of one command.

    A scheduler that did not answer in the first is then not waited for in the next.
    """
    with ExitStack() as stack:
        opened: list[Executor] = []

        def open_once(settings: RunSettings) -> AbstractContextManager[Executor]:
            if not opened:
                opened.append(stack.enter_context(opened_executor(settings)))
            return nullcontext(opened[0])

        yield open_once


def open_dispatcher(
    store: Store,
    settings: RunSettings,
    lease: Lease,
    executor: Executor | None = None,
    graph: Graph | None = None,
) -> Dispatcher:
    """Open a dispatcher that goes on where the last one left off.

    The flow is not loaded: without `graph`, the graph is read from the run directory.
    Raises `OSError` where that cannot be read, and `OtherSeriesError`.
    """
    if graph is None:
        check_series(settings)
    dispatcher = Dispatcher(
        store,
        settings,
        graph or recorded_graph(settings),
        executor or executor_of(settings),
        lease,
        plugin_codecs(),
        observer(settings),
    )
    if graph is None:
        dispatcher.on_retry = lambda: dispatcher.tracked.take_graph(recorded_graph(settings))
    dispatcher.open()
    return dispatcher


OpensDispatcher = Callable[[Store, RunSettings, Lease, Executor], Dispatcher]
"""Opens a run's dispatcher under a lease."""


class KeptDispatcher:
    """Opens a dispatcher once for several steps, as long as nobody else dispatches the run.

    What it would read is in memory then. Nobody else has dispatched where the lease is the next
    one after that of the last step; what could not be written is read anew.
    """

    def __init__(self) -> None:
        self._kept: Dispatcher | None = None

    def __call__(
        self, store: Store, settings: RunSettings, lease: Lease, executor: Executor
    ) -> Dispatcher:
        """Open a dispatcher, or go on with the one of the last step."""
        kept, self._kept = self._kept, None
        if (
            kept is not None
            and kept.lease.epoch + 1 == lease.epoch
            and kept.executor is executor
            and kept.settings == settings
            and not kept.tracked.dirty
        ):
            kept.resume(lease)
            return kept
        return open_dispatcher(store, settings, lease, executor)

    def keep(self, dispatcher: Dispatcher) -> None:
        """Keep a dispatcher whose step went well for the next one."""
        self._kept = dispatcher


def recorded_graph(settings: RunSettings) -> Graph:
    """Return the run's graph as its run directory has it. Raises `OSError`."""
    return graph_of_data(RunSource.read(settings.layout, current_source(settings.layout)).graph)
