"""Starting runs: submitted to a scheduler, or in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from reflow.config.schema import site_templates
from reflow.dispatch.dispatcher import Dispatcher
from reflow.dispatch.events import emit
from reflow.dispatch.lease import take, working_under
from reflow.dispatch.modes import Keeper, mode_of
from reflow.dispatch.pilots.choice import chosen_pilots
from reflow.dispatch.pilots.requests import pilots_script
from reflow.errors import (
    ParameterError,
    RunFailedError,
    SchedulerUnavailableError,
    StoreError,
)
from reflow.execution.execute import plugin_codecs
from reflow.execution.flow_loading import Workflow
from reflow.execution.inline import InlineExecutor
from reflow.execution.interruptions import Interruptions
from reflow.execution.pool.executor import PoolExecutor
from reflow.executors.contract import Executor
from reflow.fingerprint.files.look_progress import LookProgress
from reflow.model.graph import Graph
from reflow.model.json import Json
from reflow.model.records import Lease, SubmissionKind
from reflow.model.states import RunState
from reflow.rundir.flow_reference import FlowRef
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import RunSource
from reflow.runs.abort import abort, cannot_dispatch, end_jobs
from reflow.runs.create import Wanted, create_run, draft, refuse_while_importing
from reflow.runs.driver import Command, UntilEnd, drive
from reflow.runs.failure_policy import Action, Role
from reflow.runs.locate_flow import locate
from reflow.runs.open_dispatcher import open_dispatcher
from reflow.runs.preview import Preview, begins_cached, make_preview
from reflow.runs.status import status_of
from reflow.runs.supervisor import start_supervisor
from reflow.runs.troubles import Troubles
from reflow.stores.contract import Store

ON_ERROR = ("stop", "continue")


def submit(workflow: Workflow, wanted: Wanted, executor: str | Executor | None) -> str:
    """Record a run, arrange that it is dispatched from now on, and return its id.

    Raises `SchedulerUnavailableError` where no scheduler takes the run.
    """
    refuse_while_importing("submit()")
    graph = workflow.graph()
    chosen = _chosen(workflow, executor)
    pilots = chosen_pilots(wanted.pilots, workflow.config.pilots, chosen)
    store = wanted.store_for(workflow)

    def drafted() -> RunSettings:
        return draft(
            workflow,
            graph,
            wanted,
            executor=chosen.name,
            executor_settings=chosen.settings,
            flow=lambda: locate(workflow),
            pilots=pilots,
        )

    def ask_first(settings: RunSettings, source: RunSource) -> None:
        if settings.pilots is not None:
            pilots_script(settings, chosen)
        # Better to fail now than to leave a run that waits unseen for a scheduler.
        if not begins_cached(store, graph, settings, source, plugin_codecs()):
            chosen.limits()

    settings = create_run(store, graph, drafted, ask_first)
    emit(settings, RunState.RUNNING)
    if mode_of(chosen).keeper is Keeper.SUPERVISOR:
        chosen.close()
        start_supervisor(store, settings)
    else:
        _first_step(store, settings, graph, chosen)
    return settings.run_id


def _chosen(workflow: Workflow, executor: str | Executor | None) -> Executor:
    if executor is None or isinstance(executor, str):
        return workflow.config.make_executor(executor)
    from reflow.executors.batch.base import BatchExecutor

    if isinstance(executor, BatchExecutor) and executor.templates is None:
        executor.templates = site_templates()
    return executor


def _first_step(store: Store, settings: RunSettings, graph: Graph, executor: Executor) -> None:
    lease = _lease_of_new(store, settings)
    try:
        with working_under(store, lease):
            dispatcher = open_dispatcher(store, settings, lease, executor, graph)
            dispatcher.looks.progress = LookProgress()
            drive(dispatcher, Command())
        trouble = dispatcher.missing or dispatcher.unavailable
        if trouble and not dispatcher.tracked.outstanding() and not dispatcher.continues:
            # Better to fail now than to leave a run that waits unseen for a scheduler.
            _end_for_good(store, settings, RunState.FAILED, trouble)
            raise SchedulerUnavailableError(trouble)
    except KeyboardInterrupt:
        submitted = store.submissions(settings.run_id, open_only=False)
        if not any(item.kind is SubmissionKind.WAVE for item in submitted):
            # The command was still looking at files; no watchdog may take the run up either.
            end_jobs(store, settings, executor)
            _end_for_good(store, settings, RunState.CANCELLED, "interrupted")
        raise


def run_here(
    workflow: Workflow,
    wanted: Wanted,
    *,
    max_workers: int,
    on_error: str,
    on_start: Callable[[str], None] = lambda run_id: None,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> str:
    """Run a workflow in this process or a pool, to its end, and return the run's id."""
    refuse_while_importing("run_local()")
    if on_error not in ON_ERROR:
        raise ParameterError(f'on_error must be "stop" or "continue", not {on_error!r}')
    if isinstance(max_workers, bool) or not isinstance(max_workers, int) or max_workers < 1:
        raise ParameterError(f"max_workers must be a whole number from 1, not {max_workers!r}")
    graph = workflow.graph()

    def drafted() -> RunSettings:
        return draft(
            workflow,
            graph,
            wanted,
            executor="inline" if max_workers == 1 else "pool",
            executor_settings={"workers": max_workers, **_gpus(workflow)},
            flow=lambda: _flow_for(workflow, max_workers),
            on_error=on_error,
        )

    with Interruptions() as interruptions:
        interruptions.hold_back()
        store = wanted.store_for(workflow)
        settings = create_run(store, graph, drafted)
        lease = _lease_of_new(store, settings)
        _drive_here(store, settings, graph, lease, interruptions, on_start, on_progress)
    return settings.run_id


def _gpus(workflow: Workflow) -> dict[str, Json]:
    """Return the number of GPUs of this machine, where the configuration sets it."""
    local = workflow.config.executor.settings.get("local", {})
    return {"gpus": local["gpus"]} if "gpus" in local else {}


def _flow_for(workflow: Workflow, max_workers: int) -> FlowRef | None:
    """Return where other processes find the workflow; None will do when there are none."""
    if max_workers > 1:
        return locate(workflow)
    try:
        return locate(workflow)
    except Exception:  # whatever is in a notebook: nothing of it needs to go anywhere
        return None


def _lease_of_new(store: Store, settings: RunSettings) -> Lease:
    lease = take(store, settings.run_id)
    assert lease is not None, "nobody else knows the run yet"
    return lease


def drive_here(
    store: Store,
    settings: RunSettings,
    graph: Graph,
    lease: Lease,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
) -> None:
    """Dispatch a run of `run_local` once more, to its end."""
    with Interruptions() as interruptions:
        _drive_here(store, settings, graph, lease, interruptions, None, on_progress)


def _drive_here(
    store: Store,
    settings: RunSettings,
    graph: Graph,
    lease: Lease,
    interruptions: Interruptions,
    on_start: Callable[[str], None] | None,
    on_progress: Callable[[Mapping[str, Any]], None] | None,
) -> None:
    troubles = Troubles(settings, Role.PROCESS)
    try:
        with working_under(store, lease):
            interruptions.let_through()
            if on_start is not None:
                emit(settings, RunState.RUNNING)
                on_start(settings.run_id)
            with closing(_executor_here(settings, graph, interruptions)) as executor:
                _drive_to_end(
                    store, settings, graph, lease, executor, interruptions, troubles, on_progress
                )
    except BaseException as error:
        action = troubles.decide(error).action
        if action is Action.CANCEL:
            interruptions.end()
            # Without the database, the next look at the run records its end.
            with suppress(StoreError):
                _end_for_good(store, settings, RunState.CANCELLED, "interrupted")
        elif action is Action.ABORT:
            message = cannot_dispatch(settings, error)
            _end_for_good(store, settings, RunState.FAILED, message)
            if isinstance(error, OSError):
                raise RunFailedError(
                    f"run {settings.run_id} failed: {message}", settings.run_id
                ) from error
        raise


def _drive_to_end(
    store: Store,
    settings: RunSettings,
    graph: Graph,
    lease: Lease,
    executor: Executor,
    interruptions: Interruptions,
    troubles: Troubles,
    on_progress: Callable[[Mapping[str, Any]], None] | None,
) -> None:
    """Take steps until the run has ended, or is interrupted, through outages of the database."""
    dispatcher: Dispatcher | None = None

    def after_step() -> None:
        interruptions.check()
        if on_progress is not None:
            on_progress(status_of(store, settings.run_id)["tasks"])

    def dispatch() -> None:
        nonlocal dispatcher
        forgiven = 0 if dispatcher is None else dispatcher.forgiven
        dispatcher = open_dispatcher(store, settings, lease, executor, graph)
        dispatcher.forgiven = max(forgiven, dispatcher.forgiven)
        dispatcher.looks.progress = LookProgress()
        drive(dispatcher, UntilEnd(), troubles.then(after_step))

    try:
        troubles.outlive(dispatch)
    except KeyboardInterrupt:
        interruptions.end()
        if dispatcher is not None:
            with suppress(StoreError):
                dispatcher.cancel()
                drive(dispatcher, UntilEnd(), after_step)
        raise


def _executor_here(settings: RunSettings, graph: Graph, interruptions: Interruptions) -> Executor:
    """Return the executor of elements here; a signal that hurries ends its processes."""
    if settings.executor == "inline":
        return InlineExecutor(
            settings, graph.tasks, plugin_codecs(settings), lambda: interruptions.told
        )
    workers = settings.executor_settings["workers"]
    assert isinstance(workers, int)
    gpus = settings.executor_settings.get("gpus")
    executor = PoolExecutor(settings, workers, gpus if isinstance(gpus, int) else None)
    interruptions.hurry = executor.kill_told
    return executor


def _end_for_good(store: Store, settings: RunSettings, state: RunState, message: str) -> None:
    """Record the end of a run that its process no longer dispatches."""
    lease = None if store.run(settings.run_id).state.final else take(store, settings.run_id)
    if lease is not None:
        abort(store, lease, message, state)


def preview_of(
    workflow: Workflow, wanted: Wanted, executor: str | Executor | None, explain: bool = False
) -> Preview:
    """Plan a run without writing anything; with `explain`, say how it differs from earlier ones."""
    graph = workflow.graph()
    with closing(_chosen(workflow, executor)) as chosen:
        settings = draft(
            workflow,
            graph,
            wanted,
            executor=chosen.name,
            executor_settings={},
            flow=lambda: None,
            pilots=chosen_pilots(wanted.pilots, workflow.config.pilots, chosen),
        )
        store = wanted.store_for(workflow)
        return make_preview(store, graph, settings, plugin_codecs(), chosen, explain)
