"""Completion of words without loading the command line.

A shell asks at every press of the key, and the command line takes half a second to load. So it
leaves a table of its commands and their options behind (`completion_table.py`); with that, and a
glance into the manifest, nearly all words are completed in the time that Python takes to start.
Whatever the table does not tell is left to the command line itself.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import sys
from pathlib import Path
from typing import Any

VARIABLE = "_REFLOW_COMPLETE"
LATEST = "latest"
MOST_RUNS = 50

Table = dict[str, Any]
Candidates = list[tuple[str, str]]
"""Words, and what each is about."""


def complete() -> int | None:
    """Print what a shell asks for and return the exit code; None where the table does not tell."""
    shell = os.environ[VARIABLE].removeprefix("complete_")
    try:
        before, begun = _words(shell)
        found = _candidates(read_table(), before, begun)
    except (OSError, ValueError, LookupError, sqlite3.Error):
        return None
    if found is None:
        return None
    fitting = [each for each in found if each[0].startswith(begun)]
    if shell == "fish" and os.environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if fitting else 1
    print(_FORMATS[shell](fitting))
    return 0


# -- what the shell has, and what it takes ---------------------------------------------------


def _words(shell: str) -> tuple[list[str], str]:
    """Return the words behind the program's name, and the one that has been begun."""
    if shell == "bash":
        words = _split(os.environ["COMP_WORDS"])
        place = int(os.environ["COMP_CWORD"])
        return words[1:place], words[place] if place < len(words) else ""
    typed = os.environ["_TYPER_COMPLETE_ARGS"]
    words = _split(typed)[1:]
    return (words, "") if typed.endswith(" ") or not words else (words[:-1], words[-1])


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quotation that is still open
        return line.split()


def _bash(found: Candidates) -> str:
    return "\n".join(word for word, _ in found)


def _zsh(found: Candidates) -> str:
    if not found:
        return "_files"
    items = (
        f'"{_quoted(word)}"' + (f':"{_quoted(about)}"' if about else "") for word, about in found
    )
    listed = "\n".join(items)
    return f"_arguments '*: :(({listed}))'"


def _quoted(text: str) -> str:
    for plain, escaped in (('"', '""'), ("'", "''"), ("$", "\\$"), ("`", "\\`"), (":", "\\\\:")):
        text = text.replace(plain, escaped)
    return text


def _fish(found: Candidates) -> str:
    return "\n".join(
        f"{word}\t{re.sub(chr(92) + 's', ' ', about)}" if about else word for word, about in found
    )


_FORMATS = {"bash": _bash, "zsh": _zsh, "fish": _fish}


# -- what there is ---------------------------------------------------------------------------


def table_file() -> Path:
    """Return where the table is kept, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "reflow" / "completion.json"


def read_table() -> Table:
    """Return the table. Raises `OSError` or `ValueError` where there is none that still holds."""
    table: Table = json.loads(table_file().read_bytes())
    if not isinstance(table, dict) or table["stamp"] != stamp(table["config"]):
        raise ValueError("something was installed or set since")
    return table


def stamp(config: str) -> dict[str, Any]:
    """Return what a table holds for: this installation, this configuration, these variables."""
    packages = [folder for folder in sys.path if folder.endswith("-packages")]
    places = [*packages, str(Path(__file__).parent / "commands"), config]
    return {
        "written": {place: _written(Path(place)) for place in places},
        "variables": {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("REFLOW_", "XDG_")) or name == "HOME"
        },
    }


def _written(place: Path) -> int | None:
    return place.stat().st_mtime_ns if place.exists() else None


def _candidates(table: Table, before: list[str], begun: str) -> Candidates | None:
    """Return what may come next; None where the table does not tell."""
    if not before:
        names = table["options"] if begun.startswith("-") else table["commands"]
        return [(name, each["about"]) for name, each in names.items()]
    command = table["commands"].get(before[0])
    if command is None or "options" not in command:
        return None
    options = command["options"]
    if begun.startswith("-"):
        return [(name, each["about"]) for name, each in options.items()]
    given, takes_value = [], False
    for word in before[1:]:
        if word.startswith("-") and not takes_value:
            if word not in options:
                return None
            takes_value = options[word]["takes_value"]
        elif takes_value:
            takes_value = False
        else:
            given.append(word)
    if takes_value:
        return None
    return _argument(table, command, given)


def _argument(table: Table, command: dict[str, Any], given: list[str]) -> Candidates | None:
    from reflow.stores import glance

    names = command["arguments"]
    place = len(given) if len(given) < len(names) else len(names) - 1
    if place < 0 or (place < len(given) and not command["repeats"]):
        return []
    store = Path(table["store"])
    if names[place] in ("run_id", "run_ids"):
        return glance.run_ids(store, MOST_RUNS)
    if names[place] == "task" and names[0] == "run_id":
        return glance.task_names(store, None if given[0] == LATEST else given[0])
    return None
