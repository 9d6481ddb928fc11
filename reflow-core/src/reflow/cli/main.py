"""The console script `reflow`: runs of any workflow, flow files, plugins and configuration."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import typer

from reflow.cli.commands import OF_REFLOW
from reflow.cli.group import CommandGroup
from reflow.cli.program import execute, new_app, new_program, typed_command
from reflow.cli.quick import VARIABLE
from reflow.cli.source import Runs
from reflow.errors import ReflowWarning

NAME = "reflow"


def main(args: Sequence[str] | None = None) -> None:
    """Run `reflow` on `args`, or on those of the process, and end the process."""
    words = sys.argv[1:] if args is None else args
    command = NAME if args is not None else typed_command()
    try:
        raise SystemExit(execute(build_app, words, name=NAME, obj=Runs(command)))
    finally:
        if VARIABLE in os.environ:
            from reflow.cli.completion_table import write_table

            write_table(build_app())


def build_app() -> typer.Typer:
    """Build the command line, with the commands of plugins."""
    return new_program("Start and manage runs of workflows.", cls=RootGroup)


class RootGroup(CommandGroup):
    """The commands of `reflow`, and those of plugins, which are loaded where no other fits."""

    modules = OF_REFLOW

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of reflow's own commands, and then those of plugins."""
        return [*super().list_commands(ctx), *self._theirs]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None for an unknown name."""
        return super().get_command(ctx, cmd_name) or self._theirs.get(cmd_name)

    @cached_property
    def _theirs(self) -> dict[str, Any]:
        """The commands of plugins by name, except those with the name of one of reflow's own."""
        from reflow.plugins.registry import registry

        app = new_app("", add_completion=False)
        app.callback()(lambda: None)
        registry().add_commands(app)
        found = dict(typer.main.get_group(app).commands)
        for name in found.keys() & self.modules.keys():
            warnings.warn(
                f"a plugin's command {name!r} is left out: that name is taken",
                ReflowWarning,
                stacklevel=2,
            )
            del found[name]
        return found
