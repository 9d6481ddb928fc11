"""A whole run in pilots that have a node each, on a real Slurm."""

from __future__ import annotations

import os

from tests.live.people import Person

FLOW = """
wf = Workflow("nodes")


@wf.job(time="00:05:00")
def items() -> list[int]:
    return list(range(12))


@wf.job(array=True, time="00:05:00")
def each(item: Annotated[int, Result(step="items")]) -> int:
    did(item)
    wait_for("go")
    return item


@wf.job(time="00:05:00")
def total(items: Annotated[list[int], Result(step="each")]) -> int:
    return sum(items)
"""
ASKED = ("--pilots", "2", "--pilot-nodes", "whole", "--pilot-time", "00:30:00")


def test_a_run_fills_whole_nodes_with_elements_of_one_cpu(newcomer: Person) -> None:
    # The nodes only pretend to have more.
    cpus = len(os.sched_getaffinity(0))
    run = newcomer.write(FLOW).submits(*ASKED)

    run.until(
        lambda: len(newcomer.calls) == min(12, 2 * cpus), "as many elements as there are CPUs"
    )

    assert run.status()["pilots"] == {"running": 2, "queued": 0, "at_once": 2 * cpus}
    said = f"2 pilots running; {2 * cpus} elements at once"
    assert said in newcomer.types("status", run.run_id).splitlines()
    at_work = [job for job in run.queue() if job.state == "RUNNING"]
    assert {job.name.partition("-")[0] for job in at_work} == {"pilots"}
    newcomer.touch("go")

    run.ends()
    assert run.result("total") == sum(range(12))
    run.leaves_nothing()
