"""`tune`: what tasks should ask for, by what they have used."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from reflow.cli.source import runs_of
from reflow.cli.words import Json, StoreOption, option, switch
from reflow.errors import ConfigError, UsageError
from reflow.report.screen import put_json, screen
from reflow.report.status import step_lines, typed

if TYPE_CHECKING:
    from pathlib import Path

    from reflow.executors.contract import Executor
    from reflow.runs.tuning.tune import Tuning
    from reflow.workflow import Workflow

Apply = Annotated[bool, switch("--apply", help="Write it into your configuration file.")]
Patch = Annotated[
    bool, switch("--patch", help="Print the change of the configuration file, and write nothing.")
]
ExecutorName = Annotated[
    str | None,
    option("--executor", metavar="NAME", help="The scheduler whose limits on time count."),
]


def tune_named(
    context: typer.Context,
    flow: Annotated[
        str,
        typer.Argument(
            metavar="FLOW.py[:WORKFLOW]", help="The flow file, as for 'run'.", show_default=False
        ),
    ],
    apply: Apply = False,
    patch: Patch = False,
    executor: ExecutorName = None,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Propose memory, time and CPUs of tasks, by what their elements have used."""
    from reflow.cli.named_flow import load_named
    from reflow.workflow import Workflow

    workflow = load_named(flow)
    assert isinstance(workflow, Workflow)
    command = typed(runs_of(context).command, "tune", flow)
    _tune(context, workflow, command, apply=apply, patch=patch, executor=executor, json=json)


def tune_own(
    context: typer.Context,
    apply: Apply = False,
    patch: Patch = False,
    executor: ExecutorName = None,
    json: Json = False,
    store: StoreOption = None,
) -> None:
    """Propose memory, time and CPUs of tasks, by what their elements have used."""
    runs = runs_of(context)
    assert runs.workflow is not None
    command = typed(runs.command, "tune")
    _tune(context, runs.workflow, command, apply=apply, patch=patch, executor=executor, json=json)


def _tune(
    context: typer.Context,
    workflow: Workflow,
    command: str,
    *,
    apply: bool,
    patch: bool,
    executor: str | None,
    json: bool,
) -> None:
    from reflow.config.edit import write_config
    from reflow.config.schema import config_path
    from reflow.report.tuning import tuning_json, tuning_lines
    from reflow.runs.tuning.tune import tune

    if apply and patch:
        raise UsageError("--apply writes and --patch prints: give one of them")
    store = runs_of(context).given_store or workflow.store
    with ExitStack() as stack:
        chosen = _executor(workflow, executor)
        if chosen is not None:
            stack.callback(chosen.close)
        tuning = tune(store, workflow.graph(), workflow.config, chosen)
    file, console = config_path(), screen()
    change = _change(file, tuning) if tuning.tables and (apply or patch) else None
    if apply and change is not None:
        write_config(file, change[1])
    if json:
        put_json({**tuning_json(tuning), "written": str(file) if apply and change else None})
        return
    if patch:
        console.say("" if change is None else _diff(file, *change))
        return
    console.put(tuning_lines(tuning, width=console.width))
    if change is not None:
        console.say("")
        console.say(_diff(file, *change))
        console.say(f"written to {file}: it counts from the next run on, and for a retry")
    elif tuning.tables:
        console.say("")
        console.put(step_lines([(f"{command} --apply", f"write this into {file}")]))


def _executor(workflow: Workflow, name: str | None) -> Executor | None:
    """Return the executor whose limits count; None where it is not clear which one that is."""
    from reflow.errors import ReflowError

    try:
        return workflow.config.make_executor(name)
    except ReflowError:
        if name is not None:
            raise
        return None


def _change(file: Path, tuning: Tuning) -> tuple[str, str]:
    """Return the text of the configuration file, and what it is to become."""
    from datetime import datetime

    from reflow.config.edit import table_lines, with_task_tables

    try:
        before = file.read_text("utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the configuration {file}: {error}") from None
    comment = f"# by reflow tune, {datetime.now():%Y-%m-%d}"
    try:
        return before, with_task_tables(before, tuning.tables, comment)
    except ConfigError as error:
        tables = (table_lines(task, values) for task, values in tuning.tables.items())
        lines = "\n".join(line for table in tables for line in ["", *table])
        raise ConfigError(f"{file}: {error}. Write this into it yourself:\n{lines}") from None


def _diff(file: Path, before: str, after: str) -> str:
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(file), str(file), lineterm=""
    )
    return "\n".join(lines)
