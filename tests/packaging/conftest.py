"""The wheels, and an environment with nothing but the core's: made once for all tests here."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path

import pytest

from tests.packaging.environments import EXAMPLE, ROOT, Environment, pip


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what scripts/build makes, and the wheel of the third party's plugin.

    `scripts/wheels` names the folder where it has built them, so that they are what is tried.
    """
    folder = tmp_path_factory.mktemp("wheels")
    if built := os.environ.get("DISTRIBUTIONS"):
        shutil.copytree(built, folder, dirs_exist_ok=True)
    else:
        subprocess.run([ROOT / "scripts" / "build", folder], check=True)
    pip("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, EXAMPLE)
    return folder


@pytest.fixture(scope="session")
def wheel(wheels: Path) -> Path:
    """The core's."""
    [built] = wheels.glob("reflow_core-*.whl")
    return built


@pytest.fixture(scope="session")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Nothing but the core's wheel and what it requires. Tests leave it as it is."""
    environment = Environment(tmp_path_factory.mktemp("clean") / "venv")
    venv.create(environment.folder)
    environment.install(wheel)
    return environment
