from __future__ import annotations

import json
from pathlib import Path

import pytest
from reflow import Run, Workflow

from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def good(squares: Workflow) -> Run:
    return squares.run_local("good")


@pytest.mark.parametrize("words", [("square", "3"), ("square[3]",)])
def test_the_result_of_an_element_is_shown(
    reflow: CommandLine, good: Run, words: tuple[str, ...]
) -> None:
    assert reflow("result", good.run_id, *words).out == "square[3] returned 9\n"


def test_the_results_of_a_task_are_shown_in_a_few_lines(reflow: CommandLine, good: Run) -> None:
    assert reflow("result", "latest", "square").out.splitlines()[0] == "square returned"
    assert json.loads(reflow("result", "latest", "square", "--json").out) == [0, 1, 4, 9]


def test_a_result_is_written_to_a_file(reflow: CommandLine, good: Run, tmp_path: Path) -> None:
    said = reflow("result", "latest", "square", "-o", str(tmp_path / "squares.json"))
    assert (said.out, said.err) == ("", f"wrote {tmp_path / 'squares.json'}\n")
    assert json.loads((tmp_path / "squares.json").read_text()) == [0, 1, 4, 9]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sqare",), "did you mean 'square'"),
        (("square", "4"), "has 4 elements; there is no 4"),
        (("square[1-3]",), "'square[1-3]' names no element: write TASK[3]"),
        (("square[-1]",), "names no element"),
        (("square[1]", "2"), "names no element"),
        (("square", "--json", "-o", "x.json"), "give one of them"),
        (("square", "-o", "x.csv"), "use .json, .pkl"),
        (("square", "-o", "-"), "--json prints the result"),
    ],
)
def test_a_result_that_cannot_be_shown_is_exit_code_two(
    reflow: CommandLine, good: Run, words: tuple[str, ...], message: str
) -> None:
    said = reflow("result", good.run_id, *words)
    assert said.code == 2
    assert message in said.err


def test_a_result_that_is_not_there_says_why(reflow: CommandLine, squares: Workflow) -> None:
    squares.run_local("bad", bad=2, on_error="continue")
    said = reflow("result", "latest", "square", "2")
    assert said.code == 2
    assert "has no result: FAILED ValueError: 2 is bad" in said.err
