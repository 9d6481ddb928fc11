"""What is measured of the tries of a run, taken in one pass, a few numbers for each."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop

from reflow.model.attempts import Attempt
from reflow.model.resources import Resources
from reflow.model.states import TaskState
from reflow.runs.reporting.contents import Bar, Timeline
from reflow.runs.reporting.failures import Failures
from reflow.runs.reporting.timeline import Spans

MOST_ROWS = 400
"""Tries that a report lists, and bars that it draws: where there are more, some of them."""


def _numbers() -> array[float]:
    return array("d")


@dataclass(slots=True)
class TaskMeasures:
    """The measurements of one task, a number for each try."""

    waiting: array[float] = field(default_factory=_numbers)
    duration: array[float] = field(default_factory=_numbers)
    peak_memory: array[float] = field(default_factory=_numbers)
    cpu: array[float] = field(default_factory=_numbers)
    duration_share: array[float] = field(default_factory=_numbers)
    memory_share: array[float] = field(default_factory=_numbers)
    cpu_share: array[float] = field(default_factory=_numbers)

    def add(self, attempt: Attempt, asked: Resources | None) -> None:
        """Take a try that succeeded."""
        outcome = attempt.outcome
        if outcome.started_at is not None and outcome.ended_at is not None:
            seconds = max(outcome.ended_at - outcome.started_at, 0.0)
            self.duration.append(seconds)
            if asked is not None and asked.time is not None:
                limit = asked.time.total_seconds() * attempt.time_scale
                self.duration_share.append(seconds / limit)
            if outcome.cpu_time is not None and seconds > 0:
                busy = outcome.cpu_time / seconds
                self.cpu.append(busy)
                if asked is not None:
                    self.cpu_share.append(busy / max(asked.cpus, 1))
        if outcome.peak_memory is not None:
            self.peak_memory.append(outcome.peak_memory)
            if asked is not None and asked.mem:
                self.memory_share.append(outcome.peak_memory / (asked.mem * attempt.mem_scale))


class Measures:
    """Takes in the tries of a run, in order of task, index and attempt."""

    def __init__(
        self,
        created: float,
        submitted: Mapping[int, float],
        asked: Mapping[str, Resources],
    ) -> None:
        """Keep when the run was created, when its waves were submitted, and what tasks ask for."""
        self.tasks: dict[str, TaskMeasures] = {}
        self.failures = Failures()
        self.attempts = 0
        self.impossible = 0
        """Tries whose times cannot be right, and were left out."""
        self.cpu_seconds = 0.0
        self.spans = Spans()
        self._created, self._submitted, self._asked = created, submitted, asked
        self._first: list[Attempt] = []
        self._failed: list[Attempt] = []
        self._longest: list[tuple[float, int, Attempt]] = []
        self._previous: Attempt | None = None

    def add(self, attempt: Attempt) -> None:
        """Take in a try."""
        self._end_of_previous(attempt)
        outcome = attempt.outcome
        self.attempts += 1
        self.cpu_seconds += outcome.cpu_time or 0.0
        task = self.tasks.get(outcome.task)
        if task is None:
            task = self.tasks[outcome.task] = TaskMeasures()
        waiting = self.waiting(attempt)
        if waiting is not None:
            task.waiting.append(waiting)
        if outcome.state is TaskState.SUCCESS:
            task.add(attempt, self._asked.get(outcome.task))
        seconds = 0.0
        if outcome.started_at is not None and outcome.ended_at is not None:
            seconds = outcome.ended_at - outcome.started_at
            start = outcome.started_at - self._created
            since = start if waiting is None else start - waiting
            self.spans.add(outcome.task, outcome.host, since, start, start + seconds)
        self._keep(attempt, seconds)

    def finish(self) -> None:
        """Take in that there are no more."""
        self._end_of_previous(None)

    def waiting(self, attempt: Attempt) -> float | None:
        """Return how long a try waited, in seconds; None where that is not known."""
        submitted = None if attempt.wave is None else self._submitted.get(attempt.wave)
        if submitted is None or attempt.outcome.started_at is None:
            return None
        # Clocks of two hosts may differ a little.
        return max(attempt.outcome.started_at - submitted, 0.0)

    @property
    def rows(self) -> list[Attempt]:
        """The tries to list: all of them or, where there are too many, the most telling."""
        if self.attempts <= MOST_ROWS:
            return self._first
        longest = [each for *_, each in sorted(self._longest, reverse=True)]
        return [*self._failed, *longest][:MOST_ROWS]

    def timeline(self, seconds: float) -> Timeline | None:
        """Return what ran when, on an axis of at least so many seconds; None for nothing."""
        bars = None
        if self.attempts <= MOST_ROWS:
            bars = tuple(sorted(self._bars(), key=lambda bar: (bar.start, bar.task, bar.index)))
        return self.spans.timeline(seconds, bars)

    def _bars(self) -> Iterator[Bar]:
        for attempt in self._first:
            outcome = attempt.outcome
            if outcome.started_at is not None and outcome.ended_at is not None:
                waiting = self.waiting(attempt)
                start = outcome.started_at - self._created
                yield Bar(
                    task=outcome.task,
                    index=outcome.index,
                    attempt=outcome.attempt,
                    state=str(outcome.state),
                    host=outcome.host,
                    submitted=None if waiting is None else start - waiting,
                    start=start,
                    end=max(outcome.ended_at - self._created, start),
                )

    def _keep(self, attempt: Attempt, seconds: float) -> None:
        """Keep a try for the list if it may have a place there."""
        if len(self._first) < MOST_ROWS:
            self._first.append(attempt)
        if attempt.outcome.state is not TaskState.SUCCESS and len(self._failed) < MOST_ROWS // 2:
            self._failed.append(attempt)
            return
        # No two have the same number, so that attempts themselves are never compared.
        entry = (seconds, -self.attempts, attempt)
        if len(self._longest) < MOST_ROWS:
            heappush(self._longest, entry)
        else:
            heappushpop(self._longest, entry)

    def _end_of_previous(self, attempt: Attempt | None) -> None:
        """Count the try before, now that it is known whether its element has another."""
        previous, self._previous = self._previous, attempt
        if previous is None or previous.outcome.state is not TaskState.FAILED:
            return
        outcome = previous.outcome
        is_last = attempt is None or (attempt.outcome.task, attempt.outcome.index) != (
            outcome.task,
            outcome.index,
        )
        self.failures.add(previous, is_last=is_last)
