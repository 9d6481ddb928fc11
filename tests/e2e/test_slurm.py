"""Whole workflows through reflow-slurm, on a fake Slurm that really runs jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.cli.show import print_status
from reflow.errors import SchedulerUnavailableError
from reflow.model.jobs import JobHandle
from reflow.model.states import RunState
from reflow.testing.fakes import FakeScheduler
from reflow_slurm.executor import SlurmExecutor

from tests.e2e.support import FlowFile, counts, failed, until

MakeFlow = Callable[..., FlowFile]

STAGES = """
wf = Workflow("stages")


@wf.job()
def prepare() -> list[str]:
    return ["a", "b"]


@wf.job(array=True)
def each(word: Annotated[str, Result(step="prepare")]) -> str:
    did(word)
    return word


@wf.job()
def gather(words: Annotated[list[str], Result(step="each")]) -> str:
    return "".join(words)
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeScheduler]:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "2")
    folder = tmp_path / "fake"
    folder.mkdir()
    with FakeScheduler("slurm", folder) as fake:
        fake.activate()
        yield fake


def test_what_a_job_printed_before_the_worker_began_is_its_log(
    slurm: FakeScheduler, flow_file: MakeFlow, capsys: pytest.CaptureFixture[str]
) -> None:
    executor = SlurmExecutor(setup=("echo the module system is broken", "exit 7"))

    run = flow_file(STAGES).load().submit(run_dir="run", executor=executor)
    until(lambda: run.status(as_dict=True)["failed_instances"])

    assert failed(run)["prepare", None][0] == "EXIT_CODE"
    print_status(run.status(as_dict=True), errors=True)
    assert "the module system is broken" in capsys.readouterr().out


def test_a_run_goes_from_stage_to_stage_by_itself(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm")

    until(lambda: run.state.final)

    assert run.state is RunState.SUCCESS
    assert run.result("gather") == "ab"
    slurm.wait_until_idle()


def test_a_run_that_is_followed_submits_no_dispatch_jobs(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    run = flow_file(STAGES).load().submit(run_dir="run", executor="slurm", follow=True)

    assert [job.name.partition("-")[0] for job in slurm.jobs()] == ["prepare"]
    assert run.follow() is RunState.SUCCESS
    assert len(slurm.jobs()) == 4


def test_an_array_that_somebody_cancels_is_cancelled_what_had_begun_of_it_too(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file("""
    wf = Workflow("wait")


    @wf.job()
    def words() -> list[str]:
        return list("abc")


    @wf.job(array=True, array_parallelism=2)
    def stay(word: Annotated[str, Result(step="words")]) -> str:
        did(word)
        wait_for("{here}/go")
        return word
    """)
    run = flow.load().submit(run_dir="run", executor="slurm")
    until(lambda: flow.deeds == {"a": 1, "b": 1})
    (array,) = {job.number for job in slurm.jobs() if job.name.startswith("stay-")}

    SlurmExecutor().cancel([JobHandle(native_id=str(array))])

    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert counts(run, "stay") == {"CANCELLED": 3}
    (flow.folder / "go").touch()
    assert run.retry() == 3
    until(lambda: run.state.final)
    assert flow.deeds == {"a": 2, "b": 2, "c": 1}


def test_without_a_scheduler_that_answers_nothing_is_written_down(
    flow_file: MakeFlow, tmp_path: Path
) -> None:
    workflow = flow_file(STAGES).load()
    missing = SlurmExecutor(scontrol=str(tmp_path / "nowhere"))

    with pytest.raises(SchedulerUnavailableError, match="Is this a machine of the cluster"):
        workflow.submit(run_dir="run", executor=missing)

    assert not (tmp_path / "run").exists()
    assert list(workflow.store.list_runs()) == []
