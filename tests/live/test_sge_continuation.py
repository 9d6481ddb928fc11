"""Runs go on, whoever dispatches and whatever dies: on a real Grid Engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.live.people import Person
from tests.live.scenes.continuation import *  # noqa: F403 - tests
from tests.live.scenes.continuation import LAST_WORKER, ONCE, dispatching, held_back, without
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24)) as cell:
        yield cell


@pytest.fixture
def no_submission() -> str:
    return 'Unable to run job: denied: host "node1" is no submit host.'


def test_a_dispatch_job_that_is_run_again_by_hand_loses_nothing(
    person: Person, cluster: SGECluster
) -> None:
    person.settings.update(without(LAST_WORKER))
    person.touch("begin")
    with held_back(person):
        run = person.submits()
        job = dispatching(run)
        (person.folder / "held").unlink()
        cluster.run("qmod", "-rj", job)
        assert dispatching(run) == job

    run.ends()
    assert person.calls == ONCE
