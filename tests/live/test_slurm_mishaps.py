"""Elements that end badly on a real Slurm: each ends in a true state, and `retry` completes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.mishaps import *  # noqa: F403 - tests
from tests.live.scenes.mishaps import IMPATIENT, OVER_TIME, REQUEUED
from tests.live.slurm_cluster import SlurmCluster


@pytest.fixture
def whole_array_cancelled() -> dict[str, int]:
    return {"CANCELLED": 4}


@pytest.fixture
def jobs_of(slurm: SlurmCluster) -> Callable[[str], list[str]]:
    """Ids of all jobs of a name, of those that are over, too."""

    def ask(token: str) -> list[str]:
        return slurm.run("squeue", "-h", "-t", "all", "-o", "%i", "--name", token).split()

    return ask


@pytest.fixture(scope="module", autouse=True)
def over_time(slurm: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LiveRun]:
    """Runs over their time limit: with a warning, and without."""
    runs = {}
    for name, fields in (("warned", ', options={"slurm": {"signal": "TERM@30"}}'), ("plain", "")):
        folder = tmp_path_factory.mktemp(name)
        person = Person(cluster=slurm, folder=folder, settings=dict(IMPATIENT))
        runs[name] = person.write(OVER_TIME.replace("FIELDS", 'time="00:01:00"' + fields)).submits()
    return runs


MORE_MEMORY = """
wf = Workflow("more_memory")


@wf.job()
def sizes() -> list[int]:
    return [1, 250, 1]


@wf.job(array=True, mem="200M", retries=2, retry_mem=2.0)
def eat(size: Annotated[int, Result(step="sizes")]) -> int:
    did(size)
    eaten = bytearray(size * 1024**2)
    time.sleep(4)
    return size
"""


def with_more_memory(person: Person) -> None:
    run = person.write(MORE_MEMORY).submits()

    run.ends()

    assert person.calls == {"1": 2, "250": 2}
    *_, last = sorted(run.scripts, key=lambda path: int(path.parent.name))
    assert "#SBATCH --mem=400M\n" in last.read_text()
    assert "--array" not in last.read_text()


def test_what_ran_out_of_polled_memory_is_tried_with_twice_as_much(person: Person) -> None:
    with_more_memory(person)


# -- nodes that die, and requeues ----------------------------------------------------------------
def test_an_element_requeued_by_hand_runs_again_and_the_attempt_is_not_counted(
    person: Person, slurm: SlurmCluster
) -> None:
    run = person.write(REQUEUED.replace("FIELDS", "")).submits()
    run.until(lambda: person.calls["life 0"] == 1, "the first life")
    (job,) = run.running("work")

    person.cluster.run("scontrol", "requeue", job.native_id)
    run.until(lambda: [each.state for each in run.queue("work")] == ["PENDING"], "the queue")
    assert run.status()["tasks"]["work"]["state"] == "SUBMITTED"
    slurm.hurry(job.native_id)
    run.until(lambda: person.calls["life 1"] == 1, "the second life")
    person.touch("go-1")

    run.ends()
    assert run.result("work") == "1"
    assert person.calls == {"life 0": 1, "life 1": 1, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.retries_used) == (1, 0)


@contextmanager
def node_down(person: Person) -> Iterator[None]:
    """The second node is down while this lasts."""
    person.cluster.run("scontrol", "update", "nodename=node02", "state=down", "reason=test")
    yield
    person.cluster.run("scontrol", "update", "nodename=node02", "state=resume", check=False)


def test_an_element_whose_node_died_is_tried_again_without_being_counted(person: Person) -> None:
    fields = 'options={"slurm": {"no-requeue": True, "nodelist": "node02"}}'
    run = person.write(REQUEUED.replace("FIELDS", fields)).submits()
    run.until(lambda: person.calls["life 0"] == 1, "the start")

    with node_down(person):
        run.until(lambda: not run.running("work"), "the job's end")
    person.touch("go-0")

    run.until(lambda: bool(run.status()) and run.state.final, "the end")
    run.ends()
    assert person.calls == {"life 0": 2, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.retries_used, element.node_losses) == (2, 0, 1)


def test_an_element_that_slurm_requeues_when_its_node_died_runs_again_as_it_is(
    person: Person, slurm: SlurmCluster
) -> None:
    fields = 'options={"slurm": {"nodelist": "node02"}}'
    run = person.write(REQUEUED.replace("FIELDS", fields)).submits()
    run.until(lambda: person.calls["life 0"] == 1, "the start")
    (job,) = run.running("work")

    with node_down(person):
        run.until(lambda: [each.state for each in run.queue("work")] == ["PENDING"], "the requeue")
        assert run.status()["tasks"]["work"]["state"] == "SUBMITTED"
    person.touch("go-1")
    slurm.hurry(job.native_id)

    run.ends()
    assert person.calls == {"life 0": 1, "life 1": 1, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.retries_used, element.node_losses) == (1, 0, 0)
