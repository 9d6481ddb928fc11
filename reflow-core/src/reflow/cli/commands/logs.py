"""The command `logs`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.elements import (
    Element,
    Index,
    OptionalTaskName,
    find_element,
    find_task,
    split_element,
)
from reflow.cli.program import INTERRUPTED
from reflow.cli.source import Runs, runs_of
from reflow.cli.words import RunId, StoreOption, option, switch
from reflow.errors import NotFoundError, UsageError
from reflow.model.states import TaskState
from reflow.report.screen import screen
from reflow.report.status import step_lines, typed
from reflow.stores.contract import find_instance

if TYPE_CHECKING:
    from pathlib import Path

    from reflow.model.records import TaskRecord
    from reflow.run import Run

MOST_LISTED = 10
"""Most logs listed of failed instances."""


def logs(
    context: typer.Context,
    run_id: RunId,
    task: OptionalTaskName = None,
    index: Index = None,
    tail: Annotated[
        int | None, option("--tail", "-n", metavar="N", help="Only the last N lines.", min=1)
    ] = None,
    path: Annotated[bool, switch("--path", help="Print where the log is.")] = False,
    failed: Annotated[
        bool, switch("--failed", help="Show the logs of all that failed, in a task or in the run.")
    ] = False,
    follow: Annotated[
        bool, switch("--follow", "-f", help="Go on printing until the element has ended.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Print the log of a task or of an element: all that it wrote.

    Without a task, list the logs of what failed.
    """
    from reflow.report.tail import copy_log

    source = runs_of(context)
    run = source.open(run_id)
    if task is not None:
        task, index = split_element(task, index)
    if failed:
        _print_failed(run, task, index, tail, follow or path)
    elif task is None:
        if follow:
            raise UsageError("name the task whose log is to be followed")
        _list_logs(run, source)
    elif follow and not path:
        _follow(run, find_element(run, task, index, source.command, "logs"), tail)
    else:
        log = _log(run, find_element(run, task, index, source.command, "logs"))
        if path:
            screen().say(str(log))
        else:
            copy_log(log, tail)


def _list_logs(run: Run, source: Runs) -> None:
    console = screen()
    console.say(f"logs are in {run.run_dir / 'logs' / run.run_id}")
    failures = source.store.failures(run.run_id, limit=MOST_LISTED)
    steps = []
    for failed in failures:
        again = typed(source.command, "logs", run.run_id, failed.task, failed.index)
        steps.append((again, failed.error))
    if steps:
        console.put(step_lines(steps))


def _print_failed(
    run: Run, task: str | None, index: int | None, tail: int | None, more: bool
) -> None:
    """Print the logs of failed instances one after the other, each below its name."""
    from reflow.report.tail import copy_log

    if index is not None or more:
        raise UsageError("--failed takes a run or a task, and no other option than --tail")
    if task is not None:
        find_task(run, task)
    arrays = {record.name for record in run.store.tasks(run.run_id) if record.array}
    failures = run.store.failures(run.run_id, task=task)
    if not failures:
        screen().say(f"{run.run_id}: nothing has failed" if task is None else f"{task}: no failure")
    for each in failures:
        name = f"{each.task}[{each.index}]" if each.task in arrays else each.task
        screen().say(f"==> {name} <==")
        try:
            copy_log(run.log_path(each.task, each.index or 0), tail)
        except NotFoundError as error:
            screen().say(str(error))


def _follow(run: Run, element: Element, tail: int | None) -> None:
    """Print the log of an element as it grows, until the element has ended."""
    from reflow.report.tail import follow_log

    task, index = element.task, element.index

    def find() -> Path | None:
        try:
            return run.log_path(task.name, index)
        except NotFoundError:
            return None

    def ended() -> bool:
        instance = find_instance(run.store, run.run_id, task.name, index)
        return (instance is not None and instance.state.final) or run.state.final

    try:
        if not follow_log(find, ended, tail):
            raise NotFoundError(_why_no_log(run, task, index) or "there is no log")
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _log(run: Run, element: Element) -> Path:
    """Return the log of an instance. Raises where there is none, with the reason."""
    task, index = element.task, element.index
    try:
        return run.log_path(task.name, index)
    except NotFoundError as error:
        raise NotFoundError(_why_no_log(run, task, index) or str(error)) from None


def _why_no_log(run: Run, task: TaskRecord, index: int) -> str:
    """Return why an instance has no log; an empty text where it should have one."""
    instance = find_instance(run.store, run.run_id, task.name, index)
    what = f"{task.name}[{index}]" if task.array else task.name
    if instance is None:
        beyond = task.size is not None and index >= task.size
        return "" if beyond else f"{what} has no log: it was not started"
    if instance.source is not None:
        return f"{what} has no log in this run: its result came from the cache"
    return _REASONS.get(instance.state, "").format(what)


_REASONS = {
    TaskState.PENDING: "{} has no log yet: it has not been started",
    TaskState.SUBMITTED: "{} has no log yet: it waits to be run",
    TaskState.RUNNING: "{} has no log yet: it is running and has not printed a line",
    TaskState.SUCCESS: "{} has no log: it printed nothing",
    TaskState.SKIPPED: "{} has no log: it was skipped, because a task before it failed",
    TaskState.CANCELLED: "{} has no log: it was cancelled before it began",
}
