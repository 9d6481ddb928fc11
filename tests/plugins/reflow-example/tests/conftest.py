"""The plugin as if it were installed, whether it is or not."""

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
    """Let this process find the plugin, and those that it and the fake Harbour start."""
    entry_points = {"example": "reflow_example.plugin"}
    with (
        installed("reflow-example", reflow_example.__version__, entry_points, {}) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(SOURCE)]))
        yield
