"""Hosts that go away, and jobs held by hand, on a real Grid Engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reflow.model.states import RunState

from tests.live.people import LiveRun, Person
from tests.live.scenes.mishaps import IMPATIENT, REQUEUED, WAIT
from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cluster() -> Iterator[SGECluster]:
    with running(Options(slots=24, max_unheard="0:0:6")) as cell:
        yield cell


def begun(person: Person) -> LiveRun:
    """A run whose only element has begun."""
    run = person.write(REQUEUED.replace("FIELDS", "")).submits()
    run.until(lambda: person.calls["life 0"] == 1, "the first life")
    return run


def attempts(run: LiveRun) -> tuple[int, int, int]:
    """Attempts of the only element: all, those counted as tries, those not counted."""
    (element,) = run.person.store.instances(run.run_id)
    return element.attempt, element.retries_used, element.node_losses


def test_an_element_whose_host_died_is_tried_again_without_being_counted(
    newcomer: Person, cluster: SGECluster
) -> None:
    newcomer.settings.update(IMPATIENT)
    run = begun(newcomer)

    with cluster.host_dead():
        run.until(lambda: bool(run.status()) and attempts(run)[0] == 2, "another attempt")
    newcomer.touch("go-0")

    run.ends()
    assert newcomer.calls == {"life 0": 2, "done": 1}
    assert attempts(run) == (2, 0, 1)


def test_an_element_that_grid_engine_runs_again_after_its_host_died_is_the_same_attempt(
    newcomer: Person, cluster: SGECluster
) -> None:
    cluster.configure("reschedule_unknown", "00:00:01")
    try:
        run = begun(newcomer)
        with cluster.host_dead():
            run.until(lambda: run.queue("work")[0].state == "PENDING", "the reschedule")
            assert run.status()["tasks"]["work"]["state"] == "SUBMITTED"
        run.until(lambda: newcomer.calls["life 1"] == 1, "the second life")
        newcomer.touch("go-1")

        run.ends()
    finally:
        cluster.configure("reschedule_unknown", "00:00:00")
    assert newcomer.calls == {"life 0": 1, "life 1": 1, "done": 1}
    assert attempts(run) == (1, 0, 0)


def test_a_run_is_cancelled_although_its_host_is_down(
    newcomer: Person, cluster: SGECluster
) -> None:
    run = begun(newcomer)

    with cluster.host_dead():
        run.until(lambda: cluster.queue_state() == "u", "the silence")
        newcomer.types("cancel", run.run_id)
        assert run.state is RunState.CANCELLED

    run.leaves_nothing()


def test_what_is_held_or_suspended_by_hand_goes_on_afterwards(
    newcomer: Person, cluster: SGECluster
) -> None:
    newcomer.settings.update(IMPATIENT)
    with cluster.closed():
        run = newcomer.write(WAIT).submits()
        (words,) = run.queue("words")
        cluster.run("qhold", words.job_id)
    said = run.status()["tasks"]["words"]
    assert (said["state"], said["reason"]) == ("SUBMITTED", "held, or waiting for another job")
    cluster.run("qrls", words.job_id)
    run.until(lambda: len(run.running("stay")) == 2, "the first elements")
    first = run.running("stay")[0]

    cluster.run("qmod", "-sj", first.native_id)
    newcomer.touch("go")
    run.until(lambda: run.counts("stay").get("SUCCESS", 0) == 3 or not run.status(), "the others")
    assert run.status()["tasks"]["stay"]["counts"] == {"SUCCESS": 3, "RUNNING": 1}
    cluster.run("qmod", "-usj", first.native_id)

    run.ends()
    assert newcomer.calls == {"a": 1, "b": 1, "c": 1, "d": 1}
