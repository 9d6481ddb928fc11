"""Options of qsub that users pass through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reflow.plugin_api import ParameterError, option_values

_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")
_RESERVED = {
    "a": "reflow decides when a job starts",
    "b": "reflow writes a script",
    "C": "the script's directives begin with #$",
    "clear": "it would remove reflow's own options",
    "cwd": "jobs change into their folder themselves",
    "e": "logs are in the run directory",
    "h": "no user would release the job",
    "help": "nothing would be submitted",
    "hold_jid": "it follows from the workflow",
    "hold_jid_ad": "it follows from the workflow",
    "i": "a job reads nothing",
    "j": "logs are in the run directory",
    "N": "reflow finds jobs by it",
    "o": "logs are in the run directory",
    "r": "jobs are rerunnable already",
    "S": "set `shell` under [executor.sge]",
    "sync": "reflow does not wait for a job",
    "t": "it follows from the number of elements",
    "tc": "set array_parallelism= of the task",
    "terse": "reflow reads the answer",
    "verify": "nothing would be submitted",
    "V": "set `export_environment` under [executor.sge]",
    "wd": "jobs change into their folder themselves",
}
_ONLY_VERIFIED = ("v", "p")
"""Values of `-w` with which nothing is submitted."""
_UNQUOTABLE = re.compile("['\"]")


def handed_on(options: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Write each option as words: `{"l": ["fast=1", "big=2"], "notify": True}`.

    True gives an option without a value, a list the same option several times, False and None
    leave it out. Raises `ParameterError` for reflow's own options, and for a value that no
    directive can hold.
    """
    values = option_values("sge", options, _RESERVED, lambda given: given.lstrip("-"), _NAME)
    return [
        (f"-{name}",) if value is True else (f"-{name}", *_words(name, value))
        for name, value in values
    ]


def _words(name: str, value: str | int | float) -> tuple[str, ...]:
    """Split a value into words: `smp 4` is two, as after `-pe`."""
    text = str(value)
    if name == "w" and text in _ONLY_VERIFIED:
        raise ParameterError(f"the sge option 'w' with {text!r} submits nothing; use 'e' or 'w'")
    if not text.isprintable() or _UNQUOTABLE.search(text):
        raise ParameterError(
            f"the sge option {name!r} holds a character that no directive can hold: {text!r}"
        )
    return tuple(text.split()) if name in ("pe", "masterq", "binding") else (text,)
