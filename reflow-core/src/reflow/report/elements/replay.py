"""How a replay ended, as text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rich.text import Text

from reflow.model.states import TaskState
from reflow.report.layout import GAP, block, duration, paragraph
from reflow.report.status import STYLES


def replay_lines(found: Mapping[str, Any], *, width: int) -> list[Text]:
    """Show how a function ended that was called again, beside what is recorded."""
    lines = block(found["traceback"], "") if found["traceback"] else []
    name = found["task"] if found["index"] is None else f"{found['task']}[{found['index']}]"
    state = Text(found["state"], STYLES[TaskState(found["state"])])
    took = f"{GAP}after {duration(timedelta(seconds=found['seconds']))}"
    lines.append(Text.assemble((name, "bold"), f" of {found['run_id']}, again{GAP}", state, took))
    lines += paragraph(_said(found), width=width)
    lines += [Text(f"{GAP}{each}") for each in found["differences"]]
    if hidden := found["count"] - len(found["differences"]):
        lines.append(Text(f"{GAP}and {hidden:,} more"))
    for note in found["notes"]:
        lines += paragraph(note, width=width)
    if found["folder"] is not None:
        lines.append(Text(f"what it has written is in {found['folder']}"))
    return lines


def _said(found: Mapping[str, Any]) -> str:
    """Say in a sentence what came of it."""
    before, error = found["recorded_state"], found["recorded_error"]
    if found["state"] != TaskState.SUCCESS:
        if before == TaskState.SUCCESS:
            return (
                f"It failed with {found['error']}; recorded is that it returned {found['recorded']}"
            )
        same = before == TaskState.FAILED and found["error"] == error
        if same:
            return f"It failed, as recorded: {error}"
        return f"It failed with {found['error']}; recorded is {_recorded(before, error)}"
    if found["equal"] is None:
        return f"It returned {found['returned']}; recorded is {_recorded(before, error)}"
    if found["equal"]:
        return f"It returned {found['returned']}, as recorded."
    return (
        "It returned something else than is recorded. If it draws random numbers or asks for the "
        "time, that is to be expected:"
    )


def _recorded(state: str, error: str) -> str:
    return f"{state} with {error}" if error else state
