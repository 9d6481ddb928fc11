"""The plugin as if it were installed, whether it is or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import reflow_example
from reflow.testing.plugins import installed

SOURCE = Path(reflow_example.__file__).parents[1]


@pytest.fixture(autouse=True)
def installed_folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Let this process and those it starts find the plugin; gives a PYTHONPATH for jobs."""
    entry_points = {"example": "reflow_example.plugin"}
    with installed("reflow-example", reflow_example.__version__, entry_points, {}) as folder:
        folders = os.pathsep.join([str(folder), str(SOURCE)])
        monkeypatch.setenv("PYTHONPATH", folders)
        yield folders
