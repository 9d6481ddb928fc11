"""Jobs that cannot be cancelled at first, on fakes that run jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from reflow.model.records import SubmissionState
from reflow.model.states import RunState
from reflow.testing.fakes import FakeScheduler

from tests.e2e.fixtures import flow_file, on_fakes
from tests.e2e.support import FlowFile, counts, failed, until

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
    return word
"""
BEGUN = {"a": 1, "b": 1, "c": 1}


cluster = on_fakes("slurm", "sge", "pbs", "flux")


slurm = on_fakes("slurm")


def test_jobs_of_a_run_cancelled_while_the_scheduler_is_away_are_ended_by_the_next_look(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(WAITING)
    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: flow.calls == BEGUN)
    cluster.go_down()

    run.cancel()

    assert run.state is RunState.CANCELLED
    (note,) = run.status(as_dict=True)["notes"]
    assert "some jobs are not cancelled yet" in note
    cluster.come_up()
    until(lambda: run.status(as_dict=True)["notes"] == [])
    cluster.wait_until_idle()
    assert run.store.submissions(run.run_id) == []


def test_they_are_ended_by_a_watchdog_where_nobody_looks(
    cluster: FakeScheduler, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_OUTAGE_HOURS", str(60 / 3600))
    flow = flow_file(WAITING)
    run = flow.load().submit(run_dir="run", executor=cluster.name)
    until(lambda: flow.calls == BEGUN)
    cluster.go_down()
    run.cancel()

    cluster.come_up()

    cluster.wait_until_idle()
    assert run.state is RunState.CANCELLED


def test_no_new_attempt_begins_while_an_old_one_may_live(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(WAITING)
    run = flow.load().submit(run_dir="run", executor="slurm", follow=True)
    until(lambda: run.status(as_dict=True) and flow.calls == BEGUN)
    slurm.fail("scancel", "scancel: error: Unable to contact slurm controller", times=None)
    run.cancel()
    assert run.state is RunState.CANCELLED

    assert run.retry() == 3

    assert counts(run, "stay") == {"PENDING": 3}
    (note,) = run.status(as_dict=True)["notes"]
    assert "Unable to contact" in note
    assert flow.calls == BEGUN
    slurm.clear_faults()
    until(lambda: run.status(as_dict=True) and flow.calls == {"a": 2, "b": 2, "c": 2})
    jobs = [job for job in slurm.jobs() if job.name.startswith("stay-")]
    assert max(job.ended or 0 for job in jobs[:3]) <= min(job.submitted for job in jobs[3:])
    (flow.folder / "go").touch()
    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert run.result("stay") == list("abc")


def test_an_element_is_lost_only_once_its_job_could_be_cancelled(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(WAITING)
    run = flow.load().submit(run_dir="run", executor="slurm", follow=True)
    until(lambda: run.status(as_dict=True) and flow.calls == BEGUN)
    (array,) = {job.number for job in slurm.jobs() if job.name.startswith("stay-")}
    slurm.fail("scancel", "scancel: error: Unable to contact slurm controller", times=None)

    slurm.vanish(str(array))

    until(lambda: "Unable to contact" in "".join(run.status(as_dict=True)["notes"]))
    assert failed(run) == {}
    slurm.clear_faults()
    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert {cause for cause, _ in failed(run).values()} == {"LOST"}


def test_a_run_that_is_over_keeps_what_is_to_be_cancelled(
    slurm: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(WAITING)
    (flow.folder / "go").touch()
    slurm.fail("scancel", "scancel: error: Unable to contact slurm controller", times=None)

    run = flow.load().submit(run_dir="run", executor="slurm")

    until(lambda: run.state.final)
    left = run.store.submissions(run.run_id)
    assert {record.state for record in left} == {SubmissionState.CANCELLING}
    slurm.clear_faults()
    run.status(as_dict=True)
    slurm.wait_until_idle()
    assert run.store.submissions(run.run_id) == []
