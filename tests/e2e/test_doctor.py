"""What `doctor` tries with processes of its own."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from reflow.plugins.health import disks, locks


def test_locks_of_the_manifest_are_seen_by_a_second_process(home: Path) -> None:
    finding = locks.check_locks()
    assert (finding.ok, finding.text) == (
        True,
        "tried with two processes; there is no manifest yet",
    )
    assert [path.name for path in home.rglob("*probe*")] == []


def test_the_journal_mode_of_the_manifest_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_STORE", "here.db")
    with sqlite3.connect("here.db") as database:
        database.execute("PRAGMA journal_mode = wal")
        database.execute("CREATE TABLE x (y)")
    assert locks.check_locks().text.endswith("journal mode wal")


def test_locks_that_a_second_process_does_not_see_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(locks, "_TRY", "print('written')")
    finding = locks.check_locks()
    assert not finding.ok
    assert "two at once would damage the manifest. Put the manifest elsewhere" in finding.text


def test_a_manifest_on_a_server_needs_no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_STORE", "postgresql://host/db")
    assert locks.check_locks().ok


@pytest.fixture
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `quota` that is written by the test."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    command = folder / "quota"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    return command


def test_a_quota_that_is_nearly_used_up_is_found(quota: Path) -> None:
    quota.write_text("#!/bin/sh\necho '/home 960 1000 2000 12 0 0'\n")
    finding = disks.check_quota()
    assert not finding.ok
    assert "on /home are used: make room there" in finding.text


def test_a_quota_command_that_hangs_is_not_waited_for(
    quota: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "PATIENCE", 0.2)
    quota.write_text("#!/bin/sh\nexec sleep 60\n")
    finding = disks.check_quota()
    assert finding.ok
    assert "'quota -w' did not answer" in finding.text
