"""Edits of the configuration file that leave all else in it, comments too, as it is."""

from __future__ import annotations

import os
import re
import stat
import tomllib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from reflow.config.schema import toml
from reflow.config.task_tables import flat_tasks
from reflow.errors import ConfigError, ReflowWarning
from reflow.model.json import Json
from reflow.permissions import make_folder, open_file
from reflow.wiring.overrides import table_name

_HEADER = re.compile(r"\s*\[(?!\[)(?P<path>.+)\]\s*(#.*)?")
_TEXT = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_KEY = re.compile(
    rf"(?P<head>\s*(?P<key>[A-Za-z0-9_-]+|{_TEXT})\s*=\s*)(?P<value>{_TEXT}|[^#\s\"'\[{{][^#]*?)"
    r"(?P<tail>\s*(#.*)?)"
)


def with_task_tables(text: str, tables: Mapping[str, Mapping[str, Json]], comment: str) -> str:
    """Return the text of a configuration file with other options in tables of tasks.

    Tables that are there are edited in their place; others are added at the end, below `comment`.
    Raises `ConfigError` for a file that is no TOML, or that cannot be edited line by line.
    """
    wanted = _flat({"tasks": tables}, _flat(_parsed(text), {}))
    lines = text.splitlines()
    added: list[str] = []
    for task, options in tables.items():
        place = _place_of(lines, task)
        if place is None:
            added += ["", *table_lines(task, options)]
        else:
            _edit(lines, place, options)
    if added:
        lines += [*([""] if lines else []), comment, *added[1:]]
    edited = "\n".join(lines) + "\n"
    # Text that only looks like a table, such as a line of a long string, is found out here.
    try:
        fits = _flat(_parsed(edited), {}) == wanted and _rest(edited) == _rest(text)
    except ConfigError:
        fits = False
    if not fits:
        raise ConfigError("its tables are not written line by line, so it cannot be edited")
    return edited


def table_lines(task: str, options: Mapping[str, Json]) -> list[str]:
    """Write the table of a task."""
    return [table_name(task), *_written(options)]


def write_config(file: Path, text: str) -> None:
    """Replace the configuration file as a whole. Raises `ConfigError`.

    Where the file is a link, what it leads to is replaced; permissions stay.
    """
    try:
        place = Path(os.path.realpath(file))
        make_folder(place.parent)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            with open_file(temporary, "x", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            with suppress(FileNotFoundError):
                temporary.chmod(stat.S_IMODE(place.stat().st_mode))
            temporary.replace(place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {file}: {error.strerror}; nothing was changed") from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"it is not valid TOML: {error}") from None


def _rest(text: str) -> dict[str, Any]:
    """Return what a file says of anything but tasks."""
    return {name: value for name, value in _parsed(text).items() if name != "tasks"}


def _flat(document: Mapping[str, Any], onto: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of tasks by `tasks.NAME.option`, in addition to others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReflowWarning)
        return {**onto, **dict(flat_tasks(document.get("tasks", {}), "the file"))}


def _written(options: Mapping[str, Json]) -> list[str]:
    return [f"{name} = {toml(value)}" for name, value in options.items()]


def _place_of(lines: list[str], task: str) -> int | None:
    """Return the line of a task's table; None where there is none."""
    return next((place for place, line in enumerate(lines) if _task_of(line) == task), None)


def _task_of(line: str) -> str | None:
    """Return the task whose table begins on a line."""
    if not _HEADER.fullmatch(line):
        return None
    try:
        table = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    path: list[str] = []
    while table:
        [(name, table)] = table.items()
        path.append(name)
    return ".".join(path[1:]) if path[0] == "tasks" else None


def _edit(lines: list[str], place: int, options: Mapping[str, Json]) -> None:
    """Replace the values of a table, and put those that it lacks behind its head."""
    left = dict(options)
    for number in range(place + 1, len(lines)):
        if lines[number].lstrip().startswith("["):
            break
        found = _KEY.fullmatch(lines[number])
        name = found and found["key"].strip("\"'")
        if found and name in left:
            lines[number] = f"{found['head']}{toml(left.pop(name))}{found['tail']}"
    lines[place + 1 : place + 1] = _written(left)
