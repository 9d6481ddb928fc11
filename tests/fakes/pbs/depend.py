"""PBS' `-W depend`: what is written, and what the server does when a job ends.

The server acts on events: a job that ends tells those that wait for it. A plain job deleted
before it ran tells nobody, and they wait for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fakes.pbs.jobs import PbsJob

AFTER = ("after", "afterok", "afternotok", "afterany")
BEFORE = ("before", "beforeok", "beforenotok", "beforeany")
_TARGET = re.compile(r"(\d+)(\[\])?(?:\.[\w.-]+)?$")


class Event(Enum):
    """What a job tells those that wait for it."""

    STARTED = "started"
    ENDED_WELL = "ended well"
    ENDED_BADLY = "ended badly"
    GIVEN_UP = "given up"
    """Its own dependency can never be met."""


@dataclass
class Dependency:
    """`afterok:24.node01`, `beforeany:7.node01`, `on:2`."""

    kind: str
    number: int
    """The other job's; for `on` how many events are awaited."""
    is_array: bool = False
    met: bool = False

    def text(self, server: str) -> str:
        """What the `depend` attribute shows."""
        if self.kind == "on":
            return f"on:{self.number}"
        brackets = "[]" if self.is_array else ""
        return f"{self.kind}:{self.number}{brackets}.{server}@{server}"


def parse(text: str) -> list[Dependency] | None:
    """Read the value of `depend=`; None for what qsub calls illegal."""
    found: list[Dependency] = []
    for part in text.split(","):
        kind, _, rest = part.partition(":")
        if kind == "on" and rest.isdigit():
            found.append(Dependency("on", int(rest)))
            continue
        if kind not in (*AFTER, *BEFORE) or not rest:
            return None
        for target in rest.split(":"):
            match = _TARGET.match(target)
            if match is None:
                return None
            found.append(Dependency(kind, int(match[1]), match[2] is not None))
    return found


def satisfies(kind: str, event: Event) -> bool | None:
    """Whether an event meets a condition; None where it decides nothing."""
    word = kind.removeprefix("after").removeprefix("before")
    if event is Event.GIVEN_UP:
        return False
    if event is Event.STARTED:
        return True if not word else None
    if not word:
        return True
    good = event is Event.ENDED_WELL
    return {"ok": good, "notok": not good, "any": True}[word]


def waiting_for(job: PbsJob, jobs: Mapping[int, PbsJob]) -> Iterator[tuple[PbsJob, Dependency]]:
    """Those that wait for a job, by their own `after...` or by its `before...`."""
    for other in jobs.values():
        for dependency in other.dependencies:
            if dependency.kind in AFTER and dependency.number == job.number:
                yield other, dependency
    for dependency in job.dependencies:
        if dependency.kind in BEFORE and dependency.number in jobs:
            yield jobs[dependency.number], dependency


def is_free(job: PbsJob) -> bool:
    """Whether nothing that a job waits for is left."""
    for dependency in job.dependencies:
        if dependency.kind in AFTER and not dependency.met:
            return False
        if dependency.kind == "on" and job.released < dependency.number:
            return False
    return True
