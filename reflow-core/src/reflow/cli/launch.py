"""`run` and `submit`: the commands that start runs of a workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reflow.cli.options import OPTIONS_PANEL, HelpOption, with_parameters
from reflow.cli.pilots import flag_of, with_pilots
from reflow.cli.program import RUN_FAILED, interrupted_by
from reflow.cli.source import Runs, runs_of
from reflow.cli.success import last_results, steps_after_success
from reflow.cli.watch import STOPS_THE_RUN, say_stopped, watch
from reflow.cli.watch import follow as follow_run
from reflow.cli.words import option, store_option, switch
from reflow.dispatch.modes import FOREGROUND
from reflow.errors import UsageError
from reflow.executors.processes import usable_cpus
from reflow.model.states import RunState
from reflow.model.tasks import FilesMode
from reflow.report.layout import near
from reflow.report.progress import Progress
from reflow.report.results import success_lines
from reflow.report.screen import screen
from reflow.report.status import next_steps, status_lines, step_lines, steps_while_running
from reflow.runs.create import Wanted
from reflow.workflow import Workflow, preview, run_foreground, submit_wanted

if TYPE_CHECKING:
    from reflow.model.graph import Graph
    from reflow.run import Run
    from reflow.stores.contract import Store


_option = partial(option, rich_help_panel=OPTIONS_PANEL)
_switch = partial(switch, rich_help_panel=OPTIONS_PANEL)


def _executor_names() -> list[str]:
    from reflow.plugins.registry import registry

    return list(registry().executors())


def _task_names(ctx: typer.Context) -> list[str]:
    workflow = runs_of(ctx).workflow
    return [] if workflow is None else list(workflow.task_names)


RunDir = Annotated[
    str | None,
    _option(
        "--run-dir",
        metavar="DIR",
        help="Where the run lives. [dim]\\[default: ./runs/RUN_ID][/dim]",
    ),
]
Force = Annotated[bool, _switch("--force", help="Use no result from the cache.")]
ForceTasks = Annotated[
    list[str] | None,
    _option(
        "--force-tasks",
        metavar="TASK,...",
        help="Use no cached result of these tasks.",
        autocompletion=_task_names,
    ),
]
Verify = Annotated[
    bool, _switch("--verify", help="Run the tasks' own checks before using cached results.")
]
Files = Annotated[
    FilesMode | None,
    _option(
        "--files",
        metavar="stat|content|exists",
        help="How files are compared: by size and time, content, or existence."
        " [dim]\\[default: stat][/dim]",
    ),
]
Tags = Annotated[
    list[str] | None,
    _option("--tag", metavar="WORD,...", help="Words to find the run by: 'runs --tag WORD'."),
]
StoreOption = Annotated[str | None, store_option(rich_help_panel=OPTIONS_PANEL)]
DryRun = Annotated[
    bool, _switch("--dry-run", help="Show what would be run, and why; write nothing.")
]
Why = Annotated[
    bool, _switch("--why", help="With --dry-run: say by what elements differ from earlier ones.")
]
Executor = Annotated[
    str | None,
    _option(
        "--executor",
        metavar="NAME",
        help="Where the tasks run: local, or the name of an installed scheduler.",
        autocompletion=_executor_names,
    ),
]
Wait = Annotated[bool, _switch("--wait", help="Show the progress, and end when the run has ended.")]
Follow = Annotated[
    bool,
    _switch("--follow", help="Wait, and submit jobs from here, where jobs may not submit jobs."),
]
MaxWorkers = Annotated[
    int | None,
    _option(
        "--max-workers",
        metavar="N",
        min=1,
        help="Instances to run at once. [dim]\\[default: one per CPU][/dim]",
    ),
]
OnError = Annotated[
    str,
    _option(
        "--on-error",
        metavar="stop|continue",
        help="After a failure, stop, or go on with what does not need it."
        " [dim]\\[default: stop][/dim]",
        autocompletion=lambda: ["stop", "continue"],
    ),
]


def add_launch_commands(app: typer.Typer, workflow: Workflow, graph: Graph) -> None:
    """Add the commands `run` and `submit` of a workflow to a command line."""
    for name, command in launch_commands(workflow, graph).items():
        app.command(name, help=command.__doc__, add_help_option=False)(command)


def launch_commands(workflow: Workflow, graph: Graph) -> dict[str, Callable[..., None]]:
    """Return the commands that start a run, by name, with an option for each of its parameters."""
    commands = {}
    for name, command in (("run", run), ("submit", submit)):
        # `run` takes the options of pilots in order to say why there are none.
        bound = with_pilots(partial(command, workflow), hidden=command is run)
        complete = with_parameters(bound, graph.parameters)
        complete.__doc__ = command.__doc__
        commands[name] = complete
    return commands


def run(
    workflow: Workflow,
    context: typer.Context,
    *,
    parameters: Mapping[str, Any],
    run_dir: RunDir = None,
    max_workers: MaxWorkers = None,
    on_error: OnError = "stop",
    force: Force = False,
    force_tasks: ForceTasks = None,
    verify: Verify = False,
    files: Files = None,
    tag: Tags = None,
    store: StoreOption = None,
    dry_run: DryRun = False,
    why: Why = False,
    pilots: Mapping[str, Any],
    help: HelpOption = False,
) -> None:
    """Run the workflow here, now, and show its progress."""
    if pilots.get("jobs") != 0 and pilots:
        raise UsageError(f"{FOREGROUND.why_no_pilots}. Leave out {flag_of(next(iter(pilots)))}")
    wanted = _wanted(
        run_dir, parameters, force, force_tasks, verify, files, tag, runs_of(context).given_store
    )
    _refuse_alone(why, dry_run)
    if dry_run:
        _show_preview(workflow, wanted, "local", why)
        return
    ended = _in_foreground(
        workflow,
        wanted,
        runs_of(context),
        max_workers=max_workers or usable_cpus(),
        on_error=on_error,
    )
    if ended.state is not RunState.SUCCESS:
        raise typer.Exit(RUN_FAILED)


def submit(
    workflow: Workflow,
    context: typer.Context,
    *,
    parameters: Mapping[str, Any],
    run_dir: RunDir = None,
    executor: Executor = None,
    force: Force = False,
    force_tasks: ForceTasks = None,
    verify: Verify = False,
    files: Files = None,
    tag: Tags = None,
    store: StoreOption = None,
    dry_run: DryRun = False,
    why: Why = False,
    wait: Wait = False,
    follow: Follow = False,
    pilots: Mapping[str, Any],
    help: HelpOption = False,
) -> None:
    """Hand the workflow to a scheduler, or to the background here, and return."""
    wanted = _wanted(
        run_dir, parameters, force, force_tasks, verify, files, tag, runs_of(context).given_store
    )
    wanted = replace(wanted, pilots=pilots)
    _refuse_alone(why, dry_run)
    if dry_run:
        _show_preview(workflow, wanted, executor, why)
        return
    runs = runs_of(context)
    submitted = submit_wanted(workflow, replace(wanted, follow=follow), executor)
    # The id alone is on standard output, so that scripts can take it from there.
    screen().say(submitted.run_id)
    console = screen(stderr=True)
    if follow:
        raise typer.Exit(follow_run(submitted, console, runs.command))
    if wait:
        raise typer.Exit(watch(submitted, console, runs.command))
    if submitted.state is RunState.FAILED:
        # The scheduler has refused the first jobs, and will not take them later.
        status = submitted.status(as_dict=True)
        console.put(status_lines(status, errors=False, width=console.width, command=runs.command))
        raise typer.Exit(RUN_FAILED)
    console.say(f"submitted to run in {near(submitted.run_dir)}")
    console.put(step_lines(steps_while_running(runs.command, submitted.run_id)))


def _wanted(
    run_dir: str | None,
    parameters: Mapping[str, Any],
    force: bool,
    force_tasks: Sequence[str] | None,
    verify: bool,
    files: FilesMode | None,
    tags: Sequence[str] | None,
    store: Store | None,
) -> Wanted:
    return Wanted(
        run_dir=run_dir,
        parameters=parameters,
        force=force,
        force_tasks=_names(force_tasks),
        verify=verify,
        files=files,
        tags=_names(tags),
        store=store,
    )


def _in_foreground(
    workflow: Workflow, wanted: Wanted, runs: Runs, *, max_workers: int, on_error: str
) -> Run:
    console = screen()
    started: list[Run] = []

    def announce(run: Run) -> None:
        started.append(run)
        console.say(f"{run.run_id} in {near(run.run_dir)}")

    try:
        with Progress(console, STOPS_THE_RUN) as progress:
            run = run_foreground(
                workflow,
                wanted,
                max_workers=max_workers,
                on_error=on_error,
                on_start=announce,
                on_progress=progress.show,
            )
    except KeyboardInterrupt as interruption:
        for run in started:
            say_stopped(run, runs.command)
        raise typer.Exit(interrupted_by(interruption)) from None
    status = run.status(as_dict=True)
    if run.state is RunState.SUCCESS:
        graph = workflow.graph()
        console.put(success_lines(status, last_results(run, graph), width=console.width))
        steps = steps_after_success(run, graph, runs.command)
        console.put(step_lines([*next_steps(status, runs.command), *steps]))
    else:
        console.put(status_lines(status, errors=False, width=console.width, command=runs.command))
    return run


def _refuse_alone(why: bool, dry_run: bool) -> None:
    if why and not dry_run:
        raise UsageError(
            "--why goes with --dry-run; of a run that is there, type: explain RUN TASK"
        )


def _show_preview(workflow: Workflow, wanted: Wanted, executor: str | None, why: bool) -> None:
    from reflow.report.preview import preview_lines

    console = screen()
    previewed = preview(workflow, wanted, executor, why)
    # A file or a pager may get all lines; on a terminal the first would scroll away.
    everything = not console.is_terminal
    console.put(preview_lines(previewed, width=console.width, every_instance=everything))


def _names(given: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(name.strip() for words in given or () for name in words.split(",") if name.strip())
