"""What is recorded of the environment of a submission."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow.rundir.layout import RunLayout
from reflow.runs.reporting.provenance import (
    GitState,
    Provenance,
    Survey,
    installed,
    parse_git,
    read_provenance,
)

RECORD = Provenance(
    reflow="0.1.0",
    python="3.12.1",
    executable="/usr/bin/python3",
    platform="Linux",
    host="login1",
    distributions={"numpy": "2.0.1"},
    git=GitState(commit="abc", branch="main", dirty=True, tracked=True, folder="/home/me/x"),
)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path, "x-1")
    layout.root.mkdir(parents=True)
    return layout


def test_a_record_is_read_back_as_it_was_written(layout: RunLayout) -> None:
    RECORD.write(layout)
    assert read_provenance(layout) == RECORD


@pytest.mark.parametrize("content", ["", "[]", "{}", "no json", '{"reflow": 1, "other": 2}'])
def test_a_record_that_cannot_be_used_counts_as_none(layout: RunLayout, content: str) -> None:
    layout.provenance.write_text(content)
    assert read_provenance(layout) is None


def test_runs_of_before_have_no_record(layout: RunLayout) -> None:
    assert read_provenance(layout) is None


def test_a_folder_that_is_gone_holds_no_submission_up(tmp_path: Path) -> None:
    RECORD.write(RunLayout(tmp_path / "gone", "x-1"))


def test_distributions_are_known_by_the_names_of_their_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (
        first / "numpy-2.0.1.dist-info",
        second / "numpy-1.0.dist-info",
        second / "Typing_Extensions-4.1.dist-info",
        second / "old-1.2-py3.11.egg-info",
        second / "numpy",
    ):
        folder.mkdir(parents=True)
    found = installed([str(first), str(second), str(tmp_path / "missing")])
    assert found == {"numpy": "2.0.1", "old": "1.2", "typing-extensions": "4.1"}


def test_git_is_not_asked_outside_of_a_repository(tmp_path: Path) -> None:
    with Survey() as survey:
        survey.begin(tmp_path / "flow.py")
        assert survey.finish().git is None


HEAD = "/home/me/x\nabc\n"
STATUS = "# branch.oid abc\n# branch.head main\n"
CHANGE = "1 .M N... 100644 100644 100644 1 2 flow.py\n"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("", None),
        ("/home/me/x\n", None),
        (HEAD, GitState(commit="abc", folder="/home/me/x")),
        (
            f"{HEAD}tracked\n{STATUS}whole\n",
            GitState(commit="abc", branch="main", dirty=False, tracked=True, folder="/home/me/x"),
        ),
        (
            f"{HEAD}untracked\n# branch.head (detached)\n{CHANGE}whole\n",
            GitState(commit="abc", dirty=True, tracked=False, folder="/home/me/x"),
        ),
        # It took too long: what has come is true, and what has not is unknown.
        (
            f"{HEAD}tracked\n{STATUS}",
            GitState(commit="abc", branch="main", tracked=True, folder="/home/me/x"),
        ),
    ],
)
def test_as_much_of_gits_answer_is_used_as_there_is(answer: str, state: GitState | None) -> None:
    assert parse_git(answer) == state
