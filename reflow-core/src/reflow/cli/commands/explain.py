"""The command `explain`."""

from __future__ import annotations

import typer

from reflow.cli.elements import Index, TaskName, find_task, split_element
from reflow.cli.source import runs_of
from reflow.cli.words import Json, RunId, StoreOption
from reflow.report.screen import put_json, screen


def explain(
    context: typer.Context,
    run_id: RunId,
    task: TaskName,
    index: Index = None,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Explain why an element ran, or which result it took from the cache.

    Without an index, all elements of the task are explained, those alike together.
    """
    source = runs_of(context)
    run = source.open(run_id)
    task, index = split_element(task, index)
    found = run.explain(find_task(run, task).name, index)
    if json:
        put_json(found)
        return
    from reflow.report.elements.explain import explanation_lines

    console = screen()
    console.put(explanation_lines(found, width=console.width, command=source.command))
