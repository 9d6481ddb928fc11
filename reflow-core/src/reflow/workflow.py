"""Workflows: flows that can be run."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from reflow.errors import DefinitionError
from reflow.flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from reflow.config.schema import Config
    from reflow.executors.contract import Executor
    from reflow.model.graph import Graph
    from reflow.model.json import Json
    from reflow.model.pilots import Pilots
    from reflow.model.tasks import FilesMode
    from reflow.report.describe import WorkflowDescription
    from reflow.run import Run
    from reflow.runs.create import Wanted
    from reflow.runs.preview import Preview
    from reflow.stores.contract import Store


class Workflow(Flow):
    """A flow with a name that can be checked, run and submitted, and whose runs can be opened.

    `config` replaces what `load_config()` would read. `store` is a URL, a path, or a store.
    """

    _kind = "workflow"

    def __init__(
        self, name: str, config: Config | None = None, store: Store | str | Path | None = None
    ) -> None:
        super().__init__(name)
        self._config_given = config
        self._config: Config | None = None
        self._config_variables: dict[str, str] = {}
        """Variables that the configuration was read under."""
        self._store_given = store
        self._store: Store | None = None
        self._store_place: Store | str | Path | None = None

    @property
    def config(self) -> Config:
        """The settings in force, read anew where a variable `REFLOW_...` has changed.

        Raises `ConfigError` for a file that cannot be used.
        """
        if self._config_given is not None:
            return self._config_given
        variables = {name: os.environ[name] for name in os.environ if name.startswith("REFLOW_")}
        if self._config is None or variables != self._config_variables:
            from reflow.config.schema import load_config

            self._config, self._config_variables = load_config(), variables
        return self._config

    @property
    def store(self) -> Store:
        """The manifest database, which all of a user's runs share."""
        place = self._store_given or self.config.store.url
        if self._store is None or place != self._store_place:
            from reflow.plugins.registry import opened_store

            self._store, self._store_place = opened_store(place), place
        return self._store

    def _repr_html_(self) -> str:
        """Show the workflow in a notebook: its drawing, or what is wrong with it."""
        from reflow.errors import ReflowError
        from reflow.report.html import mistake_html, workflow_html

        try:
            return workflow_html(self.graph())
        except ReflowError as error:
            return mistake_html(self.name, str(error))

    # -- looking at it ---------------------------------------------------------------------
    def graph(self) -> Graph:
        """Return the checked graph, its tasks as the configuration's `[tasks]` tables have them.

        Raises `DefinitionError` for any mistake in it.
        """
        from reflow.codecs.storable import check_returns
        from reflow.plugins.registry import registry
        from reflow.wiring.graph import build_graph

        self._require_tasks()
        specs = self.config.overridden(self.name, self.specs())
        graph = build_graph(self.name, specs, registry().type_rules())
        check_returns(graph.tasks.values(), registry().codecs)
        for task in graph.tasks.values():
            registry().check_executor_names(task.name, task.resources.options)
        return graph

    def _require_tasks(self) -> None:
        """Raise `DefinitionError` where a second copy of this workflow has the tasks."""
        here, there = _module_of(self), None if self.task_names else _copy_with_tasks(self)
        if there is not None:
            raise DefinitionError(
                f"workflow {self.name!r} has no tasks, but a second copy of it has: its file was "
                f"loaded as {here} and again as {there}. Keep the workflow in a module of its own "
                "that both the file you start and the modules with tasks import"
            )

    def validate(self) -> None:
        """Check everything that can be checked without running.

        Raises `DefinitionError`, a ValueError, for unknown steps, cycles, types that do not fit,
        annotations that cannot be resolved, results that can never be stored, and the like.
        """
        self.graph()

    def describe(self) -> dict[str, Json]:
        """Return the workflow's structure as a JSON-safe mapping."""
        return self.describe_typed().as_dict()

    def describe_typed(self) -> WorkflowDescription:
        """Return the workflow's structure, typed."""
        from reflow.report.describe import describe

        return describe(self.graph())

    # -- running it ------------------------------------------------------------------------
    def submit(
        self,
        run_dir: str | Path | None = None,
        *,
        executor: str | Executor | None = None,
        force: bool = False,
        force_tasks: str | Sequence[str] = (),
        verify: bool = False,
        files: FilesMode | None = None,
        pilots: Pilots | int | None = None,
        follow: bool = False,
        tags: str | Sequence[str] = (),
        store: Store | str | Path | None = None,
        **parameters: Any,
    ) -> Run:
        """Submit the workflow to a scheduler, or to the background of this machine, and return.

        `run_dir` is where the run works (default `./runs/<run_id>`). `executor` is a name or an
        object; without it the configured one is used, else the one scheduler that is here, else
        `local`. `force` reuses no results, `force_tasks` none of those tasks; `verify` also
        asks the tasks' own checks before results are reused. `files` is how files count: `"stat"`
        by size and time, `"content"` by what is in them, `"exists"` by being there. `pilots` are
        the jobs in which the whole run is to run; a number asks for so many of those that the
        configuration describes, 0 for none. `follow` leaves it to `Run.follow()` to dispatch, for
        clusters whose jobs may not submit jobs. `tags` are words to find the run by. The rest are
        the run's parameters.

        Raises `DefinitionError` for a workflow that is wrong or cannot be imported by other
        processes, `OptionError` for a missing or unknown parameter, `ParameterError` for a bad
        value, `UsageError` for pilots where there is no scheduler, and what the executor raises
        when it cannot be used.
        """
        from reflow.model.pilots import Pilots
        from reflow.plugins.registry import opened_store
        from reflow.runs.create import Wanted

        wanted = Wanted(
            run_dir=run_dir,
            parameters=parameters,
            force=force,
            force_tasks=force_tasks,
            verify=verify,
            files=files,
            pilots=pilots if pilots is None or isinstance(pilots, Pilots) else {"jobs": pilots},
            follow=follow,
            tags=tags,
            store=None if store is None else opened_store(store),
        )
        return submit_wanted(self, wanted, executor)

    def run_local(
        self,
        run_dir: str | Path | None = None,
        *,
        max_workers: int = 1,
        force: bool = False,
        force_tasks: str | Sequence[str] = (),
        verify: bool = False,
        files: FilesMode | None = None,
        on_error: str = "stop",
        tags: str | Sequence[str] = (),
        store: Store | str | Path | None = None,
        **parameters: Any,
    ) -> Run:
        """Run the workflow here and now, and return when it has ended.

        With `max_workers=1` everything runs in this process, where a debugger works; with more,
        array elements run in so many worker processes. `on_error="stop"` begins nothing
        after the first failure, and raises `RunFailedError` once what runs has ended; with
        `"continue"` what does not depend on the failure goes on, and the handle that is returned
        says what failed. The rest is as for `submit`.
        """
        from reflow.errors import RunFailedError
        from reflow.model.states import RunState
        from reflow.plugins.registry import opened_store
        from reflow.runs.create import Wanted
        from reflow.runs.launch import run_here

        wanted = Wanted(
            run_dir=run_dir,
            parameters=parameters,
            force=force,
            force_tasks=force_tasks,
            verify=verify,
            files=files,
            tags=tags,
            store=None if store is None else opened_store(store),
        )
        try:
            run_id = run_here(self, wanted, max_workers=max_workers, on_error=on_error)
        except RunFailedError as error:
            error.run = self.open_run(error.run_id, wanted.store)
            raise
        run = self.open_run(run_id, wanted.store)
        if on_error == "stop" and run.state is not RunState.SUCCESS:
            raise run.failure()
        return run

    # -- finding it again ------------------------------------------------------------------
    def open_run(self, run_id: str, store: Store | str | Path | None = None) -> Run:
        """Return the handle of a run, from any process. Raises `NotFoundError` if unknown."""
        from reflow.errors import NotFoundError
        from reflow.plugins.registry import opened_store
        from reflow.run import Run

        chosen = self.store if store is None else opened_store(store)
        record = chosen.run(run_id)
        if record.workflow != self.name:
            raise NotFoundError(
                f"{run_id} is a run of workflow {record.workflow!r}, not of {self.name!r}"
            )
        return Run(chosen, record, self)

    def cancel_runs(self, run_ids: Iterable[str], store: Store | None = None) -> dict[str, int]:
        """Cancel several runs; return for each how many elements were cancelled.

        Raises `NotFoundError`, before anything is cancelled, when one of them is unknown.
        """
        from reflow.run import Run

        chosen = store or self.store
        runs = [Run(chosen, chosen.run(run_id), None) for run_id in run_ids]
        return {run.run_id: run.cancel() for run in runs}

    def cli(self, args: Sequence[str] | None = None) -> None:
        """Run this workflow's command line; `args` replaces what was typed."""
        try:
            from reflow.cli.flow import main

            main(self, args)
        except KeyboardInterrupt:
            # While the modules of the command line were loaded.
            raise SystemExit(130) from None


def _copy_with_tasks(workflow: Workflow) -> str | None:
    """Return the name of a module with another workflow of this name that has tasks."""
    from reflow.notebook.session import is_of_cells

    for name, module in list(sys.modules.items()):
        if is_of_cells(getattr(module, "__file__", None)):
            continue
        for value in list(getattr(module, "__dict__", {}).values()):
            is_copy = isinstance(value, Workflow) and value is not workflow
            if is_copy and value.name == workflow.name and value.task_names:
                return name
    return None


def _module_of(workflow: Workflow) -> str:
    found = (
        name
        for name, module in list(sys.modules.items())
        if any(value is workflow for value in list(getattr(module, "__dict__", {}).values()))
    )
    return next(found, "__main__")


def submit_wanted(
    workflow: Workflow, wanted: Wanted, executor: str | Executor | None = None
) -> Run:
    """Submit as `Workflow.submit` does."""
    from reflow.runs.launch import submit

    return workflow.open_run(submit(workflow, wanted, executor), wanted.store)


def run_foreground(
    workflow: Workflow,
    wanted: Wanted,
    *,
    max_workers: int,
    on_error: str,
    on_start: Callable[[Run], None],
    on_progress: Callable[[Mapping[str, Any]], None],
) -> Run:
    """Run as `run_local` does, but report to callbacks and do not raise for a failed run."""
    from reflow.runs.launch import run_here

    run_id = run_here(
        workflow,
        wanted,
        max_workers=max_workers,
        on_error=on_error,
        on_start=lambda run_id: on_start(workflow.open_run(run_id, wanted.store)),
        on_progress=on_progress,
    )
    return workflow.open_run(run_id, wanted.store)


def preview(
    workflow: Workflow,
    wanted: Wanted,
    executor: str | Executor | None = None,
    explain: bool = False,
) -> Preview:
    """Find out what `submit` or `run_local` would do, without writing anything."""
    from reflow.runs.launch import preview_of

    return preview_of(workflow, wanted, executor, explain)
