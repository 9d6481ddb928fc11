"""What is found out about a file system before a run is kept on it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from reflow.rundir.claims import BY_CREATION, BY_LINK
from reflow.rundir.probe import UnfitFileSystemError, probe


def test_links_that_count_are_used_and_nothing_is_left(tmp_path: Path) -> None:
    assert probe(tmp_path) == BY_LINK
    assert not list(tmp_path.iterdir())


def test_where_links_are_refused_claims_are_made_by_creation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: object, target: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    assert probe(tmp_path) == BY_CREATION
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_creates_one_file_twice_is_unfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = os.open
    monkeypatch.setattr(
        os, "open", lambda path, flags, mode: create(path, flags & ~os.O_EXCL, mode)
    )
    with pytest.raises(UnfitFileSystemError, match="two processes create one file"):
        probe(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_system_that_replaces_no_file_is_unfit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(source: Path, target: Path) -> None:
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(UnfitFileSystemError, match="does not replace one file by another"):
        probe(tmp_path)
    assert not list(tmp_path.iterdir())
