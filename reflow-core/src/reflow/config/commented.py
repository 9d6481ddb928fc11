"""The configuration as text: the file in which every key is commented out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

from reflow.config.schema import Key, config_path, keys, plain, toml
from reflow.config.values import declared_settings, expected
from reflow.errors import ConfigError, PluginError
from reflow.permissions import make_folder, open_file
from reflow.plugins.registry import registry

_HEAD = """\
# The configuration of reflow, with every key. Remove the # in front of a key to set it.
# Arguments and environment variables take precedence over this file.
"""

_TASKS = """\
# What a task asks for, in place of its decorator: [tasks.NAME] for tasks of that name in all
# workflows, [tasks."WORKFLOW.NAME"] for the task of one. Options are those of the decorator.
#[tasks.NAME]
#mem = "4G"
#time = "01:00:00"
"""


def ensure_config_exists(path: str | Path | None = None) -> Path:
    """Write a fully commented configuration file unless there is one; return its path."""
    file = Path(path).expanduser() if path is not None else config_path()
    try:
        make_folder(file.parent)
        with open_file(file, "x", encoding="utf-8") as stream:
            stream.write(commented_file())
    except OSError as error:
        if not file.exists():
            raise ConfigError(f"cannot write {file}: {error.strerror}") from None
    return file


def commented_file() -> str:
    """Return the text of a configuration file with every key commented out."""
    lines = [_HEAD]
    section = ""
    for key in keys():
        head, _, name = key.name.rpartition(".")
        if head != section:
            if section == "executor":
                lines += _executor_tables()
            section = head
            lines.append(f"[{section}]")
        lines += _commented(key, name)
    lines.append(_TASKS)
    return "\n".join(lines)


def _commented(key: Key, name: str) -> Iterator[str]:
    yield from textwrap.wrap(
        key.help, 98, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )
    yield f"# Environment: {key.env}. " + (f"Default: {key.shown}." if key.shown else "No default.")
    yield f"#{name} = {toml(key.example)}\n"


def _executor_tables() -> Iterator[str]:
    """Yield a table for each installed executor with the keyword parameters of its constructor."""
    for name in sorted(registry().executors()):
        try:
            declared = declared_settings(registry().executor_class(name))
        except PluginError:
            continue
        yield f"[executor.{name}]"
        for setting, parameter in declared.items():
            default = plain(parameter.default)
            if isinstance(default, str | int | float | list):
                yield f"#{setting} = {toml(default)}"
            else:
                yield f"# {setting}: {expected(parameter.annotation)}"
        yield ""
