"""What the tests of faults share."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.plugins.registry import registry
from reflow.testing.plugins import plugin, using_plugins

from tests.e2e.fixtures import flow_file
from tests.e2e.support import until
from tests.faults.scripted_scheduler import PLUGIN, Folder

__all__ = ["flow_file"]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def schedulers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which each folder `scripted-*` becomes a scheduler."""
    parent = tmp_path_factory.mktemp("schedulers")
    # Jobs have another home than those who submit, and none of their settings.
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    # Jobs that are killed leave theirs.
    temporary = tmp_path_factory.mktemp("temporary")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.scripted_scheduler", str(parent)],
        cwd=ROOT,
        env={
            **kept,
            "HOME": str(parent),
            "TMPDIR": str(temporary),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    try:
        until((parent / "ready").exists)
        yield parent
    finally:
        (parent / "stop").touch()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(
    schedulers: Path, tmp_path: Path, flow_file: object, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Folder]:
    """A batch scheduler of the test's own, and settings under which nothing waits for long."""
    for name, value in {
        "WATCHDOG_MINUTES": "0.02",
        "GRACE_SECONDS": "0.3",
        "LEASE_SECONDS": "2",
    }.items():
        monkeypatch.setenv(f"REFLOW_DISPATCH_{name}", value)
    folder = Folder(schedulers / f"scripted-{tmp_path.name}").make()
    with using_plugins(plugin("scripted", executors=[PLUGIN])):
        registry().executors()
        yield folder
    (folder.path / "closed").touch()
    folder.nudge()
