"""Runs go on, whoever dispatches and whatever dies: on a real Slurm."""

from __future__ import annotations

import pytest

from tests.live.conftest import needs_accounting
from tests.live.people import LiveRun, Person
from tests.live.scenes.continuation import *  # noqa: F403 - tests
from tests.live.scenes.continuation import LAST_WORKER, ONCE, STAGES, go_on, hold_back, without
from tests.live.slurm_cluster import SlurmCluster


@pytest.fixture
def no_submission() -> str:
    return "sbatch: error: Access/permission denied"


@pytest.fixture(scope="module", autouse=True)
def slow_dispatch(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> LiveRun:
    """A run whose dispatch job runs out of time; begun first, as that takes more than a minute."""
    folder = tmp_path_factory.mktemp("slow-dispatch")
    settings = {"REFLOW_DISPATCH_TIME": "00:01:00", **without(LAST_WORKER)}
    person = Person(cluster=slurm, folder=folder, settings=settings).write(STAGES)
    person.touch("begin")
    hold_back(person)
    return person.submits()


@needs_accounting
def test_a_run_does_without_slurmdbd(person: Person, slurm: SlurmCluster) -> None:
    slurm.daemons.stop("slurmdbd")
    try:
        person.touch("begin")
        run = person.submits()
        run.ends()
    finally:
        slurm.start_accounting()
    assert person.calls == ONCE


def test_a_dispatch_job_that_runs_out_of_time_loses_nothing(slow_dispatch: LiveRun) -> None:
    run = slow_dispatch
    run.until((run.person.folder / "held").exists, "a dispatch job")
    run.until(lambda: not run.running("dispatch"), "the end of the dispatch job", 150)
    go_on(run.person)

    run.status()

    run.ends()
    assert run.person.calls == ONCE
