"""Lines that fit into a terminal, whatever names and messages hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells
from rich.text import Text

from reflow.report.layout import GAP

_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The categories of characters that act on a terminal, or on the order of what it shows."""

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
"""What colours text, or moves the cursor."""

MARK, NO_MARK = "› ", "  "
"""What stands before the chosen line, and before the others."""


def visible(text: str) -> str:
    """Make a text harmless on one line: blanks for line breaks, a sign for what would act."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(letter) for letter in text)


def _visible(letter: str) -> str:
    if letter in "\t\n\r":
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(letter) in _ACTING else letter


def fitted(line: Text, width: int) -> Text:
    """Return a line in at most `width` columns, with nothing in it that acts on a terminal."""
    shown = line.copy()
    shown.plain = visible(line.plain)
    if cell_len(shown.plain) > width:
        shown.truncate(max(width, 0), overflow="ellipsis")
    return shown


def spread(start: Text, ends: Sequence[str], width: int) -> Text:
    """Put a text at the start of a line, and at its end the first of some others that fits."""
    for end in ends:
        blanks = width - cell_len(start.plain) - cell_len(end)
        if blanks >= len(GAP):
            return Text.assemble(start, " " * blanks, end)
    return start


def marked(lines: Sequence[Text], chosen: int | None) -> list[Text]:
    """Put a mark before the chosen line, which is shown in reverse, without other colours."""
    return [
        Text(MARK + line.plain, "reverse") if place == chosen else Text.assemble(NO_MARK, line)
        for place, line in enumerate(lines)
    ]


def window(size: int, room: int, chosen: int | None) -> range:
    """Return the places of a list that are shown, around the chosen one in whole pages."""
    if room <= 0 or not size:
        return range(0)
    if size <= room:
        return range(size)
    at = min(chosen or 0, size - 1)
    first = min(at // room * room, size - room)
    return range(first, first + room)


def broken(text: str, width: int) -> list[str]:
    """Break a line of a log where the terminal ends; at least one line.

    Colours are left out. Of a line that was overwritten, as progress bars are, the last state is
    shown, as in a terminal.
    """
    plain = _SEQUENCE.sub("", text).rstrip("\r").rpartition("\r")[2].expandtabs()
    return chop_cells(visible(plain), max(width, 2)) or [""]
