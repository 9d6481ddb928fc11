"""Run directories that are removed for good while their runs go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import RunFailedError
from reflow.executors.local import LocalExecutor
from reflow.model.states import RunState
from reflow.rundir.layout import RunLayout, WaveLayout
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import flow_file, on_fakes
from tests.e2e.support import SECONDS, WAYS, FlowFile, until

__all__ = ["flow_file"]

MakeFlow = Callable[..., FlowFile]

WAITING = """
wf = Workflow("wait")


@wf.job()
def words() -> list[str]:
    return list("abc")


@wf.job(array=True)
def stay(word: Annotated[str, Result(step="words")]) -> str:
    did(word)
    wait_for("{here}/go")
    print("late")
    scratch_dir()
    return word
"""
BEGUN = {"a": 1, "b": 1, "c": 1}


cluster = on_fakes("slurm", "sge")


@pytest.fixture
def removed(cluster: FakeScheduler, flow_file: MakeFlow) -> Any:
    """A run whose directory was removed while its elements ran, and whose jobs are over."""
    flow = flow_file("from reflow import scratch_dir\n" + WAITING)
    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: flow.calls == BEGUN)
    shutil.rmtree(run.run_dir)
    (flow.folder / "go").touch()
    until(lambda: all(job.ended for job in cluster.jobs() if job.name.startswith("stay-")))
    return run


def test_nobody_makes_a_removed_run_directory_anew(removed: Any, cluster: FakeScheduler) -> None:
    cluster.advance(24 * 3600)
    cluster.wait_until_idle()

    assert not removed.run_dir.exists()


def test_a_run_whose_directory_was_removed_can_be_ended_and_says_why(
    removed: Any, cluster: FakeScheduler
) -> None:
    (note,) = removed.status(as_dict=True)["notes"]
    assert str(removed.run_dir) in note

    removed.cancel()

    assert removed.state is RunState.CANCELLED
    cluster.wait_until_idle()
    assert not removed.run_dir.exists()


REMOVES = """
wf = Workflow("removes")


@wf.job()
def first(place: str) -> int:
    shutil.rmtree(place)
    return 1


@wf.job()
def second(x: Annotated[int, Result(step="first")]) -> int:
    return x
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_run_whose_task_removes_the_run_directory_fails(
    way: str, flow_file: MakeFlow, tmp_path: Path
) -> None:
    flow = flow_file("import shutil\n" + REMOVES)
    place = tmp_path / "run"

    try:
        run = flow.run(way, run_dir=place, place=str(place))
    except RunFailedError as error:
        run = error.run

    assert run.state is RunState.FAILED
    assert not place.exists()


TWO = """
wf = Workflow("two")


@wf.job()
def first() -> int:
    did("first")
    wait_for("{here}/go")
    return 1


@wf.job()
def other() -> int:
    did("other")
    return 2


@wf.job()
def total(x: Annotated[int, Result(step="first")], y: Annotated[int, Result(step="other")]) -> int:
    return x + y
"""


def make_as_reflow_0_1(wave: WaveLayout) -> None:
    """Give the files of a wave the names and words that they had in 0.1."""
    data = json.loads(wave.spec.read_text())
    del data["notify"]
    wave.spec.write_text(json.dumps({**data, "announce": True}))
    (wave.directory / "done").mkdir()
    (wave.directory / "done" / "counter").touch()


def test_a_run_whose_directory_is_of_reflow_0_1_goes_on(flow_file: MakeFlow) -> None:
    flow = flow_file(TWO)
    run = flow.load().submit(run_dir="run", executor=LocalExecutor(slots=1))
    waves = [RunLayout(run.run_dir, run.run_id).wave(number) for number in (1, 2)]
    # With one slot, the second job waits for the first.
    until(lambda: flow.calls and all(wave.inputs.exists() for wave in waves))
    for wave in waves:
        make_as_reflow_0_1(wave)
    (flow.folder / "go").touch()

    run.wait(timeout=SECONDS)

    assert run.result("total") == 3
    assert flow.calls == {"first": 1, "other": 1}
