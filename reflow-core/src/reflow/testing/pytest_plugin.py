"""Options of pytest for the kit: `pytest_plugins = ["reflow.testing.pytest_plugin"]`.

That line belongs in the topmost `conftest.py` of a project, as pytest requires.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of tier 3."""
    group = parser.getgroup("reflow", "conformance of reflow's executors")
    group.addoption(
        "--reflow-live",
        action="store_true",
        help="run the scenarios on the real schedulers whose commands are on PATH, too",
    )
    group.addoption(
        "--reflow-live-folder",
        metavar="FOLDER",
        help="a folder that all nodes of those schedulers see (default: pytest's temporary one)",
    )
