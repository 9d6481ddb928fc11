"""The console script `reflow`: runs of any workflow, flow files, plugins and configuration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from reflow.cli.commands.admin import add_admin_commands
from reflow.cli.commands.cleaning import add_cleaning_commands
from reflow.cli.commands.runs import add_run_commands
from reflow.cli.commands.tune import add_tune
from reflow.cli.launch import launch_commands
from reflow.cli.program import execute, new_app, new_program, typed_command
from reflow.cli.source import Runs
from reflow.errors import UsageError
from reflow.workflow import Workflow

NAME = "reflow"


def main(args: Sequence[str] | None = None) -> None:
    """Run `reflow` on `args`, or on those of the process, and end the process."""
    words = sys.argv[1:] if args is None else args
    command = NAME if args is not None else typed_command()
    raise SystemExit(execute(build_app, words, name=NAME, obj=Runs(command)))


def build_app() -> typer.Typer:
    """Build the command line, with the commands of plugins."""
    app = new_program("Start and manage runs of workflows.", cls=RootGroup)
    for name, about in (
        ("run", "Run the workflow of a flow file here, now, and show its progress."),
        ("submit", "Hand the workflow of a flow file to a scheduler, or to the background here."),
    ):
        # What typer's help calls options and subcommand is here the file and then its options.
        app.add_typer(
            _flow_commands(name, about),
            name=name,
            cls=_GROUPS[name],
            options_metavar="FLOW.py[:WORKFLOW]",
            subcommand_metavar="[OPTIONS]",
        )
    add_run_commands(app)
    add_tune(app)
    add_cleaning_commands(app)
    add_admin_commands(app)
    add_plugin_commands(app)
    return app


class RootGroup(TyperGroup):
    """The commands of `reflow`, those that start runs first."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands' names in the order in which help shows them."""
        names = list(super().list_commands(ctx))
        return sorted(names, key=lambda name: name not in _GROUPS)


# -- run FLOW.py, submit FLOW.py -------------------------------------------------------------


class FlowFileGroup(TyperGroup):
    """A group whose commands are flow files: `reflow run FLOW.py --start ...`.

    So the options after the file are those of its workflow, in help and in completion too.
    """

    launch: str
    """The command of the file's workflow: `run` or `submit`."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command for the workflow of a file. Raises `FlowImportError`."""
        from reflow.cli.named_flow import load_named

        workflow = load_named(cmd_name)
        assert isinstance(workflow, Workflow)
        app = new_app("", add_completion=False)
        command = launch_commands(workflow, workflow.graph())[self.launch]
        app.command(cmd_name, help=command.__doc__, add_help_option=False)(command)
        return typer.main.get_command(app)


class RunGroup(FlowFileGroup):
    """`reflow run`."""

    launch = "run"


class SubmitGroup(FlowFileGroup):
    """`reflow submit`."""

    launch = "submit"


_GROUPS: dict[str, type[FlowFileGroup]] = {"run": RunGroup, "submit": SubmitGroup}


def _flow_commands(name: str, about: str) -> typer.Typer:
    def without_a_file(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            raise UsageError(f"name the flow file: {NAME} {name} FLOW.py [OPTIONS]")

    app = new_app(
        f"{about}\n\nThe workflow's own options are shown by '{NAME} {name} FLOW.py --help'.",
        invoke_without_command=True,
    )
    app.callback()(without_a_file)
    return app


# -- what plugins add ------------------------------------------------------------------------


def add_plugin_commands(app: typer.Typer) -> None:
    """Add the commands of plugins, except those with the name of one of reflow's own."""
    from reflow.plugins.registry import registry

    theirs = typer.Typer()
    registry().add_commands(theirs)
    taken = {_name(each) for each in [*app.registered_commands, *app.registered_groups]}
    for kind in ("registered_commands", "registered_groups"):
        for each in getattr(theirs, kind):
            if _name(each) in taken:
                _warn(f"a plugin's command {_name(each)!r} is left out: that name is taken")
            else:
                taken.add(_name(each))
                getattr(app, kind).append(each)


def _name(registered: Any) -> str:
    """Return the name of a registered command or group, by default that of its function."""
    if isinstance(registered.name, str):
        return registered.name
    return str(getattr(registered.callback, "__name__", "")).lower().replace("_", "-")


def _warn(text: str) -> None:
    import warnings

    from reflow.errors import ReflowWarning

    warnings.warn(text, ReflowWarning, stacklevel=2)
