"""Modes of what reflow makes: the umask decides, but nobody else may ever write it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.permissions import current_umask, make_folder, open_file, touch

from tests.unit.umask import umask


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(("mask", "mode"), [(0o000, 0o755), (0o002, 0o755), (0o077, 0o700)])
def test_made_folders_follow_the_umask_and_let_nobody_else_write(
    mask: int, mode: int, tmp_path: Path
) -> None:
    with umask(mask):
        make_folder(tmp_path / "a" / "b")
    assert mode_of(tmp_path / "a") == mode
    assert mode_of(tmp_path / "a" / "b") == mode


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    make_folder(tmp_path / "open")
    assert mode_of(tmp_path / "open") == 0o777


def test_a_folder_that_must_be_new_may_not_be_there(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        make_folder(tmp_path, exist_ok=False)


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folder(tmp_path / "file" / "below")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "file")


@pytest.mark.parametrize("make", [touch, lambda path: open_file(path, "ab").close()])
@pytest.mark.parametrize(("mask", "mode"), [(0o000, 0o644), (0o027, 0o640)])
def test_made_files_follow_the_umask_and_let_nobody_else_write(
    make: Callable[[Path], None], mask: int, mode: int, tmp_path: Path
) -> None:
    with umask(mask):
        make(tmp_path / "file")
    assert mode_of(tmp_path / "file") == mode


def test_the_umask_is_told_as_a_shell_takes_it() -> None:
    with umask(0o027):
        assert int(current_umask(), 8) == 0o027
