"""The files of GitHub Actions: they call commands of this repository and hold no logic."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STEPS = [
    (path.name, line)
    for path in FILES
    for line in re.findall(r"^ *(?:- )?run: (.*)$", path.read_text(), re.MULTILINE)
]


def test_there_are_workflows_for_checks_and_for_releases() -> None:
    assert [path.name for path in FILES] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize(("file", "step"), STEPS)
def test_a_step_is_one_command_of_this_repository(file: str, step: str) -> None:
    words = step.removeprefix("sudo ").split()
    assert words[0] == "./test" or words[0].startswith("scripts/"), f"{file}: {step}"
    assert os.access(ROOT / words[0], os.X_OK), f"{words[0]} is no command"
    assert not set(step) & set(";&|<>(){}"), f"{file}: {step} is more than a command"


def test_every_version_of_python_from_the_oldest_that_is_supported_is_tested() -> None:
    tested = re.findall(r'"(3\.\d+)"', (ROOT / ".github/workflows/ci.yml").read_text())
    project = (ROOT / "reflow-core" / "pyproject.toml").read_text()
    [oldest] = re.findall(r'requires-python = ">=(.*)"', project)
    assert {oldest, "3.12", "3.13", "3.14"} <= set(tested)
