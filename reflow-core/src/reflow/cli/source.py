"""Whose runs a command line is about."""

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
"""Runs among which one's own newest is looked for, where several users share a database."""


class Runs:
    """The runs that a command line can reach: those of one workflow, or all of them."""

    def __init__(self, command: str, workflow: Workflow | None = None) -> None:
        """`command` is what a person types to get here: `reflow`, `python flow.py`."""
        self.command = command
        self.workflow = workflow
        self.given_store: Store | None = None

    def use_store(self, url: str) -> None:
        """Look for runs in another manifest, and record them there."""
        self.given_store = opened_store(url)
        if "@" not in url:  # it may hold a password, which is not to be repeated
            self.command = f"REFLOW_STORE={shlex.quote(url)} {self.command}"

    @cached_property
    def store(self) -> Store:
        """The manifest they are in."""
        if self.given_store is not None:
            return self.given_store
        if self.workflow is not None:
            return self.workflow.store
        from reflow.config.schema import load_config

        return opened_store(load_config().store.url)

    @property
    def workflow_name(self) -> str | None:
        """The workflow that all of them are of; None where they may be of any."""
        return None if self.workflow is None else self.workflow.name

    def open(self, run_id: str) -> Run:
        """The run of that id, or the newest. Raises `NotFoundError`."""
        run_id = self.newest() if run_id == LATEST else run_id
        if self.workflow is not None:
            return self.workflow.open_run(run_id, self.store)
        from reflow.run import open_run

        return open_run(run_id, self.store)

    def newest(self) -> str:
        """The id of the user's newest run, else of anybody's newest.

        Raises `NotFoundError` where there is none.
        """
        records = self.store.list_runs(graph_name=self.workflow_name, limit=RECENT)
        if not records:
            raise NotFoundError(f"there are no runs yet: start one with '{self.start}'")
        own = (record for record in records if record.uid in (None, os.geteuid()))
        return next(own, records[0]).run_id

    @property
    def start(self) -> str:
        """What a person types to start a run."""
        return f"{self.command} run" + (" FLOW.py" if self.workflow is None else "")


def runs_of(context: typer.Context) -> Runs:
    """The runs that the command line in whose context we are is about."""
    runs = context.find_root().obj
    assert isinstance(runs, Runs)
    return runs


def complete_run_ids(ctx: typer.Context) -> list[tuple[str, str]]:
    """Run ids for the shell to complete, the newest first, each with its state."""
    try:
        records = runs_of(ctx).store.list_runs(graph_name=runs_of(ctx).workflow_name, limit=50)
    except ReflowError:
        return []
    return [(record.run_id, str(record.state)) for record in records]
