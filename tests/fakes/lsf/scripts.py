"""How bsub reads a script: the options in it, and what it keeps of it to show."""

from __future__ import annotations

import re

_DIRECTIVE = re.compile(r"\s*#\s*BSUB\s*(?=-)")
_CONTINUED = re.compile(r"^(#.*BSUB.*)\\\n", re.MULTILINE)

COMMAND_SHOWN = 255
"""Characters of a command that bjobs and bhist show."""
SCRIPT_SHOWN = COMMAND_SHOWN - len("( cat <<_USER_\\SCRIPT_\n")
"""Of a script; what bsub puts before it takes the rest."""


def joined(script: str) -> str:
    """The script as bsub takes it: a comment of bsub's own that ends in a backslash goes on."""
    while _CONTINUED.search(script):
        script = _CONTINUED.sub(r"\1", script)
    return script


def directive_words(script: str) -> list[str]:
    """The words of all `#BSUB` lines, as bsub takes them apart."""
    words: list[str] = []
    for line in script.splitlines():
        if found := _DIRECTIVE.match(line):
            words += _words(line[found.end() :].split())
    return words


def _words(rest: list[str]) -> list[str]:
    """Those between blanks; quotes keep several together, with a blank between them.

    Only the kind of quotes counts that comes first in the rest of the line, and only where a word
    begins with it. What stands behind the closing one goes, and a line ends where there is none.
    """
    found: list[str] = []
    while rest and not rest[0].startswith("#"):
        quote = next((mark for mark in "".join(rest) if mark in "'\""), None)
        if quote is None or not rest[0].startswith(quote):
            found.append(rest.pop(0))
        elif (value := _quoted(rest, quote)) is not None:
            found.append(value)
    return found


def _quoted(rest: list[str], quote: str) -> str | None:
    """The words up to the closing quote, taken from the rest; None where there is none."""
    value = rest.pop(0).removeprefix(quote)
    if not value and rest:
        value = rest.pop(0)
    if quote in value:
        return value.partition(quote)[0]
    while rest:
        word = rest.pop(0)
        if word == quote:
            return value
        value += f" {word}"
        if quote in word:
            return value.rpartition(quote)[0]
    return None


def shown(command: str, room: int) -> str:
    """A command in one line, cut."""
    text = re.sub(r"(?<=[;&])\n", " ", command.rstrip("\n")[:room])
    return text.replace("\n", ";").rstrip(";")
