"""The command line of a flow file, which `wf.cli()` runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.commands.cleaning import add_cleaning_commands
from reflow.cli.commands.runs import add_run_commands
from reflow.cli.commands.tune import add_tune_of_flow
from reflow.cli.launch import add_launch_commands
from reflow.cli.options import literal
from reflow.cli.program import OK, execute, new_program, program_name, typed_command
from reflow.cli.source import Runs, runs_of
from reflow.errors import DefinitionError, UsageError
from reflow.report.screen import put_json, screen
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.workflow import Workflow

WITHOUT_GRAPH = (
    *("status", "cancel", "runs", "logs", "result", "explain", "--version"),
    *("usage", "clean", "rm", "invalidate"),
)
"""What works while the workflow in the flow file is not valid."""
FORMATS = ("text", "mermaid", "dot")


def main(workflow: Workflow, args: Sequence[str] | None = None) -> None:
    """Run the command line of a workflow on `args`, or on those of the process.

    Returns after success; otherwise ends the process with the exit code.
    """
    words = list(sys.argv[1:] if args is None else args)
    code = execute(
        lambda: build_app(workflow, words),
        words,
        name=program_name(),
        obj=Runs(typed_command(), workflow),
    )
    if code != OK:
        raise SystemExit(code)


def build_app(workflow: Workflow, words: Sequence[str]) -> typer.Typer:
    """Build the command line of a workflow, to be run on `words`.

    Raises `DefinitionError` for an invalid workflow, except where the command needs no graph.
    """
    app = new_program(f"Start and manage runs of the workflow {literal(workflow.name)}.")
    try:
        graph = workflow.graph()
    except DefinitionError:
        if not set(words[:1]) & set(WITHOUT_GRAPH):
            raise
    else:
        add_launch_commands(app, workflow, graph)
    add_run_commands(app)
    add_tune_of_flow(app)
    add_cleaning_commands(app)
    app.command("dag")(dag)
    app.command("describe")(describe)
    return app


def dag(
    context: typer.Context,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="text|mermaid|dot",
            help="How to draw it.",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = "text",
) -> None:
    """Draw the workflow: its tasks, and what each is given by others."""
    from reflow.report.drawing import draw_dot, draw_mermaid, draw_text

    graph, console = _workflow(context).graph(), screen()
    if format not in FORMATS:
        suggestion = did_you_mean(format, FORMATS) or f"; there are {', '.join(FORMATS)}"
        raise UsageError(f"there is no format {format!r}{suggestion}")
    if format == "text":
        drawing = draw_text(graph, width=console.width)
    else:
        drawing = draw_mermaid(graph) if format == "mermaid" else draw_dot(graph)
    console.say(drawing.removesuffix("\n"))


def describe(context: typer.Context) -> None:
    """Print what the workflow is made of, as JSON."""
    put_json(_workflow(context).describe())


def _workflow(context: typer.Context) -> Workflow:
    workflow = runs_of(context).workflow
    assert workflow is not None
    return workflow
