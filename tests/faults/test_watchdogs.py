"""Runs that go on by their watchdogs alone, of which some are lost, on fakes that run jobs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from reflow.dispatch.continuation import most_watchdogs
from reflow.model.states import RunState
from reflow.rundir.run_settings import read_settings
from reflow.testing.fakes import FakeJob, FakeScheduler

from tests.e2e.fixtures import flow_file
from tests.e2e.support import FlowFile, fake_scheduler, until

__all__ = ["flow_file"]

MakeFlow = Callable[..., FlowFile]

STAGES = """
wf = Workflow("stages")


@wf.job()
def first() -> int:
    did("first")
    Path("{here}/away").touch()
    return 1


@wf.job()
def second(x: Annotated[int, Result(step="first")]) -> int:
    did("second")
    return x + 1
"""
ONCE = {"first": 1, "second": 1}


@pytest.fixture(params=["slurm", "sge", "pbs", "flux"])
def cluster(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeScheduler]:
    """A scheduler on which nothing but watchdogs goes on with a run; the first comes in 2 s."""
    for leg in ("FOLLOW_UP", "LAST_WORKER"):
        monkeypatch.setenv(f"REFLOW_DISPATCH_{leg}", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG_MINUTES", "0.033")
    with fake_scheduler(request.param, tmp_path, monkeypatch) as fake:
        yield fake


@pytest.fixture
def python_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file is there, no job finds its Python."""
    away = tmp_path / "away"
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\n[ ! -e {away} ] || exit 127\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(wrapper))
    return away


def watchdogs(fake: FakeScheduler) -> list[FakeJob]:
    return [job for job in fake.jobs() if job.name.startswith("watchdog-")]


def failed_watchdogs(fake: FakeScheduler) -> list[FakeJob]:
    return [job for job in watchdogs(fake) if job.why == "exited" and job.code]


def submit(cluster: FakeScheduler, flow: FlowFile) -> Any:
    return flow.load().submit(run_dir="run", executor=cluster.name)


def test_a_run_goes_on_after_python_was_away_for_several_watchdogs(
    cluster: FakeScheduler, flow_file: MakeFlow, python_goes_away: Path
) -> None:
    flow = flow_file(STAGES)

    run = submit(cluster, flow)
    until(lambda: len(failed_watchdogs(cluster)) > 1)
    python_goes_away.unlink()

    until(lambda: run.state.final)
    assert run.state is RunState.SUCCESS
    assert flow.calls == ONCE
    # Nor does what the watchdogs have submitted by themselves stay in the queue.
    cluster.wait_until_idle()


@pytest.fixture
def seconds_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The near watchdog comes within 2 s, the next after 4 s, the last after 24 s."""
    monkeypatch.setenv("REFLOW_DISPATCH_OUTAGE_HOURS", str(12 / 3600))


def waiting(fake: FakeScheduler) -> list[FakeJob]:
    return [job for job in watchdogs(fake) if job.phase == "pending"]


def tried(fake: FakeScheduler) -> list[FakeJob]:
    """Those that were started and run no more, whether or not they could be."""
    return [job for job in watchdogs(fake) if job.runs and job.phase != "running"]


def test_three_watchdogs_lie_ahead_of_a_run(
    cluster: FakeScheduler, flow_file: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG_MINUTES", "10")
    cluster.pause()
    run = submit(cluster, flow_file(STAGES))

    now = datetime.now(UTC)
    records = [item for item in run.store.submissions(run.run_id) if item.begins_at]
    ahead = [(item.begins_at - now).total_seconds() for item in records if item.begins_at]
    assert ahead == pytest.approx([600, 7200, 43200], abs=60)
    assert len(waiting(cluster)) == 3
    run.cancel()
    cluster.wait_until_idle()


@pytest.mark.usefixtures("seconds_for_hours")
@pytest.mark.parametrize(
    ("cluster", "lost"), [("slurm", 1), ("sge", 2), ("pbs", 1), ("flux", 2)], indirect=["cluster"]
)
def test_a_run_goes_on_after_the_next_watchdogs_are_lost(
    cluster: FakeScheduler, flow_file: MakeFlow, lost: int
) -> None:
    flow = flow_file(STAGES)
    cluster.pause()
    run = submit(cluster, flow)
    for job in waiting(cluster)[:lost]:
        cluster.vanish(job.id)

    cluster.unpause()
    cluster.advance(24)

    until(lambda: run.state.final)
    assert flow.calls == ONCE
    cluster.wait_until_idle()


@pytest.mark.usefixtures("seconds_for_hours")
def test_a_run_goes_on_after_its_folder_was_away(
    cluster: FakeScheduler, flow_file: MakeFlow, tmp_path: Path
) -> None:
    flow = flow_file(STAGES)
    cluster.pause()
    run = submit(cluster, flow)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    (job,) = [job for job in cluster.jobs() if job.name.startswith("first-")]
    cluster.vanish(job.id)
    cluster.unpause()
    cluster.advance(5)
    # All but the farthest: two, and on a slow machine one more, armed while the run was submitted.
    until(lambda: len(tried(cluster)) == len(watchdogs(cluster)) - 1 > 1)

    (tmp_path / "elsewhere").rename(tmp_path / "run")
    cluster.advance(19)

    until(lambda: run.state.final)
    cluster.wait_until_idle()


# Schedulers differ in how a watchdog that fails goes on: each is tried with a Python that is away.
@pytest.mark.parametrize("cluster", ["sge"], indirect=True)
def test_a_run_goes_on_after_its_database_was_away(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)
    cluster.pause()
    run = submit(cluster, flow)
    settings = read_settings(run.run_dir, run.run_id)
    replace(settings, store="sqlite:///proc/nowhere/manifest.db").write()
    cluster.unpause()
    until(lambda: len(failed_watchdogs(cluster)) > 1)

    settings.write()

    until(lambda: run.state.final)
    assert flow.calls == ONCE
    cluster.wait_until_idle()


def test_a_run_goes_on_after_its_scheduler_was_away(
    cluster: FakeScheduler, flow_file: MakeFlow
) -> None:
    flow = flow_file(STAGES)
    cluster.pause()
    run = submit(cluster, flow)
    cluster.go_down()
    cluster.unpause()
    cluster.come_up()

    until(lambda: run.state.final)
    assert flow.calls == ONCE


def test_dispatch_jobs_of_a_run_whose_folder_was_removed_leave_the_queue(
    cluster: FakeScheduler, flow_file: MakeFlow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", "true")
    cluster.pause()
    submit(cluster, flow_file(STAGES))
    shutil.rmtree(tmp_path / "run")
    (job,) = [job for job in cluster.jobs() if job.name.startswith("first-")]
    cluster.vanish(job.id)
    cluster.unpause()

    cluster.advance(24 * 3600)

    assert len(watchdogs(cluster)) == 3
    cluster.wait_until_idle()
    assert all(job.ended for job in watchdogs(cluster))


def test_where_places_in_the_queue_are_few_the_farther_watchdogs_go_first() -> None:
    assert [most_watchdogs(places) for places in (None, 12, 11, 6, 5, 1, 0)] == [
        *(3, 3, 2, 2, 1, 1, 1)
    ]
