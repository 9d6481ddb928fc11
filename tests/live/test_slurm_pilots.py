"""Runs in pilots on a real Slurm."""

from __future__ import annotations

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.mishaps import IMPATIENT
from tests.live.scenes.pilots import *  # noqa: F403 - tests
from tests.live.scenes.pilots import (
    GATED,
    ONCE,
    OUT_OF_TIME,
    THREE_MINUTES,
    TOTAL,
    TWO,
    at_work,
    begun,
    chain,
    elements,
    submissions,
)
from tests.live.slurm_cluster import SlurmCluster


@pytest.fixture(scope="module", autouse=True)
def out_of_time(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> LiveRun:
    """A run whose pilots have time for a part of the work."""
    folder = tmp_path_factory.mktemp("out-of-time")
    person = Person(cluster=slurm, folder=folder, settings=dict(IMPATIENT))
    return person.write(OUT_OF_TIME).submits(*THREE_MINUTES)


def test_a_pilot_that_is_requeued_by_hand_loses_nothing(
    person: Person, slurm: SlurmCluster
) -> None:
    run = person.write(GATED).submits(*TWO)
    at_work(run, 4)
    (number,) = run.native_ids("pilots")
    name = slurm.element(number, 0)

    slurm.run("scontrol", "requeue", name)
    run.until(lambda: any(file.is_gone for file in begun(run)), "the end of its first life")
    slurm.hurry(name)
    person.touch("go")

    run.ends()
    assert run.result("total") == TOTAL
    assert sum(person.calls.values()) == len(ONCE) + 2


def test_a_pilot_with_a_whole_node_runs_as_many_elements_as_that_has_cpus(person: Person) -> None:
    run = person.write(chain()).submits("--pilots", "1", "--pilot-nodes", "whole")

    run.ends()

    assert run.result("total") == TOTAL
    assert submissions(run) == 1
    assert not run.native_ids("wave")


def test_what_a_pilot_had_that_is_cancelled_by_hand_runs_elsewhere(person: Person) -> None:
    run = person.write(GATED).submits(*TWO)
    at_work(run, 4)
    (number,) = run.native_ids("pilots")

    person.cancels(person.cluster.element(number, 0))
    run.until(lambda: any(file.is_gone for file in begun(run)), "the pilot's end")
    person.touch("go")

    run.ends()
    assert run.result("total") == TOTAL
    assert sum(person.calls.values()) == len(ONCE) + 2
    assert {item.retries_used for item in elements(run)} == {0}
