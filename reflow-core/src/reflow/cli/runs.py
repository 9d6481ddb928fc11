"""The commands about runs that exist: `status`, `cancel`, `retry`, `runs` and `logs`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reflow.cli.layout import count
from reflow.cli.listing import record_as_dict, runs_lines
from reflow.cli.program import INTERRUPTED
from reflow.cli.progress import STOPS_THE_RUN, Progress, say_stopped
from reflow.cli.progress import follow as follow_run
from reflow.cli.progress import watch as watch_run
from reflow.cli.screen import put_json, screen
from reflow.cli.show import print_status, step_lines, steps_while_running, typed
from reflow.cli.source import LATEST, Runs, complete_run_ids, runs_of
from reflow.errors import NotFoundError, UsageError
from reflow.model.states import RunState, TaskState
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from reflow.model.records import TaskRecord
    from reflow.run import Run

SHOWN_RUNS = 10
_ELEMENT = re.compile(r"(?P<task>.+)\[(?P<index>\d+)\]")


def _run_id(help: str) -> Any:
    return typer.Argument(
        metavar="RUN", help=help, show_default=False, autocompletion=complete_run_ids
    )


def _switch(*flags: str, help: str) -> Any:
    return typer.Option(*flags, metavar="", show_default=False, help=help)


def _option(*flags: str, metavar: str, help: str, **more: Any) -> Any:
    return typer.Option(*flags, metavar=metavar, show_default=False, help=help, **more)


RunId = Annotated[str, _run_id("Id of a run, or 'latest'.")]
Json = Annotated[bool, _switch("--json", help="Print JSON, for programs.")]
Wait = Annotated[bool, _switch("--wait", help="Show the progress, and end when the run has ended.")]


def _task(help: str) -> Any:
    return _option("--task", metavar="TASK", help=help)


def add_run_commands(app: typer.Typer) -> None:
    """Give a command line the commands about runs that exist."""
    for command in (status, cancel, retry, follow, runs, logs):
        app.command(command.__name__)(command)


def status(
    context: typer.Context,
    run_id: Annotated[str | None, _run_id("Id of a run; without it, the newest.")] = None,
    task: Annotated[str | None, _task("Show this task only.")] = None,
    errors: Annotated[
        bool, _switch("--errors", help="Show tracebacks, or the end of the log.")
    ] = False,
    json: Json = False,
    watch: Annotated[
        bool, _switch("--watch", help="Keep showing it until the run has ended.")
    ] = False,
) -> None:
    """Show how a run stands, what failed and why."""
    if json and watch:
        raise UsageError("--json prints once and --watch keeps printing: give one of them")
    source = runs_of(context)
    run = source.open(run_id or LATEST)
    if watch:
        raise typer.Exit(watch_run(run, screen(), source.command, task=task, errors=errors))
    found = run.status(as_dict=True, task=task)
    if json:
        put_json(found)
    else:
        print_status(found, errors=errors, command=source.command)


def cancel(
    context: typer.Context,
    run_ids: Annotated[list[str], _run_id("Ids of runs, or 'latest'.")],
    task: Annotated[str | None, _task("Cancel this task only.")] = None,
    yes: Annotated[bool, _switch("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Cancel what waits or runs.

    Several runs, and 'latest', are cancelled only when confirmed.
    """
    source = runs_of(context)
    opened = list({run.run_id: run for run in map(source.open, run_ids)}.values())
    if (len(opened) > 1 or LATEST in run_ids) and not yes and not _confirmed(opened):
        screen().say("nothing was cancelled")
        return
    for run in opened:
        cancelled = run.cancel(task=task)
        screen().say(f"{run.run_id}: {_cancelled(cancelled, run)}")


def _confirmed(runs: list[Run]) -> bool:
    if not sys.stdin.isatty():
        raise UsageError("this would be asked about first, and there is no terminal: add --yes")
    for run in runs:
        screen().say(f"{run.run_id}  {run.state}")
    return typer.confirm(f"Cancel {'this run' if len(runs) == 1 else f'these {len(runs)} runs'}?")


def _cancelled(instances: int, run: Run) -> str:
    if instances:
        return f"{count(instances, 'instance')} cancelled"
    return f"nothing to cancel; the run is {run.state}"


def retry(
    context: typer.Context,
    run_id: RunId,
    task: Annotated[str | None, _task("Retry this task only.")] = None,
    wait: Wait = False,
) -> None:
    """Run again what failed, was cancelled or was skipped."""
    source, console = runs_of(context), screen()
    run = source.open(run_id)
    try:
        with Progress(console, STOPS_THE_RUN) as progress:
            instances = run.retry(task=task, on_progress=progress.show)
    except KeyboardInterrupt:
        say_stopped(run, source.command)
        raise typer.Exit(INTERRUPTED) from None
    if not instances:
        console.say(f"{run.run_id}: nothing to retry; the run is {run.state}")
        return
    console.say(f"{run.run_id}: {count(instances, 'instance')} taken up again")
    if wait:
        raise typer.Exit(watch_run(run, console, source.command))
    if run.state is RunState.RUNNING:
        console.put(step_lines(steps_while_running(source.command, run.run_id)))
    else:
        # A run of the foreground has ended by the time that retry returns.
        print_status(run.status(as_dict=True), command=source.command)


def follow(context: typer.Context, run_id: RunId) -> None:
    """Dispatch a run from here until it has ended, where its jobs may not submit others."""
    source = runs_of(context)
    raise typer.Exit(follow_run(source.open(run_id), screen(), source.command))


def runs(
    context: typer.Context,
    last: Annotated[
        int, _option("--last", "-n", metavar="N", help="So many, the newest.", min=1)
    ] = SHOWN_RUNS,
    every: Annotated[bool, _switch("--all", help="All of them.")] = False,
    since: Annotated[
        str | None,
        _option("--since", metavar="DATE", help="Created then or later: 2025-03-01[T12:00]."),
    ] = None,
    until: Annotated[
        str | None, _option("--until", metavar="DATE", help="Created before then.")
    ] = None,
    state: Annotated[
        str | None,
        _option(
            "--status",
            metavar="STATE",
            help="In this state: RUNNING, SUCCESS, FAILED or CANCELLED.",
            autocompletion=lambda: [state.value for state in RunState],
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List runs, the newest first."""
    source, console = runs_of(context), screen()
    # One more than is shown tells whether there are more.
    limit = None if every else last + 1
    found = source.store.list_runs(
        graph_name=source.workflow_name, limit=limit, since=since, until=until, status=state
    )
    shown = found if every else found[:last]
    if json:
        put_json([record_as_dict(record) for record in shown])
        return
    if not shown:
        filtered = since or until or state
        console.say("no run fits" if filtered else f"no runs yet: start one with {source.start}")
        return
    console.put(runs_lines(shown, width=console.width))
    if len(found) > len(shown):
        console.say(f"these are the newest {len(shown)}; --last N or --all shows more")


def logs(
    context: typer.Context,
    run_id: RunId,
    task: Annotated[
        str | None,
        typer.Argument(metavar="TASK", show_default=False, help="A task, or TASK\\[INDEX]."),
    ] = None,
    index: Annotated[
        int | None,
        typer.Argument(metavar="INDEX", show_default=False, help="An element of an array task."),
    ] = None,
    tail: Annotated[
        int | None, _option("--tail", "-n", metavar="N", help="Only the last N lines.", min=1)
    ] = None,
    path: Annotated[
        bool, _switch("--path", help="Print where the log is, for tail -f and the like.")
    ] = False,
) -> None:
    """Print the log of a task or of an element: all that it wrote.

    Without a task, list the logs of what failed.
    """
    from reflow.cli.tail import copy_log

    source, console = runs_of(context), screen()
    run = source.open(run_id)
    if task is None:
        _list_logs(run, source)
        return
    if index is None and (element := _ELEMENT.fullmatch(task)):
        task, index = element["task"], int(element["index"])
    log = _log(run, task, index, source.command)
    if path:
        console.say(str(log))
    else:
        copy_log(log, tail)


def _list_logs(run: Run, source: Runs) -> None:
    console = screen()
    console.say(f"logs are in {run.run_dir / 'logs' / run.run_id}")
    failures = source.store.failures(run.run_id, limit=SHOWN_RUNS)
    steps = []
    for failed in failures:
        again = typed(source.command, "logs", run.run_id, failed.task, failed.index)
        steps.append((again, failed.error))
    if steps:
        console.put(step_lines(steps))


def _log(run: Run, task: str, index: int | None, command: str) -> Path:
    """The log of an instance. Raises where there is none, with the reason."""
    tasks = {record.name: record for record in run.store.tasks(run.run_id)}
    if task not in tasks:
        raise NotFoundError(f"run {run.run_id} has no task {task!r}{did_you_mean(task, tasks)}")
    record = tasks[task]
    if index is None and record.array and record.size != 1:
        raise UsageError(_which_element(run, record, command))
    try:
        return run.log_path(task, index or 0)
    except NotFoundError as error:
        raise NotFoundError(_why_no_log(run, record, index or 0) or str(error)) from None


def _which_element(run: Run, task: TaskRecord, command: str) -> str:
    size = "several elements" if task.size is None else count(task.size, "element")
    failed = [each.index for each in run.store.failures(run.run_id, task=task.name, limit=1)]
    example = next((index for index in failed if index is not None), 0)
    again = typed(command, "logs", run.run_id, task.name, example)
    failing = " (it failed)" if failed else ""
    return f"task {task.name!r} has {size}; name one: {again}{failing}"


def _why_no_log(run: Run, task: TaskRecord, index: int) -> str:
    """The reason; nothing where there should be one."""
    instances = run.store.instances(run.run_id, task=task.name)
    instance = next((each for each in instances if each.index == index), None)
    what = f"{task.name}[{index}]" if task.array else task.name
    if instance is None:
        known = task.size is not None and task.array and index >= task.size
        return "" if known else f"{what} has no log: it was not started"
    if instance.source is not None:
        return f"{what} has no log in this run: its result came from the cache"
    return _REASONS.get(instance.state, "").format(what)


_REASONS = {
    TaskState.PENDING: "{} has no log yet: it has not been started",
    TaskState.SUBMITTED: "{} has no log yet: it waits to be run",
    TaskState.RUNNING: "{} has no log yet: it is running and has printed nothing",
    TaskState.SUCCESS: "{} has no log: it printed nothing",
    TaskState.SKIPPED: "{} has no log: it was skipped, because something before it failed",
    TaskState.CANCELLED: "{} has no log: it was cancelled before it began",
}
