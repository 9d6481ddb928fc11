"""What a run has brought: shown when it has ended well."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from reflow.cli.layout import GAP, near, shorten
from reflow.cli.show import Step, run_lines, task_lines
from reflow.errors import NotFoundError, ReflowError
from reflow.model.states import TaskState

if TYPE_CHECKING:
    from reflow.model.graph import Graph
    from reflow.run import Run

MOST_PARTS = 8
"""Parts shown of one result."""
WIDEST_VALUE = 300

Results = Mapping[str, Any]
"""By task."""


def last_results(run: Run, graph: Graph) -> dict[str, Any]:
    """What the tasks that nothing comes after returned, those that returned something.

    Array tasks are left out: their results may be many.
    """
    results = {}
    for name, task in graph.tasks.items():
        if task.array or graph.downstream(name):
            continue
        try:
            value = run.result(name)
        except ReflowError:
            # It says how the task ended in the table above.
            continue
        if value is not None:
            results[name] = value
    return results


def success_lines(status: Mapping[str, Any], results: Results, width: int) -> list[Text]:
    """The end of a run that went well: its tasks, its results, and where to look."""
    lines = [*run_lines(status["run"], width=width), Text("")]
    lines += task_lines(status["tasks"], width=width)
    lines.append(Text(""))
    if cached := cache_line(status["tasks"]):
        lines.append(Text(cached))
    for name, value in results.items():
        lines += result_lines(name, value)
    logs = Path(status["run"]["run_dir"]) / "logs" / status["run"]["run_id"]
    if not _all_cached(status["tasks"]):
        lines.append(Text(f"logs are in {near(logs)}"))
    return [*lines, Text("")]


def cache_line(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """How many results were there already; nothing where none was."""
    cached, done = _cached(tasks), _succeeded(tasks)
    if not cached:
        return ""
    if cached == done:
        return f"all {done:,} results came from the cache; --force computes them again"
    return f"{cached:,} of {done:,} results came from the cache"


def _all_cached(tasks: Mapping[str, Mapping[str, Any]]) -> bool:
    return _cached(tasks) == _succeeded(tasks)


def _cached(tasks: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(task.get("cached", 0) for task in tasks.values())


def _succeeded(tasks: Mapping[str, Mapping[str, Any]]) -> int:
    return sum(task["counts"].get(TaskState.SUCCESS, 0) for task in tasks.values())


def result_lines(name: str, value: Any) -> list[Text]:
    """A result in a few lines; one with named parts has a line for each."""
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
    return shorten(" ".join(text.split("\n")), WIDEST_VALUE)


def steps_after_success(run: Run, graph: Graph, command: str) -> list[Step]:
    """What to type next after a run that went well."""
    steps: list[Step] = [(f"{command} status {run.run_id}", "see this again")]
    if name := _last_with_a_log(run, graph):
        words = shlex.join([run.run_id, name])
        steps.append((f"{command} logs {words}", f"what {name} printed"))
    return [*steps, (f"{command} runs", "all runs")]


def _last_with_a_log(run: Run, graph: Graph) -> str | None:
    """The last plain task that printed something in this run."""
    for name, task in reversed(list(graph.tasks.items())):
        if not task.array:
            try:
                run.log_path(name)
            except NotFoundError:
                continue
            return name
    return None
