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


GATE = """
wf = Workflow("gate")


@wf.job()
def items() -> list[int]:
    return list(range(4))


@wf.job(array=True)
def each(item: Annotated[int, Result(step="items")]) -> int:
    did(str(item))
    wait_for("{here}/go")
    return item
"""


def test_status_tells_pilots_from_the_elements_that_they_run(
    slurm: FakeScheduler, flow_file: MakeFlow, capsys: pytest.CaptureFixture[str]
) -> None:
    file = flow_file(GATE)
    run = file.load().submit(executor="slurm", pilots=Pilots(jobs=2, cpus=2))
    until(lambda: len(file.calls) == 4)
    until(lambda: run.status(as_dict=True)["pilots"]["at_once"] == 4)
    run.status()
    assert "2 pilots running; 4 elements at once\n" in capsys.readouterr().out
    (file.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS"
    assert run.status(as_dict=True)["pilots"] is None


LARGE_BETWEEN = """
wf = Workflow("between")


@wf.job()
def first() -> int:
    return 1


@wf.job(cpus=4)
def large(number: Annotated[int, Result(step="first")]) -> int:
    did("large")
    wait_for("{here}/go")
    return number + 1


@wf.job()
def last(number: Annotated[int, Result(step="large")]) -> int:
    return number + 1
"""


def test_pilots_that_have_waited_in_vain_are_gone_and_come_again_for_later_work(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    file = flow_file(LARGE_BETWEEN)
    run = file.load().submit(executor="slurm", pilots=Pilots(jobs=1, cpus=2, idle="1s"))
    until(lambda: file.calls["large"])
    until(lambda: run.status(as_dict=True)["pilots"]["running"] == 0)
    (file.folder / "go").touch()
    until(lambda: run.state != "RUNNING")
    assert run.result("last") == 3
    assert len([job for job in slurm.jobs() if "pilots" in job.name]) == 2
