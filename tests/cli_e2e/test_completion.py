"""Words are completed from a table that the command line leaves behind, or by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow import Run
from reflow.cli.quick import table_file

from tests.cli_e2e.conftest import Gate

Complete = Callable[..., list[str]]


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Complete:
    """Press the key behind a line in bash, and return what is offered."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def press(line: str) -> list[str]:
        place = len(line.split()) - (not line.endswith(" "))
        given = {"_REFLOW_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(place)}
        return offered(given).split()

    return press


def offered(given: dict[str, str]) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "reflow"],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    return ended.stdout


@pytest.fixture
def run(gate: Gate) -> Run:
    gate.open()
    return gate.workflow.run_local("run")


LINES = (
    "reflow st",
    "reflow status ",
    "reflow status gat",
    "reflow status --wa",
    "reflow cancel --yes ",
    "reflow logs latest ",
    "reflow logs latest w",
    "reflow runs --status F",
    "reflow runs --last 3 --js",
)


def test_the_table_offers_what_the_command_line_itself_offers(words: Complete, run: Run) -> None:
    alone = []
    for line in LINES:
        table_file().unlink(missing_ok=True)
        alone.append(words(line))
    assert table_file().exists()
    assert [words(line) for line in LINES] == alone
    assert alone[:2] == [["status"], [run.run_id]]
    assert alone[5:8] == [["begin", "wait", "end"], ["wait"], ["FAILED"]]


def test_what_was_installed_or_set_since_makes_the_table_anew(
    words: Complete, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(words("reflow status ")) == 1
    monkeypatch.setenv("REFLOW_STORE", str(tmp_path / "empty.db"))
    assert words("reflow status ") == []
    assert words("reflow status ") == []


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"stamp": 1, "config": "/x"}'])
def test_a_table_that_is_damaged_is_not_used(words: Complete, run: Run, content: str) -> None:
    table_file().parent.mkdir(parents=True)
    table_file().write_text(content)
    assert words("reflow sta") == ["status"]


def test_zsh_and_fish_are_told_what_each_word_is_about(words: Complete, run: Run) -> None:
    line = {"_TYPER_COMPLETE_ARGS": "reflow logs latest w"}
    for _ in ("by the command line", "by the table"):
        zsh = offered({**line, "_REFLOW_COMPLETE": "complete_zsh"})
        assert zsh == '_arguments \'*: :(("wait":"2 elements"))\'\n'
        fish = {**line, "_REFLOW_COMPLETE": "complete_fish"}
        assert offered({**fish, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}) == (
            "wait\t2 elements\n"
        )
