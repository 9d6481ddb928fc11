"""Layout of text in lines and columns, whatever it says."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from rich.text import Text

GAP = "  "
LEAST_WIDTH = 12
"""The least width to which a column is cut to fit the terminal."""


def columns(
    rows: Sequence[Sequence[Text]], *, width: int, right: Sequence[int] = (), flexible: int = 0
) -> list[Text]:
    """Align rows in columns; those numbered in `right` are flush right.

    Where lines would be longer than `width`, the cells of the column `flexible` are cut, and
    where that is not enough, the columns stand closer.
    """
    if not rows:
        return []
    widths = [max(cell_len(row[place].plain) for row in rows) for place in range(len(rows[0]))]
    surplus = sum(widths) + len(GAP) * (len(widths) - 1) - width
    gap = GAP
    if surplus > 0:
        least = min(widths[flexible], LEAST_WIDTH)
        gap = GAP if widths[flexible] - surplus >= least else " "
        widths[flexible] = max(widths[flexible] - surplus, least)
    return [_row(row, widths, right, gap) for row in rows]


def _row(row: Sequence[Text], widths: Sequence[int], right: Sequence[int], gap: str) -> Text:
    line = Text()
    for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
        if cell_len(cell.plain) > width:
            cell = Text(shorten(cell.plain, width), cell.style)
        blanks = Text(" " * (width - cell_len(cell.plain)))
        line.append_text(blanks + cell if place in right else cell + blanks)
        line.append(gap)
    line.rstrip()
    return line


def shorten(text: str, width: int) -> str:
    """Cut a text at its end to at most `width` columns."""
    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"


def paragraph(text: str, *, width: int, indent: str = "", first: str | None = None) -> list[Text]:
    """Break prose at blanks, each line behind `indent`, the first behind `first`."""
    lines = textwrap.wrap(
        text,
        max(width, 20),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [Text(line) for line in lines]


def block(text: str, indent: str) -> list[Text]:
    """Indent a text and keep its line breaks, as for a traceback."""
    return [Text(f"{indent}{line}".rstrip()) for line in text.splitlines()]


def ranges(indices: Sequence[int], most: int = 6) -> str:
    """Write ascending numbers as `0-2, 7`; ranges beyond `most` become `...`."""
    spans: list[list[int]] = []
    for index in indices:
        if spans and index == spans[-1][1] + 1:
            spans[-1][1] = index
        else:
            spans.append([index, index])
    shown = [f"{low}" if low == high else f"{low}-{high}" for low, high in spans[:most]]
    return ", ".join(shown + ["..."] * (len(spans) > most))


def count(number: int, noun: str) -> str:
    """Write a number and its noun: `1 task`, `2 tasks`, `48,000 tasks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def duration(span: timedelta) -> str:
    """Write a span of time: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    seconds = span.total_seconds()
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def moment(time: datetime) -> str:
    """Write a moment in local time, to the second."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def near(path: str | Path) -> str:
    """Write a path relative to the working directory where it lies below it."""
    path = Path(path)
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def data_size(number: int) -> str:
    """Write a number of bytes: `0 B`, `3.2 kB`, `14 MB`, `1.5 TB`."""
    size, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}"
