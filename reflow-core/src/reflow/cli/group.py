"""Groups of commands that are imported when they are needed.

A command line that is typed needs one command of many. Help needs all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from reflow.cli.program import new_app
from reflow.errors import UsageError
from reflow.suggest import did_you_mean


class CommandGroup(TyperGroup):
    """A group with the commands of `modules`, beside those that were added to it."""

    modules: Mapping[str, str] = {}
    """By the name of a command, the module of `reflow.cli.commands` that has it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands in the order in which help shows them."""
        added = [name for name in super().list_commands(ctx) if name not in self.modules]
        return [*added, *self.modules]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, imported if need be; None for an unknown name."""
        if cmd_name in self.modules and cmd_name not in self.commands:
            module, _, function = self.modules[cmd_name].partition(":")
            loaded = import_module(f"reflow.cli.commands.{module}")
            self.add_command(_command(cmd_name, getattr(loaded, function or cmd_name)), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that was typed. Raises `UsageError`, which names the nearest.

        Typer would suggest only commands that are imported already.
        """
        typed = args[0] if args and not args[0].startswith("-") else None
        if typed is not None and not ctx.resilient_parsing and not self.get_command(ctx, typed):
            meant = did_you_mean(typed, self.list_commands(ctx)) or "."
            raise UsageError(
                f"there is no command {typed!r}{meant} See '{ctx.command_path} --help'"
            )
        return super().resolve_command(ctx, args)


def _command(name: str, made_of: Any) -> Any:
    if isinstance(made_of, typer.Typer):
        group = typer.main.get_group(made_of)
        group.name = name
        return group
    app = new_app("", add_completion=False)
    app.command(name)(made_of)
    return typer.main.get_command(app)
