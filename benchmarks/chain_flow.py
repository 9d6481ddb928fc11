"""A chain of arrays in two pilots; prints the seconds to the last result, and the gaps between.

python chain_flow.py NAP CPUS
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from typing import Annotated

from reflow import Pilots, Result, Workflow

wf = Workflow("chain")
STAGES, WIDTH = 3, 200  # short.py writes other numbers here


@wf.job()
def stage_0(nap: float) -> list[float]:
    return [nap] * WIDTH


def stage(number: int) -> Callable[..., float]:
    def work(nap: Annotated[float, Result(step=f"stage_{number - 1}")]) -> float:
        time.sleep(nap)
        return nap

    work.__name__ = work.__qualname__ = f"stage_{number}"
    work.__annotations__["nap"] = Annotated[float, Result(step=f"stage_{number - 1}")]
    work.__annotations__["return"] = float
    return wf.job(array=True, per_job="auto")(work)


for each in range(1, STAGES + 1):
    stage(each)


def gaps() -> list[float]:
    """Seconds from the end of a stage's last element to the begin of the first of the next."""
    query = (
        "SELECT min(started_at), max(ended_at) FROM reflow_instance JOIN reflow_task AS task"
        " ON task.id = reflow_instance.task WHERE task.name LIKE 'stage_%'"
        " GROUP BY task.id ORDER BY task.id"
    )
    with closing(sqlite3.connect(os.environ["REFLOW_STORE"])) as database:
        spans = database.execute(query).fetchall()
    # The first of them makes the list.
    return [then[0] - now[1] for now, then in pairwise(spans[1:])]


def main(nap: str, cpus: str) -> tuple[float, list[float]]:
    began = time.time()
    pilots = Pilots(jobs=2, cpus=int(cpus))
    run = wf.submit(executor="slurm", pilots=pilots, force=True, nap=float(nap))
    run.wait()
    assert run.state == "SUCCESS", run.state
    return time.time() - began, gaps()


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
