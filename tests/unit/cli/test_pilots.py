"""The options of pilots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from reflow import Workflow
from reflow.runs.create import Wanted

from tests.unit.cli.conftest import CommandLine

ASKED = (
    "--pilots 2 --pilot-cpus 8 --pilot-mem 4G --pilot-time 01:00:00 --pilot-idle 90s "
    "--pilot-gpus 1 --pilot-nodes whole --pilot-queue long"
)


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> list[Wanted]:
    """What was to be submitted."""
    seen: list[Wanted] = []

    def submit(workflow: Workflow, wanted: Wanted, executor: object) -> None:
        seen.append(wanted)
        raise KeyboardInterrupt

    monkeypatch.setattr("reflow.cli.launch.submit_wanted", submit)
    return seen


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("--pilots 0", {"jobs": 0}),
        ("--pilot-cpus 8", {"cpus": 8}),
        (
            ASKED,
            {
                "jobs": 2,
                "cpus": 8,
                "mem": "4G",
                "time": "01:00:00",
                "idle": "90s",
                "gpus": 1,
                "nodes": "whole",
                "queue": "long",
            },
        ),
    ],
)
def test_what_is_typed_is_asked_for_and_nothing_else(
    flow: CommandLine,
    squares: Workflow,
    wanted: list[Wanted],
    words: str,
    given: Mapping[str, Any],
) -> None:
    flow(squares, "submit", *words.split())
    assert wanted[0].pilots == given


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--pilots 2 --pilot-mem much", "--pilot-mem: mem 'much' is not a size"),
        ("--pilots 2 --pilot-time 8h", "--pilot-time: time '8h' is not a duration"),
        ("--pilots 2 --pilot-idle soon", "--pilot-idle: idle 'soon' is not a duration"),
        ("--pilots 2 --pilot-nodes 3", "--pilot-nodes: nodes='3': write 'whole'"),
        ("--pilots 0 --pilot-cpus 8", "leave out --pilot-cpus"),
        ("--pilots -1", "'--pilots'"),
        ("--pilots 2", "elements of all tasks share processes anyway"),
        ("--pilot-cpus 8", "add --pilots N, or set jobs below [pilots]"),
    ],
)
def test_what_cannot_be_had_is_told_at_once(
    flow: CommandLine, squares: Workflow, words: str, told: str
) -> None:
    said = flow(squares, "submit", *words.split())
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert squares.store.list_runs() == []


def test_a_run_in_the_foreground_says_why_it_has_no_pilots(
    flow: CommandLine, squares: Workflow
) -> None:
    said = flow(squares, "run", "--pilots", "2")
    assert said.code == 2
    assert "elements of all tasks share processes anyway. Leave out --pilots" in said.err
    assert "pilot" not in flow(squares, "run", "--help").out


def test_a_run_in_the_foreground_has_none_of_the_configured_pilots(
    flow: CommandLine, squares: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_PILOTS_JOBS", "4")
    assert flow(squares, "run", "--max-workers", "1").code == 0
    assert flow(squares, "run", "--max-workers", "1", "--pilots", "0").code == 0


def test_help_has_the_options_of_pilots_beside_each_other(
    flow: CommandLine, squares: Workflow
) -> None:
    said = flow(squares, "submit", "--help").out
    assert "Pilots: jobs that run the whole run" in said
    assert "--pilot-idle" in said
