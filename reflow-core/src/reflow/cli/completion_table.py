"""The table of commands that completes words without loading them: see `quick.py`."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import typer

from reflow.cli.quick import Table, stamp, table_file
from reflow.errors import ReflowError
from reflow.permissions import make_folder
from reflow.rundir.files import write_whole


def write_table(app: typer.Typer) -> None:
    """Keep the table of a command line, where the manifest is a file."""
    from reflow.config.schema import config_path, load_config
    from reflow.stores.url import SqliteUrl, parse_url

    with suppress(OSError, ReflowError):
        config, store = str(config_path()), parse_url(load_config().store.url)
        if not isinstance(store, SqliteUrl):
            return
        file = table_file()
        make_folder(file.parent)
        root: Any = typer.main.get_command(app)
        table: Table = {
            "config": config,
            "stamp": stamp(config),
            "store": str(store.path),
            "options": _options(root),
            "commands": {
                name: _command(root.get_command(None, name)) for name in root.list_commands(None)
            },
        }
        write_whole(file, json.dumps(table).encode())


def _command(command: Any) -> dict[str, Any]:
    about = {"about": command.get_short_help_str(limit=60)}
    if hasattr(command, "list_commands"):
        return about
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    return {
        **about,
        "options": _options(command),
        "arguments": [each.name for each in arguments],
        "repeats": any(each.nargs == -1 for each in arguments),
    }


def _options(command: Any) -> dict[str, Any]:
    return {
        flag: {"about": option.help or "", "takes_value": not option.is_flag}
        for option in command.params
        if option.param_type_name == "option" and not option.hidden
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--")
    }
