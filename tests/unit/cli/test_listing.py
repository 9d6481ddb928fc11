from __future__ import annotations

import json

import pytest
from reflow import ParameterError, Workflow

from tests.unit.cli.conftest import CommandLine


@pytest.fixture(autouse=True)
def some_runs(squares: Workflow) -> None:
    squares.run_local("first", tags="paper")
    squares.run_local("second", tags=("paper", "figure 3"), count=2)
    squares.run_local("third")


def folders(reflow: CommandLine, *words: str) -> list[str]:
    listed = json.loads(reflow("runs", "--json", *words).out)
    return [each["run_dir"].rpartition("/")[2] for each in listed]


def test_runs_are_found_by_their_tags(reflow: CommandLine) -> None:
    assert folders(reflow, "--tag", "paper") == ["second", "first"]
    assert folders(reflow, "--tag", "paper", "--tag", "figure 3") == ["second"]
    assert folders(reflow, "--tag", "pape") == []
    assert folders(reflow, "--tag", "paper", "--last", "1") == ["second"]


def test_runs_are_found_by_their_parameters(reflow: CommandLine) -> None:
    assert folders(reflow, "--param", "count=2") == ["second"]
    assert folders(reflow, "--param", "count=4", "--tag", "paper") == ["first"]
    assert folders(reflow, "--param", "other=4") == []
    assert reflow("runs", "--param", "count").code == 2


def test_runs_are_found_by_a_secret_that_is_not_shown(
    reflow: CommandLine, squares: Workflow
) -> None:
    @squares.job()
    def log_in(api_token: str = "none") -> str:
        return api_token

    squares.run_local("with", api_token="hidden")
    assert folders(reflow, "--param", "api_token=hidden") == ["with"]
    assert folders(reflow, "--param", "api_token=***") == []
    assert "api_token=***" in reflow("status").out


def test_runs_are_found_by_their_workflow(reflow: CommandLine, squares: Workflow) -> None:
    assert folders(reflow, "--workflow", "squares") == ["third", "second", "first"]
    assert reflow("runs", "--workflow", "cubes").out == "no run fits\n"


def test_tags_are_shown_where_a_run_has_some(reflow: CommandLine) -> None:
    header, newest, *_ = reflow("runs").out.splitlines()
    assert "tags" in header
    assert "paper" not in newest
    assert "paper, figure 3" in reflow("runs").out
    assert "tags" not in reflow("runs", "--last", "1").out


@pytest.mark.parametrize("tag", ["", " a", "a,b", "a\nb", "a" * 61, 3])
def test_a_tag_that_could_not_be_typed_is_refused(squares: Workflow, tag: object) -> None:
    with pytest.raises(ParameterError, match="tag"):
        squares.run_local("other", tags=[tag])  # type: ignore[list-item]


def test_tags_are_given_on_the_command_line(flow: CommandLine, squares: Workflow) -> None:
    words = ("run", "--max-workers", "1", "--tag", "a,b", "--tag", "c")
    assert flow(squares, *words).code == 0
    assert squares.store.list_runs(limit=1)[0].tags == ("a", "b", "c")
