"""Folders for temporary files of elements that share a job."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.execution.pool.temporary import Place, TemporaryFolder


@pytest.fixture
def outer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job's own folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def place(outer: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That of a host, as its workers know it."""
    made = Place()
    folder = Path(made.environment["TMPDIR"])
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    made.remove()
    assert not folder.exists()
    assert outer.exists()


def test_a_host_makes_its_folder_in_the_jobs_and_changes_nothing_of_its_own(outer: Path) -> None:
    made = Place()
    assert Path(made.environment["TMPDIR"]).parent == outer
    assert os.environ["TMPDIR"] == str(outer)
    made.remove()
    assert list(outer.iterdir()) == []


def test_each_element_has_an_empty_folder_of_its_own(place: Path) -> None:
    folders = TemporaryFolder(3)
    assert tempfile.gettempdir() == str(place)
    for _ in range(3):
        folders.begin()
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(place / "3")
        assert list(Path(os.environ["TMPDIR"]).iterdir()) == []
        Path(tempfile.mkdtemp(), "left").touch()
        folders.end()
        assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(place)
        assert list(place.rglob("*/*")) == []


def test_what_a_worker_that_died_has_left_is_not_found_by_the_next(place: Path) -> None:
    TemporaryFolder(3).begin()
    (place / "3" / "left").touch()
    os.environ["TMPDIR"] = str(place)
    TemporaryFolder(3).begin()
    assert list((place / "3").iterdir()) == []


def test_a_folder_that_the_element_has_removed_is_no_error(place: Path) -> None:
    folders = TemporaryFolder(3)
    folders.begin()
    (place / "3").rmdir()
    folders.end()
    assert os.environ["TMPDIR"] == str(place)


def test_a_choice_of_the_flows_own_is_left_alone(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "chosen"))
    folders = TemporaryFolder(3)
    folders.begin()
    assert tempfile.tempdir == str(tmp_path / "chosen")
    folders.end()
    assert tempfile.tempdir == str(tmp_path / "chosen")


def test_where_no_folder_can_be_made_elements_have_the_jobs(
    outer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> str:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    made = Place()
    assert made.environment["TMPDIR"] == str(outer)
    made.remove()
    monkeypatch.setenv("TMPDIR", str(outer / "nowhere"))
    folders = TemporaryFolder(3)
    folders.begin()
    assert os.environ["TMPDIR"] == str(outer / "nowhere")
    folders.end()


def test_without_the_variable_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    folders = TemporaryFolder(3)
    folders.begin()
    assert "TMPDIR" not in os.environ
    folders.end()
