"""Elements that end badly on a real Grid Engine: each in a true state, and `retry` completes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.live.people import LiveRun, Person
from tests.live.scenes.mishaps import *  # noqa: F403 - tests
from tests.live.scenes.mishaps import IMPATIENT, OVER_TIME, REQUEUED
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24)) as cell:
        yield cell


@pytest.fixture
def whole_array_cancelled() -> dict[str, int]:
    # Grid Engine tells nobody of a signal whose it was.
    return {"FAILED": 4}


@pytest.fixture
def jobs_of(cluster: SGECluster) -> Callable[[str], list[str]]:
    """Ids of all jobs of a name, of those that are over, too."""

    def ask(token: str) -> list[str]:
        shown = cluster.run("qacct", "-j", token)
        return [line.split()[1] for line in shown.splitlines() if line.startswith("jobnumber")]

    return ask


@pytest.fixture(scope="module", autouse=True)
def over_time(cluster: SGECluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LiveRun]:
    """Runs over their time limit: with a warning, and without."""
    runs = {}
    for name, settings in (("warned", {"REFLOW_EXECUTOR_SGE_WARNING": "10"}), ("plain", {})):
        person = Person(
            cluster=cluster,
            folder=tmp_path_factory.mktemp(name),
            settings={**IMPATIENT, **settings},
        )
        flow = OVER_TIME.replace("FIELDS", 'time="00:00:40"')
        runs[name] = person.write(flow).submits()
    return runs


def test_an_element_run_again_by_hand_lives_anew_and_the_attempt_is_not_counted(
    person: Person, cluster: SGECluster
) -> None:
    run = person.write(REQUEUED.replace("FIELDS", "")).submits()
    run.until(lambda: person.calls["life 0"] == 1, "the first life")
    (job,) = run.queue("work")

    cluster.run("qmod", "-rj", job.native_id)
    run.until(lambda: person.calls["life 1"] == 1, "the second life")
    assert run.status()["tasks"]["work"]["state"] == "RUNNING"
    person.touch("go-1")

    run.ends()
    assert run.result("work") == "1"
    assert person.calls == {"life 0": 1, "life 1": 1, "done": 1}
    (element,) = person.store.instances(run.run_id)
    assert (element.attempt, element.retries_used) == (1, 0)
