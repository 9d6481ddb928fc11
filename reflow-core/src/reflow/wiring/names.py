"""Names: which ones tasks and parameters may have, and suggestions for unknown ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.errors import DefinitionError
from reflow.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

RESERVED_PARAMETERS = frozenset(
    {
        "dry_run",
        "executor",
        "files",
        "follow",
        "force",
        "force_tasks",
        "help",
        "json",
        "max_workers",
        "on_error",
        "pilot_cpus",
        "pilot_gpus",
        "pilot_idle",
        "pilot_mem",
        "pilot_nodes",
        "pilot_queue",
        "pilot_time",
        "pilots",
        "run_dir",
        "self",
        "store",
        "tag",
        "tags",
        "verify",
        "wait",
        "why",
    }
)
"""Keywords of `submit` and `run_local`, and with dashes the flags of `submit` and `run`; some of
them are kept for later, as adding one would break workflows that have such a parameter."""

RESERVED_SHORT_FLAGS = frozenset({"-h"})
"""One-letter flags that no parameter may take."""

MOST_BYTES_IN_A_NAME = 150
"""Names become names of folders, with room left for a date beside them."""

_FORBIDDEN = "/[],"


def check_name(kind: str, name: object) -> str:
    """Return `name` if a task, flow or workflow (`kind`) may have it.

    Any printable text will do, blanks and quotes included, as long as it can be the name of a
    folder and a word on the command line. Raises `DefinitionError` otherwise.
    """
    if not isinstance(name, str):
        raise DefinitionError(f"the name of a {kind} must be a text, not {name!r}")
    if not name or name != name.strip():
        raise DefinitionError(f"{kind} name {name!r} is empty or has a blank at its ends")
    if not name.isprintable() or any(letter in _FORBIDDEN for letter in name):
        raise DefinitionError(
            f"{kind} name {name!r} has a character that cannot be used: leave out / [ ] , "
            "and what cannot be printed"
        )
    if name[0] in ".-":
        raise DefinitionError(f"{kind} name {name!r} must not begin with {name[0]!r}")
    if len(name.encode()) > MOST_BYTES_IN_A_NAME:
        raise DefinitionError(
            f"{kind} name {name!r} is too long: use at most {MOST_BYTES_IN_A_NAME} bytes"
        )
    return name


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message on an unknown name: the nearest name, or all there are."""
    known = list(known)
    if not known:
        return "; there are none"
    shown = ", ".join(repr(item) for item in known[:10]) + (", ..." if len(known) > 10 else "")
    return did_you_mean(name, known) or f"; there is {shown}"
