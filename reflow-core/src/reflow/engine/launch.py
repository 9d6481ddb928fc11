"""Starting runs: submitted, or here and now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from reflow.engine.dispatch import Dispatcher
from reflow.engine.drive import drive, step_once
from reflow.engine.execute import plugin_codecs
from reflow.engine.flowref import FlowRef, Workflow, locate
from reflow.engine.inline import InlineExecutor
from reflow.engine.lease import take
from reflow.engine.observe import tell_run
from reflow.engine.opened import dispatcher_of
from reflow.engine.pool import PoolExecutor
from reflow.engine.preview import Preview, make_preview
from reflow.engine.settings import RunSettings
from reflow.engine.start import check_tasks, create_run, encode_parameters, refuse_while_importing
from reflow.engine.status import status_of
from reflow.engine.supervise import start_supervisor
from reflow.errors import ParameterError, ReflowError
from reflow.executors.contract import Executor
from reflow.model.graph import Graph
from reflow.model.records import Lease
from reflow.model.states import RunState
from reflow.stores.contract import Store

ON_ERROR = ("stop", "continue")


def submit(
    workflow: Workflow,
    *,
    run_dir: str | Path | None,
    executor: str | Executor | None,
    force: bool,
    force_tasks: str | Sequence[str],
    verify: bool,
    parameters: Mapping[str, Any],
) -> str:
    """Write a run down, see that it is dispatched from now on, and return its id."""
    refuse_while_importing("submit()")
    graph, codecs = workflow.graph(), plugin_codecs()
    forced = check_tasks(graph, force_tasks)
    texts = encode_parameters(graph, parameters, codecs)
    flow = locate(workflow)
    config = workflow.config
    chosen = executor
    if chosen is None or isinstance(chosen, str):
        chosen = config.make_executor(chosen)
    settings = create_run(
        workflow.store,
        graph,
        run_dir=run_dir,
        run_root=config.run_root,
        executor=chosen.name,
        executor_settings=chosen.settings,
        flow=flow,
        parameters=texts,
        force=force or not config.cache.reuse,
        force_tasks=forced,
        verify=verify or config.cache.verify,
        on_error="continue",
        config=config.as_dict(),
    )
    tell_run(settings, RunState.RUNNING)
    if chosen.capabilities.volatile:
        chosen.close()
        start_supervisor(workflow.store, settings)
    else:
        _first_step(workflow, settings, graph, chosen)
    return settings.run_id


def _first_step(
    workflow: Workflow, settings: RunSettings, graph: Graph, executor: Executor
) -> None:
    lease = _lease_of_new(workflow, settings)
    step_once(dispatcher_of(workflow.store, settings, lease, executor, graph))


def run_here(
    workflow: Workflow,
    *,
    run_dir: str | Path | None,
    max_workers: int,
    force: bool,
    force_tasks: str | Sequence[str],
    verify: bool,
    on_error: str,
    parameters: Mapping[str, Any],
    on_start: Callable[[str], None] = lambda run_id: None,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> str:
    """Run a workflow in this process or a pool, to its end, and return the run's id."""
    refuse_while_importing("run_local()")
    if on_error not in ON_ERROR:
        raise ParameterError(f'on_error must be "stop" or "continue", not {on_error!r}')
    if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise ParameterError(f"max_workers must be a whole number from 1, not {max_workers!r}")
    graph, codecs = workflow.graph(), plugin_codecs()
    forced = check_tasks(graph, force_tasks)
    texts = encode_parameters(graph, parameters, codecs)
    config = workflow.config
    settings = create_run(
        workflow.store,
        graph,
        run_dir=run_dir,
        run_root=config.run_root,
        executor="inline" if max_workers == 1 else "pool",
        executor_settings={"workers": max_workers},
        flow=_flow_for(workflow, max_workers),
        parameters=texts,
        force=force or not config.cache.reuse,
        force_tasks=forced,
        verify=verify or config.cache.verify,
        on_error=on_error,
        config=config.as_dict(),
    )
    tell_run(settings, RunState.RUNNING)
    on_start(settings.run_id)
    drive_here(workflow.store, settings, graph, _lease_of_new(workflow, settings), on_progress)
    return settings.run_id


def _flow_for(workflow: Workflow, max_workers: int) -> FlowRef | None:
    """Where other processes find the workflow; None is good enough when there are none."""
    if max_workers > 1:
        return locate(workflow)
    try:
        return locate(workflow)
    except ReflowError:
        return None


def _lease_of_new(workflow: Workflow, settings: RunSettings) -> Lease:
    lease = take(workflow.store, settings.run_id)
    assert lease is not None, "nobody else knows the run yet"
    return lease


def drive_here(
    store: Store,
    settings: RunSettings,
    graph: Graph,
    lease: Lease,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Dispatch a run of `run_local` to its end."""
    workers = settings.executor_settings["workers"]
    assert isinstance(workers, int)
    executor: Executor
    if settings.executor == "inline":
        executor = InlineExecutor(settings, graph.tasks, plugin_codecs())
    else:
        executor = PoolExecutor(settings, workers)
    try:
        dispatcher = dispatcher_of(store, settings, lease, executor, graph)
        drive(dispatcher, lambda: _report(dispatcher, on_progress))
    finally:
        executor.close()


def _report(
    dispatcher: Dispatcher, on_progress: Callable[[Mapping[str, Any]], None] | None
) -> None:
    if on_progress is not None:
        on_progress(status_of(dispatcher.store, dispatcher.settings.run_id)["tasks"])


def preview_of(
    workflow: Workflow,
    *,
    run_dir: str | Path | None,
    executor: str | Executor | None,
    force: bool,
    force_tasks: str | Sequence[str],
    verify: bool,
    parameters: Mapping[str, Any],
) -> Preview:
    """Plan a run without writing anything."""
    graph, codecs = workflow.graph(), plugin_codecs()
    config = workflow.config
    if executor is None or isinstance(executor, str):
        executor = config.make_executor(executor)
    settings = RunSettings(
        run_id=f"{graph.name}-preview",
        workflow=graph.name,
        run_dir=Path(config.run_root if run_dir is None else run_dir).absolute(),
        store=workflow.store.url,
        executor=executor.name,
        python=sys.executable,
        working_directory=Path.cwd(),
        flow=None,
        parameters=encode_parameters(graph, parameters, codecs),
        force=force or not config.cache.reuse,
        force_tasks=check_tasks(graph, force_tasks),
        verify=verify or config.cache.verify,
        config=config.as_dict(),
    )
    with closing(executor):
        return make_preview(workflow.store, graph, settings, codecs, executor)
