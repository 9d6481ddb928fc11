"""Runs through a third party's executor whose scheduler has no begin times: no watchdog."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from reflow.testing.fakes import FakeScheduler

from tests.e2e.support import fake_scheduler, until

FLOW = """
from typing import Annotated
from pathlib import Path

from reflow import Result, Workflow

wf = Workflow("plain")


@wf.job(mem="100M")
def first() -> int:
    Path("first").touch()
    return 1


@wf.job(mem="100M")
def second(x: Annotated[int, Result(step="first")]) -> int:
    Path("second").touch()
    return x + 1


if __name__ == "__main__":
    wf.cli()
"""
PLUGIN = """
from reflow.plugin_api import API_VERSION, ExecutorPlugin, hookimpl

api_version = API_VERSION


@hookimpl
def reflow_executors():
    return [
        ExecutorPlugin(
            name="slurm",
            target="plain_executor:PlainExecutor",
            commands=("sbatch", "squeue", "scancel"),
            api_version=API_VERSION,
        )
    ]
"""
EXECUTOR = """
import dataclasses

from reflow_slurm.executor import SlurmExecutor


class PlainExecutor(SlurmExecutor):
    capabilities = dataclasses.replace(SlurmExecutor.capabilities, begin_time=False)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeScheduler]:
    """A scheduler whose executor is the third party's, in jobs as here."""
    plugin = tmp_path / "plugin"
    metadata = plugin / "plain-0.1.dist-info"
    metadata.mkdir(parents=True)
    (plugin / "plain.py").write_text(PLUGIN)
    (plugin / "plain_executor.py").write_text(EXECUTOR)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: plain\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[reflow]\nplain = plain\n")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    monkeypatch.setenv("REFLOW_DISABLE_PLUGINS", "reflow-slurm")
    monkeypatch.setenv("REFLOW_EXECUTOR_SLURM_EXPORT_ENVIRONMENT", "true")
    (tmp_path / "plain_flow.py").write_text(dedent(FLOW))
    with fake_scheduler("slurm", tmp_path, monkeypatch) as fake:
        yield fake


def types(folder: Path, *words: str) -> str:
    command = [sys.executable, "plain_flow.py", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def test_the_last_worker_goes_on_with_a_submission_whose_answer_was_lost(
    slurm: FakeScheduler, tmp_path: Path
) -> None:
    slurm.lose_next_answer("sbatch", silently=True)

    types(tmp_path, "submit", "--executor", "slurm")

    until((tmp_path / "second").exists)
    slurm.wait_until_idle()


def test_the_follow_up_of_such_a_submission_is_submitted_when_it_is_found(
    slurm: FakeScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "false")
    slurm.lose_next_answer("sbatch", silently=True)
    slurm.pause()
    run_id = types(tmp_path, "submit", "--executor", "slurm").split()[0]
    until(lambda: [job.name for job in slurm.jobs()])

    types(tmp_path, "status", run_id)

    assert len([job for job in slurm.jobs() if job.name.startswith("dispatch-")]) == 1
    assert not (tmp_path / "first").exists()
    slurm.unpause()
    until((tmp_path / "second").exists)
    slurm.wait_until_idle()
