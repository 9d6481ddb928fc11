"""The commands about the installation: `plugins` and `config`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from reflow.cli.program import new_app
from reflow.cli.words import Json
from reflow.report.installation import config_lines, plugin_lines
from reflow.report.screen import put_json, screen


def plugins(json: Json = False) -> None:
    """Show what is installed, what it provides, and what failed to load and why."""
    from reflow.plugins.registry import registry

    found = registry().report()
    if json:
        put_json([asdict(each) for each in found])
        return
    console = screen()
    console.put(line for each in found for line in plugin_lines(each, width=console.width))


def path() -> None:
    """Print where the configuration file is looked for."""
    from reflow.config.schema import config_path

    screen().say(str(config_path()))


def init() -> None:
    """Write a commented configuration file, unless there is one."""
    from reflow.config.commented import ensure_config_exists
    from reflow.config.schema import config_path

    there = config_path().exists()
    file = ensure_config_exists()
    screen().say(f"{file} exists already and was not changed" if there else f"wrote {file}")


def _show_without_a_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        show()


def show(json: Json = False) -> None:
    """Show every setting in effect, and where its value comes from."""
    from reflow.config.schema import load_config

    config = load_config()
    if json:
        put_json(config.as_dict())
        return
    console = screen()
    console.put(config_lines(config, width=console.width))


config = new_app(
    "Show the settings, and where they come from.",
    invoke_without_command=True,
    add_completion=False,
)
config.callback()(_show_without_a_command)
for _command in (path, init, show):
    config.command(_command.__name__)(_command)
