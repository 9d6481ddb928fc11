"""The tables of the view: tasks, elements, runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from reflow.model.records import FailedInstance
from reflow.model.states import TaskState
from reflow.report.layout import GAP, columns, duration, moment
from reflow.report.status import (
    BAR_WIDTH,
    HEADINGS,
    STYLES,
    done_of,
    progress_bar,
    share_bar,
    state_text,
)
from reflow.report.watch.lines import visible
from reflow.runs.watching.glance import Pace, Running, RunRow

Tasks = Mapping[str, Mapping[str, Any]]
Cells = Sequence[Text]

_RIGHT = ("done", "/min", "left", *HEADINGS.values())
_SHORT_BAR = 8
_VARIANTS: Sequence[Sequence[str]] = (
    ("state", "done", "bar", "/min", "left", *HEADINGS.values()),
    ("state", "done", "short bar", "/min", "left", *HEADINGS.values()),
    ("state", "done", "bar", "/min", "left", "failed", "running", "queued"),
    ("state", "done", "short bar", "/min", "left", "failed", "running", "queued"),
    ("state", "done", "/min", "left", "failed", "running"),
    ("state", "done", "left", "failed"),
    ("state", "done", "left"),
    ("state", "done", "failed"),
    ("state", "done"),
)
"""The columns beside the names of tasks: the first that fit are shown."""
LEAST_NAME = 12
"""The columns that a name keeps before other columns are left out for it."""


def task_table(tasks: Tasks, paces: Mapping[str, Pace], all_tasks: Tasks, width: int) -> list[Text]:
    """Show a heading and a line for each of `tasks`, with as many columns as fit.

    A column is left out where it is empty for `all_tasks`, so that scrolling changes none.
    """
    cells = {name: _task_cells(task, paces.get(name, Pace())) for name, task in tasks.items()}
    used = _used_columns(all_tasks, paces)
    names = [visible(name) for name in tasks]
    longest = max([cell_len(name) for name in names] + [len("task")])
    for variant in _VARIANTS:
        shown = [word for word in variant if word in used]
        rows = [[Text("" if word.endswith("bar") else word, "dim") for word in ("task", *shown)]]
        rows += [
            [Text(name), *(row[word] for word in shown)]
            for name, row in zip(names, cells.values(), strict=True)
        ]
        right = [place for place, word in enumerate(shown, start=1) if word in _RIGHT]
        taken = sum(
            max(cell_len(row[place].plain) for row in rows) for place in range(1, len(shown) + 1)
        )
        if taken + len(GAP) * len(shown) + min(longest, LEAST_NAME) <= width:
            break
    return columns(rows, width=width, right=right)


def _task_cells(task: Mapping[str, Any], pace: Pace) -> dict[str, Text]:
    numbers = {
        word: Text(str(task["counts"].get(state) or ""), STYLES[state])
        for state, word in HEADINGS.items()
    }
    return {
        "state": state_text(task["state"]),
        "done": Text(done_of(task)),
        "bar": progress_bar(task),
        "short bar": progress_bar(task, _SHORT_BAR),
        "/min": Text(rate(pace)),
        "left": Text(left(pace.left)),
        **numbers,
    }


def _used_columns(tasks: Tasks, paces: Mapping[str, Pace]) -> set[str]:
    """Return the columns that are not empty, and those that will not be empty for long.

    So the table does not change its form whenever the last element of a state leaves it.
    """
    used = {"state"}
    found = {state for task in tasks.values() for state in task["counts"]}
    if not all(TaskState(task["state"]).final for task in tasks.values()):
        found |= {TaskState.FAILED, TaskState.RUNNING, TaskState.SUBMITTED}
    used |= {word for state, word in HEADINGS.items() if state in found}
    if any(task["array"] for task in tasks.values()):
        used |= {"done", "bar", "short bar"}
    if any(pace.per_minute is not None for pace in paces.values()):
        used |= {"/min", "left"}
    if any(pace.left is not None for pace in paces.values()):
        used.add("left")
    return used


def rate(pace: Pace) -> str:
    """Write how many elements end per minute: `12.3`."""
    if pace.per_minute is None:
        return ""
    digits = 0 if pace.per_minute >= 100 else 1 if pace.per_minute >= 1 else 2
    return f"{pace.per_minute:,.{digits}f}"


def left(time: timedelta | None) -> str:
    """Write `~8 min`: how long something will probably take, as exactly as can be known."""
    if time is None:
        return ""
    told = duration(_rounded(time)).replace(".0 s", " s")
    return f"~{told.removesuffix(' 0 s').removesuffix(' 0 min').removesuffix(' 0 h')}"


def _rounded(time: timedelta) -> timedelta:
    """Round a time so that it is not read as exact: the longer, the more."""
    seconds = time.total_seconds()
    for limit, step in ((20, 1), (60, 5), (300, 10), (3600, 60), (36000, 600)):
        if seconds < limit:
            return timedelta(seconds=max(round(seconds / step), 1) * step)
    return timedelta(seconds=round(seconds / 3600) * 3600)


def element_rows(
    failures: Sequence[FailedInstance], running: Sequence[Running], width: int
) -> list[Text]:
    """Show a line for each failed element, and one for each that runs."""
    rows: list[Cells] = []
    for each in failures:
        name = each.task if each.index is None else f"{each.task}[{each.index}]"
        attempt = f"attempt {each.attempt}" if each.attempt > 1 else ""
        told = GAP.join(word for word in (visible(each.error), attempt) if word)
        rows.append([Text(visible(name)), Text(str(each.cause or "FAILED"), "red"), Text(told)])
    for one in running:
        attempt = f"attempt {one.attempt}" if one.attempt > 1 else ""
        job = f"job {one.job_id}" if one.job_id else ""
        host = f"on {one.host}" if one.host else ""
        told = GAP.join(visible(word) for word in (host, job, attempt) if word)
        state = Text(TaskState.RUNNING, STYLES[TaskState.RUNNING])
        rows.append([Text(visible(str(one.element))), state, Text(told, "dim")])
    return columns(rows, width=10_000 if width >= LEAST_NAME * 3 else width)


def run_rows(rows: Sequence[RunRow], now: datetime, width: int) -> list[Text]:
    """Show a heading and a line for each run."""
    wide = [
        [Text(word, "dim") for word in ("run", "state", "done", "", "failed", "took", "started")]
    ]
    for row in rows:
        record = row.record
        took = duration((record.finished_at or now) - record.created_at)
        known = row.size is not None
        wide.append(
            [
                Text(visible(record.run_id)),
                state_text(record.state),
                Text(f"{row.done}/{row.size}" if known else ""),
                share_bar(row.done, row.failed, row.size or 0, BAR_WIDTH),
                Text(str(row.failed or ""), STYLES[TaskState.FAILED]),
                Text(took if record.finished_at else f"{took} ..."),
                Text(moment(record.created_at), "dim"),
            ]
        )
    for left_out in ((), (6,), (6, 3), (6, 3, 4), (6, 3, 4, 2)):
        kept = [place for place in range(len(wide[0])) if place not in left_out]
        right = [kept.index(place) for place in (2, 4, 5) if place in kept]
        lines = columns(
            [[line[place] for place in kept] for line in wide], width=10_000, right=right
        )
        if max(line.cell_len for line in lines) <= width:
            return lines
    return columns([[line[place] for place in kept] for line in wide], width=width, right=right)
