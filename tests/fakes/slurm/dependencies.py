"""Slurm's `--dependency`, with what slurmctld makes of it in every order of events."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from reflow.testing.fakes.model import Job, Phase, Task

KINDS = ("after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer")
_TARGET = re.compile(r"(\d+)(?:_(\d+|\*))?(?:\+(\d+))?$")


class Met(Enum):
    """Whether a condition is met."""

    NOT_YET = "unfulfilled"
    YES = "fulfilled"
    NEVER = "failed"


@dataclass
class Condition:
    """`afterok:24`, `afterany:24_3`."""

    kind: str
    number: int
    index: int | None = None
    minutes: int = 0
    met: Met = Met.NOT_YET
    written: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.written}({self.met.value})"


@dataclass
class Dependency:
    """Conditions that must all be met, or one of them."""

    conditions: list[Condition] = field(default_factory=list)
    any_will_do: bool = False
    singleton: bool = False

    @property
    def met(self) -> Met:
        """How the whole stands, what holds element by element left out."""
        states = [one.met for one in self.conditions if one.kind != "aftercorr"]
        if not states:
            return Met.YES
        if self.any_will_do:
            if Met.YES in states:
                return Met.YES
            return Met.NEVER if all(s is Met.NEVER for s in states) else Met.NOT_YET
        if Met.NEVER in states:
            return Met.NEVER
        return Met.YES if all(s is Met.YES for s in states) else Met.NOT_YET

    def text(self, *, element_failed: bool = False) -> str:
        """What squeue's `%E` shows of it."""
        left = [str(one) for one in self.conditions if one.met is not Met.YES]
        if not left or (self.any_will_do and self.met is Met.YES):
            return "(null)"
        text = ("?" if self.any_will_do else ",").join(left)
        return text.replace("(unfulfilled)", "(failed)") if element_failed else text


def parse(text: str, job_of: Callable[[int], Job | None]) -> Dependency | None:
    """Read a `--dependency`; None for what slurmctld calls a dependency problem."""
    separator = "?" if "?" in text else ","
    dependency = Dependency(any_will_do=separator == "?")
    for part in text.split(separator):
        if part == "singleton":
            dependency.singleton = True
            continue
        kind, _, targets = part.partition(":")
        if kind not in KINDS or not targets:
            return None
        for target in targets.split(":"):
            match = _TARGET.match(target)
            if match is None:
                return None
            dependency.conditions.append(_condition(kind, match, job_of))
    return dependency


def _condition(kind: str, match: re.Match[str], job_of: Callable[[int], Job | None]) -> Condition:
    number = int(match[1])
    job = job_of(number)
    condition = Condition(kind, number, written=match[1], minutes=int(match[3] or 0))
    if match[2] and match[2] != "*":
        condition.index = int(match[2])
        condition.written = f"{number}_{match[2]}"
    elif job is not None and job.is_array:
        condition.written = f"{number}_*"
    return condition


def look(dependency: Dependency, jobs: Mapping[int, Job], now: float) -> Met:
    """Look at what the conditions speak of, and keep what has become certain."""
    for condition in dependency.conditions:
        if condition.met is Met.NOT_YET and condition.kind != "aftercorr":
            condition.met = _look_at(condition, jobs, now)
    return dependency.met


def look_for_element(dependency: Dependency, jobs: Mapping[int, Job], index: int | None) -> Met:
    """How the element-wise conditions stand for one element."""
    for condition in dependency.conditions:
        job = jobs.get(condition.number)
        if condition.kind != "aftercorr" or job is None:
            continue
        task = job.tasks.get(index) if job.is_array else job.tasks[None]
        if task is None or not task.known:
            continue
        if task.phase is not Phase.OVER:
            return Met.NOT_YET
        if not task.succeeded:
            return Met.NEVER
    return Met.YES


def _look_at(condition: Condition, jobs: Mapping[int, Job], now: float) -> Met:
    job = jobs.get(condition.number)
    # What slurmctld does not know, or not any more, counts as met.
    if job is None or not job.is_known:
        return Met.YES
    tasks = job.present
    if condition.index is not None:
        tasks = [task for task in tasks if task.index == condition.index and task.known]
        if not tasks:
            return Met.YES
    if condition.kind == "after":
        return _started(tasks, condition.minutes, now)
    return _ended(condition.kind, tasks)


def _started(tasks: list[Task], minutes: int, now: float) -> Met:
    for task in tasks:
        begun = task.runs[0].started if task.runs else task.ended
        if begun is None or now < begun + minutes * 60:
            return Met.NOT_YET
    return Met.YES


def _ended(kind: str, tasks: list[Task]) -> Met:
    if any(task.phase is not Phase.OVER for task in tasks):
        return Met.NOT_YET
    good = all(task.succeeded for task in tasks)
    wanted = {"afterok": good, "afternotok": not good}.get(kind, True)
    return Met.YES if wanted else Met.NEVER
