"""Whole workflows on the fake Harbour, and what only this executor does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from reflow.plugin_api import JobRequest, Resources
from reflow.testing.fakes import FakeScheduler
from reflow_example.executor import HarbourExecutor

# [start:workflow]
FLOW = """
from typing import Annotated
from reflow import Result, Workflow

wf = Workflow("crossing")


@wf.job()
def prepare() -> list[int]:
    return [1, 2, 3]


@wf.job(array=True)
def square(number: Annotated[int, Result(step="prepare")]) -> int:
    return number * number


@wf.job()
def total(squares: Annotated[list[int], Result(step="square")]) -> int:
    return sum(squares)
"""

SUBMIT = """
from flow import wf

run = wf.submit(run_dir="run", executor="harbour")
run.wait(timeout=60)
print(run.state, run.result("total"))
"""


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[FakeScheduler]:
    """A Harbour whose commands are on PATH."""
    with FakeScheduler("harbour_fake:HarbourEmulator", tmp_path) as fake:
        fake.activate()
        yield fake


def test_a_workflow_runs_to_its_end(harbour: FakeScheduler, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "submit.py").write_text(SUBMIT)
    submit = [sys.executable, "submit.py"]
    ended = subprocess.run(submit, capture_output=True, text=True, check=False)
    assert ended.stdout == "SUCCESS 14\n", ended.stderr
    harbour.wait_until_idle()


# [end:workflow]


def test_memory_and_time_are_asked_for_in_harbours_units(tmp_path: Path) -> None:
    resources = Resources(cpus=2, mem=10 * 2**20 + 1, time=timedelta(minutes=1), queue="north")
    request = JobRequest(
        token="t1",
        command=("true",),
        directory=tmp_path,
        working_directory=tmp_path,
        resources=resources,
        size=5,
        throttle=2,
    )
    script = HarbourExecutor(options={"tide": "high"}).script(request)
    directives = [line for line in script.splitlines() if line.startswith("#HARBOUR ")]
    assert directives == [
        "#HARBOUR --name=t1",
        f"#HARBOUR --output={tmp_path}/scheduler.log",
        "#HARBOUR --cpus=2",
        "#HARBOUR --ships=1",
        "#HARBOUR --elements=1-5%2",
        "#HARBOUR --memory=11",
        "#HARBOUR --seconds=60",
        "#HARBOUR --pier=north",
        "#HARBOUR --tide=high",
    ]
