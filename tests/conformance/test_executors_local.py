"""The local executor, through what of the kit concerns executors without a scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest
from reflow.executors.local import LocalExecutor
from reflow.testing.executors import NoSite, RunningConformance, Site, WorkflowConformance


class TestLocal(RunningConformance, WorkflowConformance):
    executor_class = LocalExecutor
    settings = {"slots": 8}
    fake = "none"
    live = False
    enforces_time = False

    @classmethod
    def fake_site(cls, request: pytest.FixtureRequest, folder: Path) -> Site:
        return NoSite()
