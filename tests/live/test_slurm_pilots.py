"""Runs in pilots on a real Slurm."""

from __future__ import annotations

from tests.live.people import Person
from tests.live.scenes.pilots import *  # noqa: F403 - tests
from tests.live.scenes.pilots import GATED, ONCE, TOTAL, TWO, at_work, begun, chain, submissions
from tests.live.slurm_cluster import SlurmCluster


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
