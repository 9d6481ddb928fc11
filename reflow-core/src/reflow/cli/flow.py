"""The command line of a flow file, which `wf.cli()` runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from reflow.cli.commands import OF_FLOWS, OF_RUNS
from reflow.cli.group import CommandGroup
from reflow.cli.options import literal
from reflow.cli.program import OK, execute, new_program, program_name, typed_command
from reflow.cli.source import Runs
from reflow.errors import DefinitionError

if TYPE_CHECKING:
    from reflow.workflow import Workflow

WITHOUT_GRAPH = frozenset({*OF_RUNS, "--version"}) - {"retry", "follow"}
"""What works while the workflow in the flow file is not valid."""


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
    about = f"Start and manage runs of the workflow {literal(workflow.name)}."
    app = new_program(about, cls=FlowGroup)
    try:
        graph = workflow.graph()
    except DefinitionError:
        if not WITHOUT_GRAPH.intersection(words[:1]):
            raise
    else:
        from reflow.cli.launch import add_launch_commands

        add_launch_commands(app, workflow, graph)
    return app


class FlowGroup(CommandGroup):
    """The commands of a flow file; those that start runs are added by the workflow."""

    modules = OF_RUNS | OF_FLOWS
