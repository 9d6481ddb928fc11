"""What a dispatcher does for the pilots of a run, with a scheduler that says what it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reflow.dispatch.pilots.jobs import PilotJobs
from reflow.errors import SchedulerUnavailableError, SubmissionDeferredError
from reflow.execution.pool.open_waves import OpenWaves
from reflow.model.jobs import Capabilities, JobHandle, JobRequest, JobStatus, Limits, Submission
from reflow.model.pilots import Pilots
from reflow.model.records import SubmissionState

from tests.unit.dispatch.pilots.scene import FIRST, SECOND, SIZE, UNKNOWN, PilotScene

AWAY = SchedulerUnavailableError("it is away")
EPOCH = 4


class Scheduler:
    """Says what it is told to, and keeps what it was asked."""

    name = "pond"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.limited = Limits()
        self.limits_asked = 0
        self.takes: int | None = None
        """How many jobs it takes at once, which its limits do not say."""
        self.submitted: list[tuple[JobRequest, JobRequest | None]] = []
        self.says: dict[str, list[JobStatus]] = {}
        """By id, what it says of each job of an array."""
        self.error: Exception | None = None
        self.follows = True
        self.asked: list[str] = []
        self.cancelled: list[tuple[str, list[int]]] = []

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        if self.error is not None:
            raise self.error
        if self.takes is not None and (request.size or 1) > self.takes:
            raise SubmissionDeferredError("too many")
        self.submitted.append((request, follow_up))
        number = Path(request.directory).name
        job = JobHandle(native_id=f"7{number}", token=request.token, size=request.size)
        if follow_up is None or not self.follows:
            return Submission(job)
        return Submission(job, JobHandle(native_id=f"8{number}", token=follow_up.token))

    def poll(self, handles: Sequence[JobHandle]) -> list[JobStatus]:
        self.asked += [handle.native_id for handle in handles]
        if self.error is not None:
            raise self.error
        return [
            replace(status, native_id=handle.native_id, positions=range(job, job + 1))
            for handle in handles
            for job, status in enumerate(self.says.get(handle.native_id, [UNKNOWN]))
        ]

    def cancel_positions(self, handle: JobHandle, positions: Iterable[int]) -> None:
        if self.error is not None:
            raise self.error
        self.cancelled.append((handle.native_id, list(positions)))

    def limits(self) -> Limits:
        self.limits_asked += 1
        return self.limited

    @property
    def names(self) -> list[str]:
        """What was submitted, by the name in its token."""
        return [request.token.partition("-")[0] for request, _ in self.submitted]

    @property
    def sizes(self) -> list[int]:
        return [request.size or 1 for request, _ in self.submitted]


class Scene(PilotScene):
    """The run, its scheduler, and what a dispatcher does for pilots."""

    def __init__(self, folder: Path, pilots: Pilots | None = None, **config: Any) -> None:
        super().__init__(folder)
        pilots = pilots or Pilots(jobs=2, cpus=2)
        self.settings = replace(
            self.settings, pilots=pilots, config_data={"dispatch": config} if config else {}
        )
        self.scheduler = Scheduler()
        self.commits: list[int] = []
        """How many jobs had been submitted at each commit."""
        self.jobs = self.dispatcher()

    def dispatcher(self) -> PilotJobs:
        executor: Any = self.scheduler
        assert self.settings.pilots is not None
        return PilotJobs(
            self.settings.pilots,
            self.tracked,
            self.settings,
            executor,
            self.waves,
            lambda: EPOCH,
            lambda: self.commits.append(len(self.scheduler.submitted)),
        )

    @property
    def told(self) -> OpenWaves:
        told = OpenWaves(self.settings.layout.open_waves)
        told.look()
        return told

    def state(self, number: int) -> SubmissionState | None:
        record = self.tracked.dispatches.get(number) or self.tracked.cancelling.get(number)
        return None if record is None else record.state

    def only(self, wave: int, size: int) -> None:
        """Have so many elements left of one wave, and none of the other."""
        for number in (FIRST, SECOND):
            left = size if number == wave else 0
            self.ended(number, *range(left, SIZE))
