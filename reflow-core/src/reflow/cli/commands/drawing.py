"""The commands `dag` and `describe` of flow files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.source import runs_of
from reflow.errors import UsageError
from reflow.report.screen import put_json, screen
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from reflow.workflow import Workflow

FORMATS = ("text", "mermaid", "dot")


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
