"""Dispatchers that are killed between any two steps: the next one finishes the run."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflow.model.states import RunState
from reflow.testing.fakes import FakeScheduler

from tests.e2e.support import FlowFile, counts, until

Flows = Callable[..., FlowFile]

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
SHARES = 10
"""The steps are dealt out to so many tests, which may run side by side."""
NEVER = 10**9

FLOW = """
    wf = Workflow("killed")

    @wf.job()
    def prepare() -> list[int]:
        did("prepare")
        return [0, 1, 2]

    @wf.job(array=True)
    def work(item: Annotated[int, Result(step="prepare")]) -> int:
        did(f"work-{item}")
        return item * 10

    @wf.job()
    def gather(items: Annotated[list[int], Result(step="work")]) -> int:
        did("gather")
        return sum(items)
"""
DEEDS = {"prepare", "work-0", "work-1", "work-2", "gather"}


def killed_at(step: int, folder: Path, module: str, run: Any) -> tuple[bool, int]:
    """Run a dispatcher that dies at a step; whether it did, and how many steps it passed."""
    count = folder / "steps"
    count.write_text("0")
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults.killing",
            str(count),
            str(step),
            module,
            str(run.run_dir),
            run.run_id,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0, int(count.read_text())


def assert_complete(run: Any, deeds: Counter[str], most: int = 1) -> None:
    assert run.state is RunState.SUCCESS
    assert run.result("gather") == 30
    assert counts(run, "work") == {"SUCCESS": 3}
    assert set(deeds) == DEEDS
    assert max(deeds.values()) <= most, deeds


@pytest.mark.parametrize("share", range(SHARES))
def test_a_run_survives_its_supervisor_killed_at_any_step(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: int
) -> None:
    flow = flow_file(FLOW)
    step, died = share + 1, True
    while died:
        flow.forget()
        with monkeypatch.context() as patch:
            patch.setattr("reflow.engine.launch.start_supervisor", lambda store, settings: None)
            run = flow.load().submit(run_dir=tmp_path / f"run-{step}", executor="local", force=True)
        died, _ = killed_at(step, tmp_path, "reflow.engine.supervise", run)
        run.wait(60)
        # A worker that was started and had not claimed its element yet when its supervisor died
        # may find that the next supervisor has started another: jobs are at-least-once.
        assert_complete(run, flow.deeds, most=2)
        assert run.store.lease(run.run_id).owner is None or not died
        step += SHARES


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeScheduler]:
    """A fake cluster on which nothing dispatches unless the test does."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    for leg in ("FOLLOW_UP", "LAST_WORKER", "WATCHDOG"):
        monkeypatch.setenv(f"REFLOW_DISPATCH_{leg}", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "1")
    with FakeScheduler("slurm", folder) as fake:
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        yield fake


def queue_is_empty() -> bool:
    said = subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True)
    return not said.stdout.strip()


@pytest.mark.parametrize("share", range(SHARES))
def test_a_run_survives_a_dispatch_job_killed_at_any_step(
    flow_file: Flows, tmp_path: Path, cluster: FakeScheduler, share: int
) -> None:
    flow = flow_file(FLOW)
    step, died = share + 1, True
    while died:
        flow.forget()
        run = flow.load().submit(run_dir=tmp_path / f"run-{step}", executor="slurm", force=True)
        died, left = False, step
        while run.state is RunState.RUNNING:
            until(queue_is_empty)
            now, passed = killed_at(
                NEVER if died else left, tmp_path, "reflow.engine.dispatch_job", run
            )
            died, left = died or now, left - passed
        # Copies of a job find the claim taken, so that nothing runs twice.
        assert_complete(run, flow.deeds)
        until(queue_is_empty)
        step += SHARES
