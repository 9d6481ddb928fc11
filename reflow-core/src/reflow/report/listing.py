"""The output of `runs`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.text import Text

from reflow.report.layout import columns, duration, moment, near, shorten
from reflow.report.status import state_text

if TYPE_CHECKING:
    from reflow.model.records import RunRecord

WIDEST_TAGS = 24


def runs_lines(
    records: Sequence[RunRecord], *, width: int, now: datetime | None = None
) -> list[Text]:
    """Show one line per run, with its tags where any has some."""
    tagged = any(record.tags for record in records)
    words = ("run", "state", "started", "took", *(["tags"] if tagged else []), "in")
    rows = [[Text(word, "dim") for word in words]]
    for record in records:
        took = (record.finished_at or now or datetime.now(UTC)) - record.created_at
        rows.append(
            [
                Text(record.run_id),
                state_text(record.state),
                Text(moment(record.created_at)),
                Text(duration(took) + ("" if record.finished_at else " ...")),
                *([Text(shorten(", ".join(record.tags), WIDEST_TAGS))] if tagged else []),
                Text(_place(record), "dim"),
            ]
        )
    lines = columns(rows, width=width, right=(3,), flexible=len(words) - 1)
    if max(line.cell_len for line in lines) > width:
        # Leave out the folder, the one column that `status` shows too.
        lines = columns([row[:-1] for row in rows], width=width, right=(3,))
    return lines


def _place(record: RunRecord) -> str:
    """Return the run directory, or when the run was cleaned up."""
    if record.cleaned_at is not None:
        return f"cleaned up {record.cleaned_at.astimezone():%Y-%m-%d}"
    return near(record.run_dir)
