"""Filling the page's template with a run's report.

The page is passed on, and opened from a file. It asks for nothing from a network, and its policy
forbids that as well as every script but its own; all that users and tasks wrote is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from reflow.errors import ReflowError
from reflow.model.states import TaskState
from reflow.report.graph_svg import graph_svg
from reflow.report.layout import count
from reflow.report.page import parts, plots, units
from reflow.rundir.files import write_whole
from reflow.runs.reporting.contents import RunReport

SYMBOLS = {
    TaskState.PENDING: "○",
    TaskState.SUBMITTED: "…",
    TaskState.RUNNING: "▸",
    TaskState.SUCCESS: "✓",
    TaskState.FAILED: "✗",
    TaskState.CANCELLED: "⊘",
    TaskState.SKIPPED: "⤼",
}
"""States are told by colour, symbol and word."""


def write_page(report: RunReport, path: Path) -> None:
    """Write the page of a report. Raises `ReflowError` where it cannot be written."""
    content = page(report).encode()
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            write_whole(path, content)
    except OSError as error:
        raise ReflowError(
            f"the report cannot be written to {path}: {error.strerror}; choose another file with -o"
        ) from error


def page(report: RunReport) -> str:
    """Return the page of a report."""
    environment = _environment()
    script = _text(environment, "script.js")
    return environment.get_template("page.html.j2").render(
        report=report,
        run=report.run,
        parts=parts,
        plots=plots,
        graph=units.html(units.plain(graph_svg(report.graph, parts.standings(report)))),
        style=units.html(_text(environment, "style.css")),
        script=units.html(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _text(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reflow.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seconds=units.seconds,
        size=units.size,
        percent=units.percent,
        number=units.number,
        moment=units.moment,
        zone=units.zone,
        value_text=units.value_text,
        ranges=units.ranges,
        counted=count,
        symbol=lambda state: SYMBOLS[TaskState(state)],
    )
    return environment


def _visible(value: Any) -> Any:
    """Make control characters in texts of others visible; HTML of our own is left alone."""
    return (
        units.plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
    )
