"""A pool that runs nothing, and a clock that goes on only when told, for tests of hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator

from reflow.execution.pool.protocol import Why
from reflow.execution.pool.workers import PoolWave
from reflow.model.jobs import JobStatus
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState

At = tuple[int, int]


class Clock:
    """A clock that goes on only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class ScriptedPool:
    """Says of all it was given that it is done, after `seconds` for each round."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.waves: dict[int, PoolWave] = {}
        self.added: list[list[At]] = []
        """By round, what was added."""
        self.told: list[tuple[At, Why]] = []
        self.dropped: list[At] = []
        self.at: dict[At, float] = {}
        """What runs, and when it was begun."""
        self.before_round: Callable[[int], None] = lambda number: None
        self.deaf = False
        """Whether what is told to end does not."""
        self.on_report: Callable[[int, int], None]
        self.slots: int
        self.wakes_on: int | None = None
        self._new: list[At] = []

    def add(
        self,
        number: int,
        positions: Iterable[int],
        resources: Resources,
        throttle: int | None = None,
    ) -> None:
        wave = self.waves.setdefault(number, PoolWave(number, resources, throttle))
        wave.throttle = throttle
        for position in positions:
            wave.out.add(position)
            self.at[number, position] = self.clock.now
            self._new.append((number, position))

    def wait(self, timeout: float) -> None:
        self.added.append(self._new)
        self._new = []
        self.before_round(len(self.added))
        self.clock.now += self.seconds if self.at else timeout
        for wave in list(self.waves.values()):
            for position in [] if self.deaf else sorted(wave.out):
                self.report(wave, position)

    def report(self, wave: PoolWave, position: int) -> None:
        wave.out.discard(position)
        self.at.pop((wave.number, position), None)
        self.on_report(wave.number, position)

    def running(self) -> Iterator[tuple[At, float]]:
        return iter(list(self.at.items()))

    def workers_at(self) -> Iterator[tuple[int, At]]:
        return iter([(at[1], at) for at in self.at])

    def tell(self, chosen: Container[At], why: Why, within: float = 5.0) -> None:
        for at in [each for each in self.at if each in chosen]:
            self.told.append((at, why))
            number, position = at
            wave = self.waves[number]
            wave.out.discard(position)
            del self.at[at]
            wave.over[position] = JobStatus(
                native_id="1", state=JobState.FAILED, cause=FailureCause.PREEMPTED
            )

    def forget(self, number: int) -> None:
        self.waves.pop(number, None)

    def wake_on(self, descriptor: int | None) -> None:
        self.wakes_on = descriptor

    def drop(self, number: int, positions: Iterable[int]) -> None:
        self.dropped.extend((number, position) for position in positions)

    def drop_waiting(self) -> None:
        for wave in self.waves.values():
            wave.backlog.clear()

    def close(self) -> None:
        os.close(self.slots)
