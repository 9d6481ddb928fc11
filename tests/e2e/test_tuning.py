"""`tune` with a scheduler that limits its queues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.config.schema import Config
from reflow.plugins.registry import registry
from reflow.runs.tuning.tune import tune

from tests.e2e.support import SECONDS, FlowFile, fake_scheduler

MANY = """
wf = Workflow("many")


@wf.job()
def items() -> list[int]:
    return list(range(100))


@wf.job(array=True, queue="QUEUE", per_job=50)
def work(x: Annotated[int, Result(step="items")]) -> int:
    return x
"""


def changes(flow: FlowFile, executor_name: str) -> dict[str, object]:
    wf = flow.load()
    executor = registry().make_executor(executor_name, {})
    tuning = tune(wf.store, wf.graph(), Config(), executor)
    work = {each.task: each for each in tuning.proposals}["work"]
    return {change.option: change.proposed for change in work.changes}


def test_time_is_capped_by_the_queue_and_what_ran_in_shared_jobs_counts_by_element(
    flow_file: Callable[..., FlowFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_scheduler("slurm", tmp_path, monkeypatch):
        flow = flow_file(MANY.replace("QUEUE", "short"))
        run = flow.load().submit(run_dir="run", executor="slurm")
        assert run.wait(timeout=SECONDS) == "SUCCESS"
        found = changes(flow, "slurm")
    # Its queue allows one minute; elsewhere two are the least.
    assert found["time"] == "00:01:00"
    assert "per_job" not in found
    assert set(found) == {"mem", "time"}
