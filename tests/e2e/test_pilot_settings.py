"""What a run keeps of the pilots that it was submitted with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from reflow import ParameterError, Pilots, UsageError
from reflow.run import Run
from reflow.rundir.run_settings import read_settings
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import on_fakes
from tests.e2e.support import FlowFile, until

MakeFlow = Callable[..., FlowFile]

FLOW = """
wf = Workflow("double")


@wf.job()
def double(number: int = 3) -> int:
    return 2 * number


@wf.job()
def check(number: Annotated[int, Result(step="double")]) -> int:
    if not Path("{here}/mended").exists():
        raise ValueError("not yet")
    return number
"""

slurm = on_fakes("slurm")


def pilots_of(run: Run) -> Pilots | None:
    return read_settings(run.run_dir, run.run_id).pilots


def test_a_run_keeps_its_pilots_over_a_retry(
    slurm: FakeScheduler, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Pilots(jobs=2, cpus=2, mem="1G", time="01:00:00", idle="90s")
    file = flow_file(FLOW)
    run = file.load().submit(run_dir="run", executor="slurm", pilots=asked)
    assert pilots_of(run) == asked
    until(lambda: run.state == "FAILED")
    (file.folder / "mended").touch()
    monkeypatch.setenv("REFLOW_PILOTS_CPUS", "7")
    run.retry()
    until(lambda: run.state == "SUCCESS")
    assert pilots_of(run) == asked


def test_a_number_of_pilots_has_the_size_that_is_configured(
    slurm: FakeScheduler, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_PILOTS_JOBS", "5")
    monkeypatch.setenv("REFLOW_PILOTS_CPUS", "2")
    wf = flow_file(FLOW).load()
    (two, none, five) = (
        wf.submit(executor="slurm", pilots=2),
        wf.submit(executor="slurm", pilots=0),
        wf.submit(executor="slurm"),
    )
    assert pilots_of(two) == Pilots(jobs=2, cpus=2)
    assert pilots_of(none) is None
    assert pilots_of(five) == Pilots(jobs=5, cpus=2)
    until(lambda: all(run.state == "FAILED" for run in (two, none, five)))


def test_whole_nodes_that_a_site_has_not_set_up_are_refused_before_anything_is_written(
    flow_file: MakeFlow,
) -> None:
    file = flow_file(FLOW)
    wf = file.load()
    with pytest.raises(ParameterError, match="exclusive_resource under"):
        wf.submit(run_dir="run", executor="sge", pilots=Pilots(jobs=2, nodes="whole"))
    assert not (file.folder / "run").exists()
    assert wf.store.list_runs() == []


def test_pilots_on_one_machine_are_refused_before_anything_is_written(
    flow_file: MakeFlow,
) -> None:
    file = flow_file(FLOW)
    wf = file.load()
    with pytest.raises(UsageError, match="share processes anyway"):
        wf.submit(run_dir="run", executor="local", pilots=Pilots(jobs=2))
    assert not (file.folder / "run").exists()
    assert wf.store.list_runs() == []
