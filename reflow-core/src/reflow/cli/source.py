"""The runs that a command line can reach."""

from __future__ import annotations

import os
import shlex
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from reflow.errors import NotFoundError, ReflowError
from reflow.plugins.registry import opened_store

if TYPE_CHECKING:
    from reflow.run import Run
    from reflow.stores.contract import Store
    from reflow.workflow import Workflow

LATEST = "latest"
"""Stands for the newest run wherever a run's id does."""
RECENT = 100
"""Runs searched for the user's own newest one, where several users share a database."""


class Runs:
    """The runs that a command line can reach: those of one workflow, or all of them."""

    def __init__(self, command: str, workflow: Workflow | None = None) -> None:
        """Keep `command`, what a user types to run this program: `reflow`, `python flow.py`."""
        self.command = command
        self.workflow = workflow
        self.given_store: Store | None = None

    def use_store(self, url: str) -> None:
        """Read and record runs in another manifest."""
        self.given_store = opened_store(url)
        if "@" not in url:  # the URL may hold a password, which must not be printed
            self.command = f"REFLOW_STORE={shlex.quote(url)} {self.command}"

    @cached_property
    def store(self) -> Store:
        """The manifest with the runs."""
        if self.given_store is not None:
            return self.given_store
        if self.workflow is not None:
            return self.workflow.store
        from reflow.config.schema import load_config

        return opened_store(load_config().store.url)

    @property
    def workflow_name(self) -> str | None:
        """The workflow that all runs belong to; None where they may be of any."""
        return None if self.workflow is None else self.workflow.name

    def open(self, run_id: str) -> Run:
        """Open the run of that id, or the newest. Raises `NotFoundError`."""
        run_id = self.newest() if run_id == LATEST else run_id
        if self.workflow is not None:
            return self.workflow.open_run(run_id, self.store)
        from reflow.run import open_run

        return open_run(run_id, self.store)

    def newest(self) -> str:
        """Return the id of the user's newest run, or else of the newest of all users.

        Raises `NotFoundError` where there is none.
        """
        records = self.store.list_runs(graph_name=self.workflow_name, limit=RECENT)
        if not records:
            raise NotFoundError(f"there are no runs yet: start one with '{self.start}'")
        whole = [record for record in records if record.cleaned_at is None] or records
        own = (record for record in whole if record.uid in (None, os.geteuid()))
        return next(own, whole[0]).run_id

    @property
    def start(self) -> str:
        """The command that a user types to start a run."""
        return f"{self.command} run" + (" FLOW.py" if self.workflow is None else "")


def runs_of(context: typer.Context) -> Runs:
    """Return the runs that the command line of this context can reach."""
    runs = context.find_root().obj
    assert isinstance(runs, Runs)
    return runs


def complete_workflows(ctx: typer.Context) -> list[str]:
    """Return the names of workflows with recent runs, for shell completion."""
    try:
        records = runs_of(ctx).store.list_runs(limit=RECENT)
    except ReflowError:
        return []
    return list(dict.fromkeys(record.workflow for record in records))


def complete_run_ids(ctx: typer.Context) -> list[tuple[str, str]]:
    """Return run ids for shell completion, the newest first, each with its state."""
    try:
        records = runs_of(ctx).store.list_runs(graph_name=runs_of(ctx).workflow_name, limit=50)
    except ReflowError:
        return []
    return [(record.run_id, str(record.state)) for record in records]
