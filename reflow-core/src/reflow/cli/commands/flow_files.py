"""The commands `run FLOW.py` and `submit FLOW.py`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from reflow.cli.program import new_app
from reflow.errors import UsageError


class FlowFileGroup(TyperGroup):
    """A group whose commands are flow files: `reflow run FLOW.py --start ...`.

    So the options after the file are those of its workflow, in help and in completion too.
    """

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command for the workflow of a file. Raises `FlowImportError`."""
        from reflow.cli.launch import launch_commands
        from reflow.cli.named_flow import load_named
        from reflow.workflow import Workflow

        workflow = load_named(cmd_name)
        assert isinstance(workflow, Workflow)
        app = new_app("", add_completion=False)
        command = launch_commands(workflow, workflow.graph())[str(self.name)]
        app.command(cmd_name, help=command.__doc__, add_help_option=False)(command)
        return typer.main.get_command(app)


def _flow_command(name: str, about: str) -> typer.Typer:
    def without_a_file(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            raise UsageError(f"name the flow file: reflow {name} FLOW.py [OPTIONS]")

    # What typer's help calls options and subcommand is here the file and then its options.
    app = new_app(
        f"{about}\n\nThe workflow's own options are shown by 'reflow {name} FLOW.py --help'.",
        name=name,
        cls=FlowFileGroup,
        invoke_without_command=True,
        options_metavar="FLOW.py[:WORKFLOW]",
        subcommand_metavar="[OPTIONS]",
        add_completion=False,
    )
    app.callback()(without_a_file)
    return app


run = _flow_command("run", "Run the workflow of a flow file here, now, and show its progress.")
submit = _flow_command(
    "submit", "Hand the workflow of a flow file to a scheduler, or to the background here."
)
