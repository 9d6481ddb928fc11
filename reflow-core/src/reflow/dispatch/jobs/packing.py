"""How many jobs the elements of a wave share, and what each job asks for.

Short elements cost more to start than to run, so they share jobs. Long ones lose by it: elements
that wait in one job could run in several. What decides is how long elements of the task have taken
before. Where that is not known, as many jobs are asked for as are likely to run at the same time;
should the first elements take long, the others are given jobs of their own (`long_elements`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from reflow.config.schema import ResourceDefaults
from reflow.dispatch.modes import RunMode
from reflow.model.durations import Durations
from reflow.model.records import Instance
from reflow.model.resources import Resources
from reflow.model.states import FailureCause
from reflow.model.tasks import PerJob, TaskSpec
from reflow.rundir.packs import SPARE, Pack

MOST_JOBS = 64
"""Jobs that share elements of unknown duration, at most."""
LARGEST_BLOCK = 64
"""Elements of unknown duration that are claimed together, at most."""
SHARES = 8
"""Blocks of each worker, where durations are unknown: so many chances to share work evenly."""
BLOCK_SECONDS = 2.0
"""What the elements of a block take together, where durations are known."""
FEWEST_JOBS = 8
"""Jobs that share elements, at least: what took no time before may take some with other inputs."""
WORTH_A_JOB = 5.0
"""Seconds of work for which it pays to start one more job."""
LONG = 60.0
"""Seconds from which an element is given a job of its own."""
LONGEST_JOB = 600.0
"""Seconds of work in a job for which durations are known: more jobs are asked for instead."""
HOST_MEMORY = 64 * 2**20
"""Bytes that a job has beside the memory of its elements: it is a Python process itself."""

SUSPECTED = frozenset({FailureCause.SIGNAL, FailureCause.MEMORY, FailureCause.EXIT_CODE})
"""Causes of a job's end for which one of its elements may be to blame."""


def is_suspect(instance: Instance) -> bool:
    """Tell whether an element may have ended the job that it shared, and is to run alone."""
    return instance.node_losses > 0 and instance.cause in SUSPECTED


class Packing:
    """How the elements of one task share jobs."""

    def __init__(
        self,
        spec: TaskSpec,
        defaults: ResourceDefaults,
        mode: RunMode,
        cpus: int | None,
        durations: Callable[[], Durations | None],
    ) -> None:
        """Take what the user says of a task; `durations` is only called where it matters.

        `cpus` is how many all jobs have together, where that is known.
        """
        self._per_job = _per_job(spec, defaults, mode)
        self._parallelism = spec.array_parallelism
        self._at_once = spec.at_once or defaults.at_once
        if self._parallelism is not None:
            self._at_once = min(self._at_once, self._parallelism)
        if cpus is not None:
            self._at_once = min(self._at_once, max(1, cpus // spec.resources.cpus))
        self._useful = None if cpus is None else cpus // (spec.resources.cpus * self._at_once)
        self._durations = durations
        self._limited = mode.limits_elements

    @property
    def jobs_at_once(self) -> int:
        """How many jobs may run at the same time, so that no more elements do than are allowed."""
        if self._parallelism is None:
            return sys.maxsize
        return max(1, self._parallelism // (self._at_once if self._per_job else 1))

    def elements_in(self, jobs: int) -> int:
        """Return how many elements so many jobs can take."""
        if self._per_job is None:
            return jobs
        if self._per_job == "auto":
            return sys.maxsize if jobs else 0
        return jobs * self._per_job

    def jobs_for(self, elements: int) -> int:
        """Return how many jobs so many elements are likely to take."""
        if self._per_job is None:
            return elements
        if self._per_job == "auto":
            return min(elements, MOST_JOBS)
        return math.ceil(elements / self._per_job)

    def pack(self, size: int, most: int, time: timedelta | None) -> Pack | None:
        """Decide how so many elements share jobs, `most` at most; None where each has its own.

        `time` is what an element asks for.
        """
        if self._per_job is None or size < 2:
            return None
        if self._per_job == "auto":
            useful = most if self._useful is None else max(1, self._useful)
            most = min(most, self.jobs_at_once, useful)
            pack = make_pack(size, "auto", self._at_once, time, self._durations(), most)
        else:
            pack = make_pack(size, self._per_job, self._at_once, time, None, most)
        return pack if pack is None or self._limited else replace(pack, time=None, limited=False)

    def open_pack(self, size: int, workers: int, seconds: float | None) -> Pack:
        """Decide how pilots with so many workers share elements."""
        return Pack(
            hosts=0,
            at_once=1,
            block=_block(size, workers, self._durations() if size > workers else None),
            time=seconds,
            open=True,
            permits=self._parallelism,
        )


def may_share(spec: TaskSpec, mode: RunMode) -> bool:
    """Tell whether elements of a task can share jobs."""
    return spec.array and spec.resources.nodes == 1 and mode.jobs_share_elements


def _per_job(spec: TaskSpec, defaults: ResourceDefaults, mode: RunMode) -> PerJob | None:
    """Return how many elements of a task share a job; None where each has its own."""
    if not may_share(spec, mode):
        return None
    return spec.per_job or ("auto" if spec.at_once else None) or defaults.per_job or mode.per_job


def make_pack(
    size: int,
    per_job: PerJob,
    at_once: int,
    time: timedelta | None,
    durations: Durations | None,
    most: int,
) -> Pack | None:
    """Decide how so many elements share jobs; None where each is to have its own.

    `time` is what an element asks for, and `most` how many jobs there may be.
    """
    hosts = _hosts(size, at_once, durations) if per_job == "auto" else math.ceil(size / per_job)
    hosts = max(1, min(hosts, most, size))
    if hosts == size and at_once == 1:
        return None
    if_long = min(most, math.ceil(size / at_once))
    at_once = min(at_once, math.ceil(size / hosts))
    share = math.ceil(size / (hosts * at_once))
    return Pack(
        hosts=hosts,
        at_once=at_once,
        block=_block(size, hosts * at_once, durations),
        time=_seconds(per_job == "auto", share, time, durations),
        long_after=LONG if per_job == "auto" and durations is None and hosts < if_long else None,
    )


def _hosts(size: int, at_once: int, durations: Durations | None) -> int:
    if durations is None:
        return min(MOST_JOBS, math.ceil(size / at_once))
    if durations.mean >= LONG:
        return math.ceil(size / at_once)
    work = size * durations.mean / at_once
    worth = max(FEWEST_JOBS, math.ceil(work / WORTH_A_JOB))
    return min(worth, max(MOST_JOBS, math.ceil(work / LONGEST_JOB)), math.ceil(size / at_once))


def _block(size: int, workers: int, durations: Durations | None) -> int:
    even = max(1, size // (SHARES * workers))
    if durations is None:
        return min(even, LARGEST_BLOCK)
    return max(1, min(even, int(BLOCK_SECONDS / max(durations.mean, 1e-6))))


def _seconds(
    auto: bool, share: int, time: timedelta | None, durations: Durations | None
) -> float | None:
    """Return what a job asks for whose workers run so many elements each, one after the other.

    None where elements have no limit either.
    """
    if time is None:
        return None
    if not auto:
        return (share * time + SPARE).total_seconds()
    expected = 0.0 if durations is None else 2 * share * durations.mean
    return max(time.total_seconds(), expected) + SPARE.total_seconds()


def within(pack: Pack, longest: timedelta | None) -> Pack:
    """Have jobs ask for no more time than their queue allows: they would never start.

    What a job has no time for is left to others, and to the next wave.
    """
    if longest is None or pack.time is None:
        return pack
    return replace(pack, time=min(pack.time, longest.total_seconds()))


def job_resources(resources: Resources, pack: Pack) -> Resources:
    """Return what a job asks for in which `at_once` elements run at the same time."""
    return replace(
        resources,
        cpus=resources.cpus * pack.at_once,
        gpus=resources.gpus * pack.at_once,
        mem=None if resources.mem is None else resources.mem * pack.at_once + HOST_MEMORY,
        time=None if pack.time is None else timedelta(seconds=pack.time),
    )
