"""More elements than a scheduler takes at once."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.live.clusters import Queued
from tests.live.people import PATIENCE, LiveRun, Person

MANY = """
wf = Workflow("many")


@wf.job()
def prepare(count: int) -> list[int]:
    return list(range(count))


@wf.job(array=True)
def each(number: Annotated[int, Result(step="prepare")]) -> int:
    return number


@wf.job()
def total(numbers: Annotated[list[int], Result(step="each")]) -> int:
    return sum(numbers)
"""


def looks_at_the_queue(run: LiveRun, seconds: float = PATIENCE) -> list[list[Queued]]:
    """What was in the queue at each look until the run's end."""
    looks = []
    end = time.monotonic() + seconds
    while not run.state.final and time.monotonic() < end:
        looks.append(run.queue())
        time.sleep(0.5)
    return looks


def rejected(person: Person, record: Path) -> list[list[str]]:
    """Submissions that the scheduler did not take."""
    lines = map(json.loads, record.read_text().splitlines())
    submit = person.cluster.submit
    return [line["argv"] for line in lines if line["argv"][0] == submit and line["exit_code"]]
