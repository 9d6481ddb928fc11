"""The commands about one run: `status`, `cancel`, `retry` and `follow`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reflow.cli.program import OK, RUN_FAILED, interrupted_by
from reflow.cli.source import LATEST, runs_of
from reflow.cli.words import Json, RunId, StoreOption, option, run_argument, switch
from reflow.errors import UsageError
from reflow.model.states import RunState
from reflow.report.layout import count
from reflow.report.screen import put_json, screen
from reflow.report.status import print_status, step_lines, steps_while_running

if TYPE_CHECKING:
    from reflow.run import Run

Wait = Annotated[bool, switch("--wait", help="Show the progress, and end when the run has ended.")]


def _task(help: str) -> Any:
    return option("--task", metavar="TASK", help=help)


def status(
    context: typer.Context,
    run_id: Annotated[str | None, run_argument("Id of a run; without it, the newest.")] = None,
    task: Annotated[str | None, _task("Show this task only.")] = None,
    errors: Annotated[
        bool, switch("--errors", help="Show tracebacks, or the end of the log.")
    ] = False,
    json: Json = False,
    watch: Annotated[
        bool, switch("--watch", help="Keep showing it until the run has ended.")
    ] = False,
    store: StoreOption = None,
) -> None:
    """Show how a run stands, what failed and why."""
    if json and watch:
        raise UsageError("--json prints once and --watch keeps printing: give one of them")
    source = runs_of(context)
    run = source.open(run_id or LATEST)
    if watch:
        from reflow.cli.watch import watch_in_view

        raise typer.Exit(watch_in_view(run, screen(), source.command, task=task, errors=errors))
    found = run.status(as_dict=True, task=task)
    if json:
        put_json(found)
    else:
        print_status(found, errors=errors, command=source.command)


def cancel(
    context: typer.Context,
    run_ids: Annotated[list[str], run_argument("Ids of runs, or 'latest'.")],
    task: Annotated[str | None, _task("Cancel this task only.")] = None,
    yes: Annotated[bool, switch("--yes", "-y", help="Do not ask.")] = False,
    store: StoreOption = None,
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
        named = ", ".join(f"{run.run_id} ({run.state})" for run in runs)
        raise UsageError(
            f"this would cancel {named}. It must be confirmed, and there is no terminal to ask on: "
            f"add --yes{' or name the run by its id' if len(runs) == 1 else ''}"
        )
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
    changed: Annotated[
        bool,
        switch("--changed", help="Also retry what succeeded with another source than now."),
    ] = False,
    keep: Annotated[
        bool, switch("--keep", help="Keep results of another source, without asking.")
    ] = False,
    wait: Wait = False,
    store: StoreOption = None,
) -> None:
    """Run again what failed, was cancelled or was skipped, with the source as it is now.

    On a terminal it asks whether to keep results of another source; elsewhere, and with
    --changed, they are computed anew.
    """
    from reflow.cli.watch import STOPS_THE_RUN, say_stopped, watch
    from reflow.report.progress import Progress

    source, console = runs_of(context), screen()
    if changed and keep:
        raise UsageError("--changed and --keep contradict each other: give one of them")
    run = source.open(run_id)
    try:
        with Progress(console, STOPS_THE_RUN) as progress:

            def computed_anew(counts: Mapping[str, int]) -> bool:
                if changed or keep or not sys.stdin.isatty():
                    return not keep
                with progress.interrupted():
                    return _is_to_be_computed_anew(counts)

            instances = run.retry(
                task=task, on_progress=progress.show, changed=changed or computed_anew
            )
    except KeyboardInterrupt as interruption:
        say_stopped(run, source.command)
        raise typer.Exit(interrupted_by(interruption)) from None
    if not instances:
        console.say(f"{run.run_id}: nothing to retry; the run is {run.state}")
        return
    console.say(f"{run.run_id}: {count(instances, 'instance')} to be run again")
    if run.state is not RunState.RUNNING:
        # A run in the foreground has ended by the time retry returns, and was shown meanwhile.
        print_status(run.status(as_dict=True), command=source.command)
        raise typer.Exit(RUN_FAILED if wait and run.state is not RunState.SUCCESS else OK)
    if wait:
        raise typer.Exit(watch(run, console, source.command))
    console.put(step_lines(steps_while_running(source.command, run.run_id)))


def _is_to_be_computed_anew(counts: Mapping[str, int]) -> bool:
    """Ask whether to recompute results of another source. Raises `typer.Abort` for neither."""
    of = ", ".join(f"{number} of {name!r}" for name, number in counts.items())
    typer.echo(f"Results that were made with another source: {of}.")
    answer = typer.prompt(
        "Compute them anew, keep them, or retry nothing? [anew/keep/no]",
        default="anew",
        value_proc=_one_of_three,
    )
    if answer == "no":
        raise typer.Abort
    return bool(answer == "anew")


def _one_of_three(answer: str) -> str:
    if answer not in ("anew", "keep", "no"):
        raise typer.BadParameter("please type anew, keep or no")
    return answer


def follow(context: typer.Context, run_id: RunId, store: StoreOption = None) -> None:
    """Dispatch a run from here until it has ended, where its jobs may not submit others."""
    from reflow.cli.watch import follow as follow_run

    source = runs_of(context)
    raise typer.Exit(follow_run(source.open(run_id), screen(), source.command))
