"""The command `replay`."""

from __future__ import annotations

from typing import Annotated

import typer

from reflow.cli.elements import Index, TaskName, find_element
from reflow.cli.program import INTERRUPTED, OK, RUN_FAILED
from reflow.cli.source import runs_of
from reflow.cli.words import Json, RunId, StoreOption, switch
from reflow.errors import UsageError
from reflow.report.screen import put_json, screen


def replay(
    context: typer.Context,
    run_id: RunId,
    task: TaskName,
    index: Index = None,
    pdb: Annotated[
        bool,
        switch("--pdb", help="Open the debugger at the exception, or in what had succeeded."),
    ] = False,
    keep: Annotated[bool, switch("--keep", help="Keep the folder that it has written to.")] = False,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Call the function of an element again, here, and compare what it returns.

    It is given the recorded inputs, and a temporary folder as its run directory; nothing is
    recorded. The exit code is 0 when it returns what is recorded, and 1 when it does not.
    """
    from reflow.report.elements.replay import replay_lines
    from reflow.runs.replay.replay import Wish
    from reflow.runs.replay.replay import replay as call_again

    if json and pdb:
        raise UsageError("--json is for programs and --pdb for people: give one of them")
    source = runs_of(context)
    run = source.open(run_id)
    element = find_element(run, task, index, source.command, "replay")
    wish = Wish(keep=keep, pdb=pdb, output_to_stderr=json)
    record = run.store.run(run.run_id)
    try:
        found = call_again(run.store, record, element.task, element.index, wish)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if json:
        put_json(found)
    else:
        console = screen()
        console.put(replay_lines(found, width=console.width))
    ended_well = found["state"] == "SUCCESS" and found["equal"] is not False
    raise typer.Exit(OK if ended_well else RUN_FAILED)
