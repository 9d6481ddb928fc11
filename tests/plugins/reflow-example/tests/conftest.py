"""What all tests stand on: the plugin, and nothing of the person who runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import reflow_example
from reflow.testing.plugins import installed

SOURCE = Path(reflow_example.__file__).parents[1]


@pytest.fixture(scope="module", autouse=True)
def installed_plugin() -> Iterator[None]:
    """Let this process find the plugin, and those that it and the fake Harbour start.

    As if it were installed, whether it is or not.
    """
    entry_points = {"example": "reflow_example.plugin"}
    with (
        installed("reflow-example", reflow_example.__version__, entry_points, {}) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PYTHONPATH", str(SOURCE), prepend=os.pathsep)
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder of the test's own, with nobody's settings and records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("REFLOW_STORE", raising=False)
