"""The command `result`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reflow.cli.elements import Index, TaskName, find_task, split_element
from reflow.cli.source import runs_of
from reflow.cli.words import Json, RunId, StoreOption, option
from reflow.errors import UsageError
from reflow.report.screen import put_json, screen

Output = Annotated[
    Path | None,
    option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write it to a file, in the format of its suffix: .json, .npy, .csv, .nc, .pkl...",
    ),
]


def result(
    context: typer.Context,
    run_id: RunId,
    task: TaskName,
    index: Index = None,
    json: Json = False,
    output: Output = None,
    store: StoreOption = None,
) -> None:
    """Show what a task or an element returned, or write it to a file."""
    if json and output:
        raise UsageError("--json prints the result and -o writes it: give one of them")
    if output == Path("-"):
        raise UsageError("-o takes the name of a file; --json prints the result")
    run = runs_of(context).open(run_id)
    name, index = split_element(task, index)
    record = find_task(run, name)
    value = run.result(name, index)
    if json:
        from reflow.report.plain import plain_json

        put_json(plain_json(value))
    elif output is not None:
        from reflow.report.export import export

        export(value, output)
        screen(stderr=True).say(f"wrote {output}")
    else:
        from reflow.report.results import result_lines

        shown = name if index is None or not record.array else f"{name}[{index}]"
        screen().put(result_lines(shown, value))
