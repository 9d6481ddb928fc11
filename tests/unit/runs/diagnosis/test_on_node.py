"""What a job of `doctor --submit` finds where it runs."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from reflow import __version__
from reflow.plugins.hookspecs import Finding
from reflow.runs.diagnosis import on_node
from reflow.runs.diagnosis.on_node import Question, answer_of, main

QUESTION = Question(
    python="/usr/bin/python3",
    reflow=__version__,
    store="sqlite:////nowhere/x.db",
    lock="",
    executor="local",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "doctor-1"
    path.mkdir(parents=True)
    return path


def found(folder: Path, **other: str) -> dict[str, Finding]:
    replace(QUESTION, **other).write(folder)  # type: ignore[arg-type]
    assert answer_of(folder) is None
    assert main([str(folder)]) == 0
    answer = answer_of(folder)
    assert answer is not None
    return dict(answer)


def test_all_is_told_where_all_is_well(folder: Path, tmp_path: Path) -> None:
    checks = found(folder, store=f"sqlite://{tmp_path}/x.db")
    assert [name for name, finding in checks.items() if not finding.ok] == []
    assert list(checks) == [
        "host",
        "python",
        "run directory",
        "clock",
        "store",
        "store's locks",
        "temporary files",
        "scheduler",
    ]


def test_another_version_of_reflow_is_found(folder: Path) -> None:
    finding = found(folder, reflow="0.0.1")["python"]
    assert not finding.ok
    assert "but 0.0.1 where you are: install the same version" in finding.text


def test_a_store_that_cannot_be_opened_is_found(folder: Path) -> None:
    (folder / "file").write_text("")
    finding = found(folder, store=f"sqlite://{folder}/file/x.db")["store"]
    assert not finding.ok
    assert "or use `submit --follow`" in finding.text


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "lock.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE x (y)")
        yield database


def test_a_lock_that_is_seen_is_well(
    folder: Path, tmp_path: Path, lock: sqlite3.Connection
) -> None:
    lock.execute("BEGIN IMMEDIATE")
    finding = found(folder, lock=str(tmp_path / "lock.db"))["store's locks"]
    assert (finding.ok, finding.text) == (True, "a lock of the submitting machine is seen")


def test_a_lock_that_is_not_seen_is_found(
    folder: Path, tmp_path: Path, lock: sqlite3.Connection
) -> None:
    finding = found(folder, lock=str(tmp_path / "lock.db"))["store's locks"]
    assert not finding.ok
    assert "is not seen, so the manifest would be damaged" in finding.text


def test_clocks_that_differ_are_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_node, "server_time", lambda probe: 0.0)
    assert "s apart from the file server: ask" in found(folder)["clock"].text


def test_a_full_folder_for_temporary_files_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_node, "LEAST_TEMPORARY", 2**70)
    assert "set TMPDIR, in a line of `setup`" in found(folder)["temporary files"].text


def test_what_breaks_one_check_does_not_hide_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(place: str) -> os.statvfs_result:
        raise PermissionError(13, "no")

    monkeypatch.setattr(os, "statvfs", broken)
    checks = found(folder)
    assert "PermissionError" in checks["temporary files"].text
    assert checks["scheduler"].ok
