"""Flows as a user has them: in a file, imported or run."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

GETTING_STARTED = """
from typing import Annotated

from reflow import Result, RunDir, Workflow

wf = Workflow("demo")


@wf.job(time="00:05:00", mem="1G")
def prepare(run_dir: RunDir = RunDir()) -> list[str]:
    return ["a.nc", "b.nc", "c.nc"]


@wf.job(array=True, time="00:20:00", mem="4G")
def convert(item: Annotated[str, Result(step="prepare")]) -> str:
    return item.replace(".nc", ".zarr")


@wf.job()
def publish(paths: Annotated[list[str], Result(step="convert")]) -> str:
    return f"published {len(paths)} outputs"


if __name__ == "__main__":
    wf.cli()
"""


class FlowFile:
    """A flow in a file of the test's own folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> ModuleType:
        """Import it, as a script beside it would."""
        return importlib.import_module(self.path.stem)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `python flow.py WORDS` as a person would, and check nothing."""
        return subprocess.run(
            [sys.executable, self.path.name, *words],
            cwd=self.path.parent,
            # The machine may have a scheduler; these tests need none.
            env={**os.environ, "COLUMNS": "120", "REFLOW_EXECUTOR": "local"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def succeed(self, *words: str) -> str:
        """What `python flow.py WORDS` prints; it must end with 0."""
        ended = self.command(*words)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout


WriteFlow = Callable[..., FlowFile]


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; fail when it does not come about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
