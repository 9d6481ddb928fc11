"""Explanations as text."""

from __future__ import annotations

from typing import Any

import pytest
from reflow.report.elements.explain import explanation_lines, said

DIFFERENCE = {
    "field": "parameter",
    "name": "n",
    "argument": "",
    "file": "",
    "old": "",
    "new": "",
    "detail": "",
    "elements": [],
    "count": 0,
    "diff": [],
}
EARLIER = {
    "run_id": "flow-20261122-a1b2",
    "task": "each",
    "index": None,
    "state": "",
    "created_at": "2026-11-22T12:00:00+00:00",
    "user": "",
    "host": "",
    "started_at": "",
    "seconds": None,
}


def difference(**changes: Any) -> dict[str, Any]:
    return {**DIFFERENCE, **changes}


def group(**changes: Any) -> dict[str, Any]:
    found = {"count": 1, "elements": [0], "reason": "differs", "text": "", "notes": []}
    return {**found, "earlier": EARLIER, "differences": [], **changes}


def text_of(*groups: dict[str, Any], size: int | None = 9) -> str:
    found = {"run_id": "flow-20261122-c3d4", "task": "each", "size": size, "groups": list(groups)}
    lines = explanation_lines(found, width=200, command="reflow")
    return "\n".join(line.plain for line in lines)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"old": "1", "new": "2"}, "parameter n differs (1 → 2)"),
        ({"new": "2"}, "parameter n differs (now 2)"),
        ({"old": "1", "detail": "of the run"}, "parameter n of the run differs (was 1)"),
        (
            {"field": "value", "name": "F", "file": "/a/s.py", "old": "1", "new": "2"},
            "F in s.py differs (1 → 2)",
        ),
        (
            {"field": "definition", "name": "function f", "file": "/s.py", "detail": "used now"},
            "function f in s.py is used now",
        ),
        ({"field": "version", "old": "1", "new": "2"}, "version= differs (1 → 2)"),
        (
            {"field": "upstream", "argument": "x", "elements": [4], "count": 1},
            "input x from n[4] differs",
        ),
        (
            {"field": "upstream", "argument": "x", "elements": [4, 5], "count": 3_000},
            "input x from n differs in 3,000 elements: [4-5, ...]",
        ),
        (
            {"field": "upstream", "argument": "x", "detail": "item 3", "count": 1},
            "input x, item 3 of what n returned, differs",
        ),
        ({"field": "after", "count": 2}, "n, which it comes after, has 2 new results"),
        (
            {"field": "missing", "old": "1", "new": "0", "elements": [7], "count": 1},
            "elements of n without result differ (1 → 0): [7]",
        ),
        ({"field": "file", "name": "/x/y", "detail": "gone"}, "file /x/y: gone"),
        ({"field": "argument", "detail": "the task has it no more"}, "argument n: the task has it"),
    ],
)
def test_each_kind_of_difference_is_said_in_a_clause(changes: dict[str, Any], text: str) -> None:
    assert said(difference(**changes)).startswith(text)


def test_elements_that_are_not_all_listed_end_in_dots() -> None:
    many = group(count=99_997, elements=[0, 1, 2], differences=[difference(old="1", new="2")])
    assert "99,997 ran because parameter n differs (1 → 2)" in text_of(many)
    assert "[0-2, ...]" in text_of(many)


def test_many_reasons_are_cut() -> None:
    said_of_all = text_of(*(group(reason="first", elements=[each]) for each in range(20)))
    assert "and 8 elements for 8 more reasons" in said_of_all


def test_an_unknown_reason_names_the_run_that_it_was_compared_with() -> None:
    found = group(reason="unknown", text="nothing shows why")
    assert "ran, though flow-20261122-a1b2" in text_of(found)


def test_a_task_whose_size_is_not_known_has_no_number() -> None:
    waits = group(reason="waits", text="its inputs are not known yet", elements=[], earlier=None)
    assert "\ndid not run: its inputs are not known yet" in text_of(waits, size=None)
