"""The results of a run, shown when it has succeeded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from reflow.model.states import TaskState
from reflow.report.layout import GAP, near, shorten
from reflow.report.status import failure_lines, run_lines, task_lines

MOST_PARTS = 8
"""Named parts shown of one result."""
WIDEST_VALUE = 300

Results = Mapping[str, Any]
"""By task."""


def success_lines(status: Mapping[str, Any], results: Results, *, width: int) -> list[Text]:
    """Show a run that succeeded: its tasks, its results, and where its logs are."""
    run, tasks = status["run"], status["tasks"]
    cached = sum(task["cached"] for task in tasks.values())
    done = sum(task["counts"].get(TaskState.SUCCESS, 0) for task in tasks.values())
    lines = [*run_lines(run, width=width), Text(""), *task_lines(tasks, width=width), Text("")]
    if failed := status["failed_instances"]:
        lines += [*failure_lines(failed, run, errors=False, width=width), Text("")]
    if cached:
        lines.append(Text(cache_line(cached, done)))
    for name, value in results.items():
        lines += result_lines(name, value)
    if cached < done:
        logs = Path(run["run_dir"]) / "logs" / run["run_id"]
        lines.append(Text(f"logs are in {near(logs)}"))
    return [*lines, Text("")]


def cache_line(cached: int, done: int) -> str:
    """Say how many results came from the cache."""
    if cached < done:
        return f"{cached:,} of {done:,} results came from the cache"
    if done == 1:
        return "the result came from the cache; --force computes it again"
    return f"all {done:,} results came from the cache; --force computes them again"


def result_lines(name: str, value: Any) -> list[Text]:
    """Show a result in a few lines; one with named parts has a line for each."""
    parts = _parts(value)
    if parts is None:
        return [Text(f"{name} returned {_brief(value)}")]
    widest = max((len(key) for key in parts), default=0)
    lines = [
        Text(f"{GAP}{key.ljust(widest)}{GAP}{_brief(part)}")
        for key, part in list(parts.items())[:MOST_PARTS]
    ]
    if len(parts) > MOST_PARTS:
        lines.append(Text(f"{GAP}and {len(parts) - MOST_PARTS} more"))
    return [Text(f"{name} returned"), *lines]


def _parts(value: Any) -> dict[str, Any] | None:
    if isinstance(value, dict) and value:
        return {_brief(key): part for key, part in value.items()}
    if isinstance(value, list | tuple) and len(value) > 1 and not hasattr(value, "_fields"):
        return {f"[{place}]": part for place, part in enumerate(value)}
    if hasattr(value, "_asdict"):
        return dict(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in fields(value)}
    return None


def _brief(value: Any) -> str:
    if isinstance(value, Path):
        return near(value)
    text = value if isinstance(value, str) else repr(value)
    if "\n" in text and isinstance(getattr(value, "shape", None), tuple):
        # An array or a table, whose lines mean nothing behind each other.
        text = f"{type(value).__name__} of shape {value.shape}"
    return shorten(" ".join(text.split("\n")), WIDEST_VALUE)
