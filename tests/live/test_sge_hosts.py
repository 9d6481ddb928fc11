"""Elements that share jobs on a real Grid Engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.hosts import *  # noqa: F403 - tests
from tests.live.scenes.hosts import GATED, ONCE, OUT_OF_TIME, SIZE, WATCHED, elements, host, waves
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24)) as cell:
        yield cell


@pytest.fixture
def left_by_a_cancelled_host() -> Mapping[str, int]:
    # Grid Engine tells nobody of a signal whose it was: what was at work runs again.
    return {"SUCCESS": SIZE}


@pytest.fixture(scope="module", autouse=True)
def out_of_time(cluster: SGECluster, tmp_path_factory: pytest.TempPathFactory) -> LiveRun:
    """A run whose jobs have time for a part of the work."""
    folder = tmp_path_factory.mktemp("out-of-time")
    person = Person(cluster=cluster, folder=folder, settings=dict(WATCHED))
    return person.write(OUT_OF_TIME).submits()


def runs_again(cluster: SGECluster, native_id: str, person: Person) -> Callable[[], bool]:
    """Put a job back into the queue; return a question whether its two elements have begun anew.

    On a busy machine it happens to any job that qmaster reschedules it and its first life goes on
    all the same. The command is typed again then, while the question is asked.
    """
    begun = sum(person.calls.values())
    typed = [time.monotonic()]
    cluster.run("qmod", "-rj", native_id)

    def lives_anew() -> bool:
        if sum(person.calls.values()) == begun + 2:
            return True
        if time.monotonic() - typed[-1] > 60:
            typed.append(time.monotonic())
            cluster.run("qmod", "-rj", native_id)
        return False

    return lives_anew


def test_a_job_run_again_by_hand_takes_its_work_up_again(
    person: Person, cluster: SGECluster
) -> None:
    run = person.write(GATED.replace("00:02:00", "00:10:00")).submits()
    run.until(lambda: len(person.calls) == 4, "two elements in each of two jobs")

    run.until(lambda: host(run, 0).state == "RUNNING", "word of the job")
    # Within the second of its start the first life would go on, whatever qmaster says of it.
    time.sleep(3)
    lives_anew = runs_again(cluster, host(run, 0).native_id, person)
    run.until(lives_anew, "the second life")
    person.touch("go")

    run.ends()
    assert run.result("total") == sum(range(SIZE))
    assert person.calls == {**ONCE, "0": 2, "1": 2}
    assert {(item.attempt, item.node_losses) for item in elements(run)} == {(1, 0)}
    assert waves(run) == 1
