"""Reading the directives of a script as qsub does, which is not as a shell does."""

from __future__ import annotations

import re

from reflow.testing.fakes.emulator import Refusal

_CONTINUED = re.compile(r"\\\s*\n")


def directives(script: bytes, prefix: str) -> list[str]:
    """The words of the `#PBS` lines before the first command."""
    text = _CONTINUED.sub("", script.decode("utf-8", "surrogateescape"))
    words: list[str] = []
    for line in text.splitlines():
        start = line.lstrip()
        if prefix and start.startswith(prefix):
            words += split(start[len(prefix) :])
        elif start and not start.startswith("#") and not line.startswith(":"):
            break
    return words


def split(line: str) -> list[str]:
    """Take a directive apart: quotes and backslashes count, and nothing begins a comment."""
    words: list[str] = []
    word: str | None = None
    at = 0
    while at < len(line):
        letter = line[at]
        at += 1
        if letter in "\"'":
            end = line.find(letter, at)
            if end < 0:
                raise Refusal("qsub: unmatched \n", 1)
            word = (word or "") + line[at:end]
            at = end + 1
        elif letter == "\\":
            word = (word or "") + line[at : at + 1]
            at += 1
        elif not letter.isspace():
            word = (word or "") + letter
        elif word is not None:
            words.append(word)
            word = None
    return words if word is None else [*words, word]
