"""The wheels, and an environment with nothing but the core's: made once for all tests here."""

from __future__ import annotations

import venv
from pathlib import Path

import pytest

from tests.packaging.environments import EXAMPLE, ROOT, Environment, pip


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of all distributions, and of the third party's."""
    backend = tmp_path_factory.mktemp("backend")
    pip("install", "-q", "--target", backend, "hatchling")
    folder = tmp_path_factory.mktemp("wheels")
    build = ("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder)
    pip(*build, *sorted(ROOT.glob("reflow-*")), EXAMPLE, PYTHONPATH=str(backend))
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
