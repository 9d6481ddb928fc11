from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Annotated

import pytest
from reflow import Result, Workflow
from reflow.cli.launch import launch_commands
from reflow.wiring.names import RESERVED_PARAMETERS

from tests.unit.cli.conftest import CommandLine

HERE = ("--max-workers", "1")
"""Run in this process: the workflows of these tests are in functions."""


def test_run_ends_with_the_results_and_where_to_look(flow: CommandLine, squares: Workflow) -> None:
    said = flow(squares, "run", *HERE, "--run-dir", "here")
    assert said.code == 0
    (record,) = squares.store.list_runs()
    assert f"{record.run_id}  SUCCESS" in said.out
    assert "total returned\n  sum      14\n  largest  9\n" in said.out
    assert f"status {record.run_id}" in said.out
    assert said.err == ""


def test_run_tells_without_a_terminal_when_a_task_is_done(
    flow: CommandLine, squares: Workflow
) -> None:
    said = flow(squares, "run", *HERE)
    told = [line.split("  ")[1:] for line in said.out.splitlines() if line[2:3] == ":"]
    assert [words for words in told if "SUCCESS" in words] == [
        ["numbers", "SUCCESS"],
        ["square", "SUCCESS", "4/4"],
        ["total", "SUCCESS"],
    ]


def test_options_are_the_parameters_of_the_workflow(flow: CommandLine, squares: Workflow) -> None:
    assert flow(squares, "run", *HERE, "-c", "2").code == 0
    (record,) = squares.store.list_runs()
    assert squares.open_run(record.run_id).result("square") == [0, 1]


def test_a_failed_run_is_exit_code_one_and_says_how_to_go_on(
    flow: CommandLine, squares: Workflow
) -> None:
    said = flow(squares, "run", *HERE, "--bad", "2")
    assert said.code == 1
    assert "square[2]  ERROR" in said.out
    assert "ValueError: 2 is bad" in said.out
    assert f"retry {squares.store.list_runs()[0].run_id}" in said.out


def test_on_error_continue_goes_on(flow: CommandLine, squares: Workflow) -> None:
    assert flow(squares, "run", *HERE, "--bad", "0", "--on-error", "continue").code == 1
    status = squares.open_run(squares.store.list_runs()[0].run_id).status(as_dict=True)
    assert status["tasks"]["square"]["counts"] == {"SUCCESS": 3, "FAILED": 1}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on-error", "go-on"], "continue"),
        (["--force-tasks", "sqare"], "did you mean 'square'?"),
        (["--bad", "x"], "--bad"),
        (["--max-workers", "0"], "max"),
        (["--nonsense"], "--nonsense"),
        (["extra"], "extra"),
    ],
)
def test_wrong_words_are_exit_code_two_and_one_line(
    flow: CommandLine, squares: Workflow, words: list[str], message: str
) -> None:
    said = flow(squares, "run", *words)
    assert said.code == 2
    assert message in said.err
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) == 1
    assert squares.store.list_runs() == []


def test_force_tasks_takes_commas_and_may_be_repeated(flow: CommandLine, squares: Workflow) -> None:
    flow(squares, "run", *HERE, "--run-dir", "r")
    flow(squares, "run", *HERE, "--run-dir", "r", "--force-tasks", "numbers, square")
    flow(
        squares,
        "run",
        *HERE,
        "--run-dir",
        "r",
        *["--force-tasks", "numbers", "--force-tasks", "total"],
    )
    assert [record.state for record in squares.store.list_runs()] == ["SUCCESS"] * 3


def test_a_run_says_how_much_came_from_the_cache(flow: CommandLine, squares: Workflow) -> None:
    assert "cache" not in flow(squares, "run", *HERE).out
    again = flow(squares, "run", *HERE)
    assert "all 6 results came from the cache" in again.out
    assert "logs" not in again.out
    assert "3 of 5 results came from the cache" in flow(squares, "run", *HERE, "-c", "3").out


def test_a_dry_run_shows_what_would_be_run_and_writes_nothing(
    flow: CommandLine, squares: Workflow, tmp_path: Path
) -> None:
    before = flow(squares, "run", "--dry-run", "--run-dir", "r")
    assert before.code == 0
    assert ["numbers", "1", "1", "0"] in [line.split() for line in before.out.splitlines()]
    assert "count = 4" in before.out
    assert not (tmp_path / "r").exists()
    assert squares.store.list_runs() == []


@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_dry_run_shows_what_would_come_from_the_cache(
    flow: CommandLine, squares: Workflow, command: str
) -> None:
    flow(squares, "run", *HERE, "--run-dir", "r")
    said = flow(squares, command, "--dry-run", "--run-dir", "r", "--bad", "3")
    rows = [line.split() for line in said.out.splitlines()]
    assert ["numbers", "1", "0", "1"] in rows
    assert ["square", "4", "4", "0"] in rows


def test_nothing_returned_is_not_shown(flow: CommandLine) -> None:
    wf = Workflow("silent")

    @wf.job()
    def silent() -> None: ...

    assert "returned" not in flow(wf, "run", *HERE).out


def test_a_parameter_that_must_be_given_is_asked_for(flow: CommandLine) -> None:
    wf = Workflow("asking")

    @wf.job()
    def greet(name: str) -> str:
        return f"hello {name}"

    said = flow(wf, "run", *HERE)
    assert said.code == 2
    assert "--name" in said.err
    assert "greet returned hello you" in flow(wf, "run", *HERE, "--name", "you").out


BROKEN = "numbers"


@pytest.fixture
def broken() -> Workflow:
    wf = Workflow("broken")

    @wf.job()
    def use(number: Annotated[int, Result(step=BROKEN)]) -> int:
        return number

    return wf


@pytest.mark.parametrize("words", [["run"], ["submit"], ["dag"], ["describe"], ["--help"], []])
def test_a_workflow_that_is_not_valid_is_refused(
    flow: CommandLine, broken: Workflow, words: list[str]
) -> None:
    said = flow(broken, *words)
    assert said.code == 2
    assert BROKEN in said.err
    assert "Traceback" not in said.err


def test_runs_are_looked_after_while_the_flow_is_being_edited(
    flow: CommandLine, broken: Workflow, squares: Workflow
) -> None:
    assert flow(broken, "runs").code == 0
    assert "no runs yet" in flow(broken, "status").err


def test_debugging_shows_the_traceback_of_a_mistake(
    broken: Workflow, monkeypatch: pytest.MonkeyPatch, flow: CommandLine
) -> None:
    monkeypatch.setenv("REFLOW_DEBUG", "1")
    with pytest.raises(ValueError, match=BROKEN):
        flow(broken, "run")


def test_a_bug_is_not_taken_for_a_mistake(
    flow: CommandLine, squares: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("reflow.report.drawing.draw_text", stumble)
    with pytest.raises(ZeroDivisionError):
        flow(squares, "dag")


def test_dag_draws_in_three_formats(flow: CommandLine, squares: Workflow) -> None:
    assert "square[]" in flow(squares, "dag").out
    assert flow(squares, "dag", "--format", "mermaid").out.startswith("flowchart")
    assert flow(squares, "dag", "--format", "dot").out.startswith("digraph")
    assert "did you mean 'mermaid'?" in flow(squares, "dag", "--format", "mermaids").err


def test_describe_prints_the_mapping_of_describe(flow: CommandLine, squares: Workflow) -> None:
    assert json.loads(flow(squares, "describe").out) == squares.describe()


def test_no_parameter_can_take_the_name_of_an_option(squares: Workflow) -> None:
    for name, command in launch_commands(squares, squares.graph()).items():
        own = [each for each in inspect.signature(command).parameters if "parameter_" not in each]
        assert {*own} - {"context"} <= RESERVED_PARAMETERS, name
