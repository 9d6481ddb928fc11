"""The trace of a run as CSV and as JSON, for spreadsheets and programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Protocol

from reflow.runs.reporting.trace import TraceRow

VERSION = 1
_NAMES = tuple(field.name for field in fields(TraceRow))
_VALUES = attrgetter(*_NAMES)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Writes(Protocol):
    """A file, or what makes a terminal of one."""

    def write(self, text: str, /) -> int:
        """Write text."""


def write_csv(rows: Iterable[TraceRow], file: Writes) -> None:
    """Write rows as CSV by RFC 4180, below a line of their names.

    What is unknown is an empty field. A text that a spreadsheet would calculate is led by an
    apostrophe, so that what a task printed runs nothing on the desk of its reader.
    """
    writer = csv.writer(file)
    writer.writerow(_NAMES)
    writer.writerows(map(_cell, _VALUES(row)) for row in rows)


def write_json(run_id: str, rows: Iterable[TraceRow], file: Writes) -> None:
    """Write rows as one JSON document, a line each."""
    file.write(f'{{"version": {VERSION}, "run": {json.dumps(run_id)}, "attempts": [')
    for number, row in enumerate(rows):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(dict(zip(_NAMES, _VALUES(row), strict=True))))
    file.write("\n]}\n")


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        # Databases and terminals hold what no file of text may: halves of surrogate pairs.
        text = value.replace("\0", "").encode(errors="replace").decode()
        return f"'{text}" if text.startswith(_FORMULA) else text
    return value
