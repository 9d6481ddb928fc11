"""What runs are submitted with, as git tells it."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from reflow import Workflow
from reflow.runs.reporting import provenance
from reflow.runs.reporting.provenance import GitState, Survey

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    command = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", *words]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=30
    ).stdout.strip()


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flow in a repository, in a folder of it, committed."""
    monkeypatch.setattr(provenance, "PATIENCE", 30.0)
    flow = tmp_path / "repository" / "flows" / "flow.py"
    flow.parent.mkdir(parents=True)
    flow.write_text("one = 1\n")
    git(flow.parent, "init", "--initial-branch", "main", "..")
    git(flow.parent, "add", "flow.py")
    git(flow.parent, "commit", "--message", "first")
    return flow


def one() -> int:
    return 1


def ask(flow: Path) -> GitState | None:
    with Survey() as survey:
        survey.begin(flow)
        return survey.finish().git


def test_the_commit_of_the_flow_is_known(flow: Path) -> None:
    found = ask(flow)
    assert found is not None
    assert found.commit == git(flow.parent, "rev-parse", "HEAD")
    assert (found.branch, found.dirty, found.tracked) == ("main", False, True)


def test_a_run_records_the_commit_that_it_is_submitted_with(
    flow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(flow.parent)
    workflow = Workflow("one")
    workflow.job()(one)
    run = workflow.run_local(max_workers=1)
    found = run.report()["provenance"]
    assert found["git"]["commit"] == git(flow.parent, "rev-parse", "HEAD")
    assert found["git"]["dirty"] is False
    assert "pytest" in found["distributions"]


def test_a_change_since_the_commit_is_known(flow: Path) -> None:
    flow.write_text("one = 2\n")
    found = ask(flow)
    assert found is not None
    assert found.dirty is True


def test_a_flow_that_is_not_in_the_repository_is_told_apart(flow: Path) -> None:
    found = ask(flow.with_name("other.py"))
    assert found is not None
    assert (found.tracked, found.dirty) == (False, False)


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init")
    assert ask(tmp_path / "flow.py") is None


def test_a_git_that_takes_too_long_holds_nothing_up(
    flow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=":")
    monkeypatch.setattr(provenance, "PATIENCE", 0.1)
    begun = time.monotonic()
    assert ask(flow) is None
    assert time.monotonic() - begun < 30
