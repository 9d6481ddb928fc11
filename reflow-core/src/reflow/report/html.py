"""Runs and workflows as HTML, for notebooks. All that users wrote is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from reflow.model.graph import Graph
from reflow.model.states import TaskState
from reflow.model.tasks import RunDirInput, TaskSpec
from reflow.report.graph_svg import graph_svg, state_colour
from reflow.report.status import HEADINGS, done_of
from reflow.wiring.types import show

MOST_FAILURES = 10
"""Failed elements that are listed; the others are counted."""

_LEFT = "text-align:left;vertical-align:top"


def run_html(status: Mapping[str, Any]) -> str:
    """Show the mapping of `Run.status()`: the run, a line for each task, and what failed."""
    run, tasks, failed = status["run"], status["tasks"], status["failed_instances"]
    lines = [f"<p><b>{escape(run['run_id'])}</b> {_state(run['status'])}"]
    lines += [f"<br>{escape(text)}" for text in (run["run_dir"], run["message"]) if text]
    lines.append("</p>")
    shown = [state for state in HEADINGS if any(state in task["counts"] for task in tasks.values())]
    rows = [
        [
            escape(name),
            _state(task["state"]),
            escape(done_of(task)),
            *(str(task["counts"].get(state, "")) for state in shown),
        ]
        for name, task in tasks.items()
    ]
    lines.append(_table(["task", "state", "done", *(HEADINGS[state] for state in shown)], rows))
    if failed:
        lines.append(_table(["failed", "cause", "error"], map(_failure, failed[:MOST_FAILURES])))
    in_all = sum(task["counts"].get(TaskState.FAILED, 0) for task in tasks.values())
    if (hidden := in_all - min(len(failed), MOST_FAILURES)) > 0:
        lines.append(f"<p>and {hidden:,} more failed</p>")
    return _framed(lines)


def workflow_html(graph: Graph) -> str:
    """Show a workflow: its drawing, a line for each task, and the parameters of its runs."""
    lines = [f"<p><b>{escape(graph.name)}</b></p>", graph_svg(graph)]
    tasks = [_task(spec) for spec in graph.tasks.values()]
    lines.append(_table(["task", "takes", "returns"], tasks))
    parameters = [
        [escape(name), escape(show(item.declared.annotation)), escape(item.declared.help)]
        for name, item in graph.parameters.items()
    ]
    if parameters:
        lines.append(_table(["parameter", "type", "help"], parameters))
    return _framed(lines)


def mistake_html(name: str, message: str) -> str:
    """Show a workflow that cannot be run as it is, and why."""
    return _framed([f"<p><b>{escape(name)}</b></p>", f"<p>{escape(message)}</p>"])


def _task(spec: TaskSpec) -> list[str]:
    takes = ", ".join(
        f"{item.argument}: {show(item.annotation)}"
        for item in spec.inputs
        if not isinstance(item, RunDirInput)
    )
    name = f"{spec.name}[]" if spec.array else spec.name
    return [escape(name), escape(takes), escape(show(spec.returns))]


def _failure(failure: Mapping[str, Any]) -> list[str]:
    index = "" if failure["index"] is None else f"[{failure['index']}]"
    error = escape(failure["error"] or "")
    return [
        escape(f"{failure['task']}{index}"),
        escape(failure["cause"] or ""),
        f'<pre style="margin:0;white-space:pre-wrap">{error}</pre>',
    ]


def _state(state: str) -> str:
    return f'<span style="color:{state_colour(state)}">●</span> {escape(state)}'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table; its cells are HTML already."""
    head = "".join(f'<th style="{_LEFT}">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(content: str) -> str:
    return f'<td style="{_LEFT}">{content}</td>'


def _framed(lines: Iterable[str]) -> str:
    return f"<div>{''.join(lines)}</div>"
