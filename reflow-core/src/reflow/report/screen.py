"""Where output goes: a terminal or a pipe, with colours or without."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console
from rich.text import Text

_UNBOUNDED = 10_000
"""The width of files and pipes, in columns: their lines are never broken."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Screen(Console):
    """A rich console that ignores further output when the reader of a pipe has left."""

    def on_broken_pipe(self) -> None:
        """Discard all further output: `| head` ends the output, not the run."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)

    def put(self, lines: Iterable[Text]) -> None:
        """Print lines unbroken; where one is too long, the terminal breaks it.

        So a path or a command can be copied whole. Control characters, which names and errors may
        hold and which would act on the terminal, are made visible.
        """
        for line in lines:
            line.plain = _visible(line.plain)
            self.print(line, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print plain text."""
        self.put([Text(text)])


def screen(*, stderr: bool = False, file: IO[str] | None = None) -> Screen:
    """Make a screen on standard output, on standard error, or on `file`.

    `NO_COLOR`, `FORCE_COLOR` and `COLUMNS` are honoured. Files and pipes get no colours, and
    their lines are broken only where `COLUMNS` is set.
    """
    given: dict[str, Any] = {"stderr": stderr, "file": file}
    console = Screen(**given, highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        # Looked up once: while tasks run in this process, its streams are redirected.
        return Screen(**given, highlight=False, markup=False, emoji=False, force_terminal=True)
    if not os.environ.get("COLUMNS"):
        console.width = _UNBOUNDED
    return console


def put_json(data: Any) -> None:
    """Print data for programs, on standard output."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    # JSON escapes other control characters by itself.
    text = re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)
    screen().out(text, highlight=False)


class Visible:
    """Writes text to a terminal with its control characters made visible."""

    def __init__(self, terminal: IO[str]) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write text; lines may end as CSV has it."""
        return self._terminal.write(_visible(text.replace("\r\n", "\n")))


def _visible(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
