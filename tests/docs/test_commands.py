"""The two commands, where Python is not as it should be. Where it is, CI runs them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY

TOOLS = ("dirname", "cat", "cksum")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A clone on a machine with a shell and little else; returns the folder on its PATH."""
    path = tmp_path / "bin"
    path.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (path / tool).symlink_to(found)
    for name in ("demo", "test", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts" / "venv", tmp_path / "scripts" / "venv")
    return path


def install_python(path: Path, script: str) -> None:
    """Put a `python3` on PATH that is this shell script."""
    python = path / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def type_in(machine: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", command],
        cwd=machine.parent,
        env={"PATH": str(machine)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("command", ["./demo", "./test"])
def test_without_any_python_the_command_says_which_is_needed(machine: Path, command: str) -> None:
    ended = type_in(machine, command)
    assert ended.returncode == 1
    assert "Python 3.11" in ended.stderr
    assert "apt-get install python3" in ended.stderr


@pytest.mark.parametrize("command", ["./demo", "./test"])
def test_an_old_python_is_not_used(machine: Path, command: str) -> None:
    install_python(machine, "exit 1")
    ended = type_in(machine, command)
    assert ended.returncode == 1
    assert "Python 3.11" in ended.stderr


@pytest.mark.parametrize("command", ["./demo", "./test"])
def test_debians_python_without_venv_is_told_what_to_install(machine: Path, command: str) -> None:
    install_python(
        machine,
        'case "$2" in *ensurepip*) exit 1;; *print*) echo 3.11;; *) exit 0;; esac',
    )
    ended = type_in(machine, command)
    assert ended.returncode == 1
    assert "apt-get install python3.11-venv" in ended.stderr
