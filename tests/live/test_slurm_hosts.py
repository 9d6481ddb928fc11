"""Elements that share jobs on a real Slurm."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.hosts import *  # noqa: F403 - tests
from tests.live.scenes.hosts import (
    GATED,
    ONCE,
    OUT_OF_TIME,
    SIZE,
    WATCHED,
    elements,
    host,
    shared,
    waves,
)
from tests.live.slurm_cluster import SlurmCluster


@pytest.fixture
def left_by_a_cancelled_host() -> Mapping[str, int]:
    return {"SUCCESS": SIZE - 2, "CANCELLED": 2}


@pytest.fixture(scope="module", autouse=True)
def out_of_time(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> LiveRun:
    """A run whose jobs have time for a part of the work."""
    folder = tmp_path_factory.mktemp("out-of-time")
    person = Person(cluster=slurm, folder=folder, settings=dict(WATCHED))
    return person.write(OUT_OF_TIME).submits()


def test_a_job_requeued_by_hand_takes_its_work_up_again(
    person: Person, slurm: SlurmCluster
) -> None:
    run = person.write(GATED).submits()
    run.until(lambda: len(person.calls) == 4, "two elements in each of two jobs")
    name = host(run, 0).native_id

    slurm.run("scontrol", "requeue", name)
    run.until(lambda: host(run, 0).state == "PENDING", "the queue")
    slurm.hurry(name)
    run.until(lambda: sum(person.calls.values()) == 6, "the second life")
    person.touch("go")

    run.ends()
    assert run.result("total") == sum(range(SIZE))
    assert person.calls == {**ONCE, "0": 2, "1": 2}
    assert {(item.attempt, item.node_losses) for item in elements(run)} == {(1, 0)}
    assert waves(run) == 1


def test_shared_jobs_ask_for_no_more_time_than_their_partition_allows(person: Person) -> None:
    fields = 'queue="short", mem="200M", time="00:00:40"'
    run = person.write(shared(f"per_job=6, {fields}")).submits()

    run.ends()

    assert person.calls == ONCE
    assert any("#SBATCH --time=00:01:00\n" in path.read_text() for path in run.scripts)


def test_elements_are_not_ended_for_the_time_in_which_their_job_was_suspended(
    person: Person, slurm: SlurmCluster
) -> None:
    flow = GATED.replace("per_job=6", "per_job=12").replace("00:02:00", "00:00:15")
    run = person.write(flow).submits()
    run.until(lambda: len(person.calls) == 2, "two elements in one job")
    (job,) = run.running("each")

    slurm.run("scontrol", "suspend", job.native_id)
    run.until(lambda: not run.running("each"), "the suspension")
    time.sleep(16)
    slurm.run("scontrol", "resume", job.native_id)
    run.until(lambda: bool(run.running("each")), "the end of the suspension")
    # Longer than the host takes to look at what its elements have used.
    time.sleep(1)
    person.touch("go")

    run.ends()
    assert person.calls == ONCE


def test_what_a_requeued_job_had_is_finished_by_it_after_all_others(
    person: Person, slurm: SlurmCluster
) -> None:
    run = person.write(GATED).submits()
    run.until(lambda: len(person.calls) == 4, "two elements in each of two jobs")
    name = host(run, 0).native_id

    slurm.run("scontrol", "requeue", name)
    run.until(lambda: host(run, 0).state == "PENDING", "the queue")
    person.touch("go")
    run.until(lambda: not run.running("each"), "the end of the other job")
    slurm.hurry(name)

    run.ends()
    assert run.result("total") == sum(range(SIZE))
    assert {(item.attempt, item.node_losses) for item in elements(run)} == {(1, 0)}


def test_jobs_that_are_all_cancelled_by_hand_are_not_submitted_again(person: Person) -> None:
    run = person.write(GATED).submits()
    run.until(lambda: len(person.calls) == 4, "two elements in each of two jobs")

    person.cancels(run.queue("each-")[0].job_id)

    run.until(lambda: run.state.final, "the end")
    assert run.counts("each") == {"CANCELLED": SIZE}
    run.leaves_nothing()
    assert waves(run) == 1
    person.touch("go")
    run.retries()
    run.ends()
