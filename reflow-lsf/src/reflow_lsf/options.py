"""Writing of `#BSUB` lines.

bsub splits a line at blanks and keeps together what is in quotes of one kind; there is no way to
have both kinds in one word, and a word that begins with `#` ends the line. It looks for
such lines in the whole script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reflow.plugin_api import ParameterError, option_values

_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")
_PLAIN = re.compile(r"[\w./:,=+@%\[\]*-]+")
_TAKEN_FOR_OPTIONS = re.compile(r"^\s*#\s*BSUB|^_USER_SCRIPT_$|^#.*BSUB.*\\$", re.MULTILINE)
"""Options, the end of the script, and comments that bsub would join with the next line."""
_SECTION = re.compile(r"(\w+)\[([^\]]*)\]")
_RESERVED = {
    "b": "reflow decides when a job starts",
    "cwd": "jobs change into their folder themselves",
    "e": "logs are in the run directory",
    "eo": "logs are in the run directory",
    "env": "set `export_environment` under [executor.lsf]",
    "H": "no user would release the job",
    "h": "nothing would be submitted",
    "I": "a job has no terminal",
    "Ip": "a job has no terminal",
    "Is": "a job has no terminal",
    "i": "a job reads nothing",
    "is": "a job reads nothing",
    "J": "reflow finds jobs by it",
    "K": "reflow does not wait for a job",
    "L": "set `shell` under [executor.lsf]",
    "M": "set mem= of the task",
    "N": "no user would read the mail",
    "n": "set cpus= of the task",
    "o": "logs are in the run directory",
    "oo": "logs are in the run directory",
    "pack": "each job is submitted by itself",
    "Q": "reflow decides what is run again",
    "r": "jobs are rerunnable already",
    "rn": "reflow knows a job that is run again",
    "V": "nothing would be submitted",
    "W": "set time= of the task",
    "w": "it follows from the workflow",
    "Zs": "reflow writes the script",
}


def handed_on(options: Mapping[str, Any]) -> list[str]:
    """Write each option as the rest of a line: `{"app": "big", "x": True}` to `-app big`, `-x`.

    A list gives the same option several times, False and None leave it out; `R` is left out.
    Raises `ParameterError` for reflow's own options, and for a value that no line can hold.
    """
    values = option_values("lsf", options, _RESERVED, lambda given: given.lstrip("-"), _NAME)
    return [f"-{name}" if value is True else f"-{name} {word(value)}" for name, value in values]


def word(value: object) -> str:
    """Write one word of a line. Raises `ParameterError` for a value that bsub cannot read back."""
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    quote = "'" if "'" not in text else '"'
    if not text.isprintable() or quote in text or text[:1] in ("", "#"):
        raise ParameterError(
            f"LSF cannot be given {text!r}: no #BSUB line can contain it. Leave out quotes, "
            "unprintable characters, and a # at the beginning."
        )
    return f"{quote}{text}{quote}"


def requirements(given: Sequence[str], own: Iterable[tuple[str, str]]) -> str:
    """Write one string for `-R`, as not every bsub takes several; a task's own take precedence.

    `own` are sections by their names, `span` or `rusage`; those of one name become one. LSF
    requires `select` before all others.
    """
    asked = " ".join(given)
    merged: dict[str, list[str]] = {}
    for name, text in own:
        if f"{name}[" not in asked:
            merged.setdefault(name, []).append(text)
    written = {name: f"{name}[{':'.join(texts)}]" for name, texts in merged.items()}
    first = [written.pop("select")] if "select" in written else []
    return " ".join([*first, *given, *written.values()])


def sections(requirement: str) -> list[tuple[str, str]]:
    """Split `fast rusage[gpus=2]` into sections; one without a name is a `select`."""
    bare = _SECTION.sub("", requirement).strip()
    return [("select", bare)] * bool(bare) + _SECTION.findall(requirement)


def check_script(text: str) -> None:
    """Raise `ParameterError` where bsub would find an option, or the end, in a script's body."""
    body = text.partition("\n\n")[2]
    found = _TAKEN_FOR_OPTIONS.search(body)
    if found is not None:
        line = body[found.start() :].lstrip("\n").partition("\n")[0]
        raise ParameterError(
            f"bsub would read this line of the script as its own option: {line!r}. "
            "Give options by options= of a task or under [executor.lsf]."
        )
