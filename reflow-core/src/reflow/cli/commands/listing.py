"""The command `runs`."""

from __future__ import annotations

import json as to_text
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reflow.cli.source import complete_workflows, runs_of
from reflow.cli.words import Json, StoreOption, option, switch
from reflow.errors import UsageError
from reflow.model.states import RunState
from reflow.report.listing import runs_lines
from reflow.report.screen import put_json, screen
from reflow.runs.status import run_as_dict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reflow.model.json import Json as JsonValue
    from reflow.model.records import RunRecord

SHOWN_RUNS = 10


def runs(
    context: typer.Context,
    last: Annotated[
        int, option("--last", "-n", metavar="N", help="So many, the newest.", min=1)
    ] = SHOWN_RUNS,
    every: Annotated[bool, switch("--all", help="All of them.")] = False,
    since: Annotated[
        str | None,
        option("--since", metavar="DATE", help="Created then or later: 2025-03-01[T12:00]."),
    ] = None,
    until: Annotated[
        str | None, option("--until", metavar="DATE", help="Created before then.")
    ] = None,
    state: Annotated[
        str | None,
        option(
            "--status",
            metavar="STATE",
            help="In this state: RUNNING, SUCCESS, FAILED or CANCELLED.",
            autocompletion=lambda: [state.value for state in RunState],
        ),
    ] = None,
    workflow: Annotated[
        str | None,
        option(
            "--workflow",
            metavar="NAME",
            help="Of this workflow.",
            autocompletion=complete_workflows,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, option("--tag", metavar="WORD", help="With this tag; all, if several.")
    ] = None,
    param: Annotated[
        list[str] | None,
        option("--param", metavar="NAME=VALUE", help="With this value of a parameter."),
    ] = None,
    watch: Annotated[
        bool, switch("--watch", help="Keep showing them, and open each with Enter.")
    ] = False,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """List runs, the newest first."""
    from reflow.runs.recover import end_abandoned

    if json and watch:
        raise UsageError("--json prints once and --watch keeps printing: give one of them")
    source, console = runs_of(context), screen()
    is_wanted = _filter(tag or (), [_pair(text) for text in param or ()])
    # One more than is shown, to tell whether there are more.
    limit = None if every or is_wanted else last + 1

    def listed() -> list[RunRecord]:
        found = source.store.list_runs(
            graph_name=source.workflow_name or workflow,
            limit=limit,
            since=since,
            until=until,
            status=state,
        )
        return [record for record in found if is_wanted(record)] if is_wanted else found

    if watch:
        from reflow.cli.watch_runs import watch_runs

        raise typer.Exit(watch_runs(source, console, listed, None if every else last))
    found = listed()
    abandoned = [record for record in found if end_abandoned(source.store, record)]
    if abandoned:
        found = listed()
    shown = found if every else found[:last]
    if json:
        put_json([_without_parameters(record) for record in shown])
        return
    if not shown:
        filtered = since or until or state or workflow or is_wanted
        console.say("no run fits" if filtered else f"no runs yet: start one with {source.start}")
        return
    console.put(runs_lines(shown, width=console.width))
    if len(found) > len(shown):
        console.say(f"these are the newest {len(shown)}; --last N or --all shows more")


def _filter(
    tags: Sequence[str], parameters: Sequence[tuple[str, str]]
) -> Callable[[RunRecord], bool] | None:
    """Return what tells whether a run has these tags and parameters; None where all have."""
    if not tags and not parameters:
        return None
    return lambda record: (
        set(tags) <= set(record.tags)
        and all(
            name in record.parameters and _says(record.parameters[name], text)
            for name, text in parameters
        )
    )


def _pair(text: str) -> tuple[str, str]:
    """Take `NAME=VALUE` apart. Raises `UsageError`."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"--param {text!r} has no value: write --param NAME=VALUE")
    return name.strip().replace("-", "_"), value


def _says(value: JsonValue, text: str) -> bool:
    """Tell whether a parameter, or an item of a list, is written like this."""
    if isinstance(value, list) and any(_says(item, text) for item in value):
        return True
    return text in (value, to_text.dumps(value, ensure_ascii=False), str(value))


def _without_parameters(record: RunRecord) -> Mapping[str, Any]:
    """Convert a run to JSON as `status --json` does, without its parameters, which may be long."""
    return {name: value for name, value in run_as_dict(record).items() if name != "parameters"}
