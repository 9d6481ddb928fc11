"""What notebooks show of runs and workflows."""

# mypy: disable-error-code="empty-body"

from __future__ import annotations

from html.parser import HTMLParser
from typing import Annotated, Any

from reflow import Param, Result, RunDir, Workflow
from reflow.report.html import run_html

from tests.unit.report.statuses import task


class Reader(HTMLParser):
    """Reads the cells of tables, and checks that every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag == "br":
            return
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.rows and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def status(**tasks: dict[str, Any]) -> dict[str, Any]:
    run = {
        "run_id": "weather-1",
        "status": "FAILED",
        "run_dir": "/runs/<b>",
        "message": "1 of 3 in 'use' failed",
    }
    failed = {"task": "use", "index": 1, "cause": "ERROR", "error": "<script>alert(1)</script>"}
    return {"run": run, "tasks": tasks, "failed_instances": [failed]}


def test_a_run_is_a_table_of_its_tasks_and_one_of_what_failed() -> None:
    use = task("FAILED", 3, array=True) | {"counts": {"SUCCESS": 2, "FAILED": 1}}
    html = run_html(status(prepare=task("SUCCESS", 1), use=use))
    read = Reader(html)
    assert read.rows == [
        ["task", "state", "done", "failed"],
        ["prepare", "● SUCCESS", "", ""],
        ["use", "● FAILED", "2/3", "1"],
        ["failed", "cause", "error"],
        ["use[1]", "ERROR", "<script>alert(1)</script>"],
    ]
    assert "weather-1" in html


def test_nothing_that_users_wrote_is_read_as_html() -> None:
    html = run_html(status(**{"<i>": task("FAILED", 1)}))
    assert Reader(html).tags <= {
        "div", "p", "b", "br", "span", "table", "thead", "tbody", "tr", "th", "td", "pre"
    }  # fmt: skip
    assert "<script>" not in html
    assert "<i>" not in html
    assert "/runs/&lt;b&gt;" in html


def test_a_workflow_is_a_drawing_and_tables_of_tasks_and_parameters() -> None:
    wf = Workflow("weather & co")

    @wf.job
    def prepare(
        start: Annotated[str, Param(help="first <day>")], run_dir: RunDir = RunDir()
    ) -> list[str]: ...
    @wf.job(array=True)
    def use(item: Annotated[str, Result(step="prepare")]) -> int: ...

    html = wf._repr_html_()
    assert Reader(html).rows == [
        ["task", "takes", "returns"],
        ["prepare", "start: str", "list[str]"],
        ["use[]", "item: str", "int"],
        ["parameter", "type", "help"],
        ["start", "str", "first <day>"],
    ]
    assert "item ← prepare (fan-out)" in html
    assert "<svg" in html
    assert "weather &amp; co" in html


def test_a_workflow_that_cannot_run_says_why() -> None:
    wf = Workflow("wrong")

    @wf.job
    def use(item: Annotated[str, Result(step="<none>")]) -> int: ...

    assert "&lt;none&gt;" in wf._repr_html_()
    assert "which does not exist" in wf._repr_html_()
    assert "has no tasks" in Workflow("empty")._repr_html_()
