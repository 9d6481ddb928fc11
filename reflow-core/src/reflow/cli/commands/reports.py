"""The commands that look back at a run: `report` and `trace`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reflow.cli.source import runs_of
from reflow.cli.words import Json, RunId, StoreOption, option, switch
from reflow.errors import UsageError


def report(
    context: typer.Context,
    run_id: RunId,
    output: Annotated[
        str | None,
        option("--output", "-o", metavar="FILE", help="Where to write the page."),
    ] = None,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Write a page about a run: what ran when, what it took, what failed, and with which source.

    The page is one file that needs no network. Without -o it is RUN.html in the current folder.
    """
    from reflow.report.layout import near
    from reflow.report.screen import put_json, screen

    if json and output is not None:
        raise UsageError("--json prints the report's data, and -o writes a page: give one of them")
    if output == "-":
        raise UsageError("-o takes the name of a file, and the page is for a browser: report.html")
    run = runs_of(context).open(run_id)
    if json:
        put_json(run.report())
    else:
        path = output or f"{run.run_id}.html"
        run.report(path)
        screen().say(f"wrote {near(path)}")


def trace(
    context: typer.Context,
    run_id: RunId,
    csv: Annotated[bool, switch("--csv", help="Print CSV, with a line of names.")] = False,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Print one line for each try of each element: when, where, how long, what it took."""
    if csv == json:
        raise UsageError("say which form to print: --csv or --json")
    from reflow.report.screen import Visible, screen
    from reflow.runs.reporting.trace import trace as trace_of
    from reflow.runs.reporting.trace_files import write_csv, write_json

    run = runs_of(context).open(run_id)
    rows = trace_of(run.store, run.run_id)
    # Files and pipes get texts as they are; a terminal would act on what a task printed.
    file = Visible(sys.stdout) if sys.stdout.isatty() else sys.stdout
    try:
        if csv:
            write_csv(rows, file)
        else:
            write_json(run.run_id, rows, file)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has left.
        screen().on_broken_pipe()
