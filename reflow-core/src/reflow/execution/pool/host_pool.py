"""The workers of a host, and the waves whose elements they run.

A host runs as many elements at once as it has CPUs, memory and GPUs for. It claims no more than
its workers can begin soon: what it holds, no other host can run.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from reflow.execution.pool.protocol import Why
from reflow.execution.pool.served_wave import ServedWave
from reflow.execution.pool.stopped import StoppedTime
from reflow.execution.pool.temporary import Place
from reflow.execution.pool.usage import OutOfMemoryKills, has_more_memory
from reflow.execution.pool.workers import WorkerPool
from reflow.executors.seats import Seats, usable_gpus
from reflow.model.resources import Resources
from reflow.permissions import FILE_MODE
from reflow.rundir.claims import Claim
from reflow.rundir.run_settings import RunSettings

WATCH_EVERY = 0.5
"""Seconds between two looks at what elements have used."""
LEAVE_BEFORE = 30.0
"""Seconds before the end of the job's time at which elements that still run are interrupted."""
MARGIN = 30.0
"""Seconds that must be left beside an element's own time for it to be begun."""
LEAVE_WITHIN = 3.0
"""Seconds that elements have to end when the job does: less than what a scheduler gives the job."""
SHORT = 1.0
"""Seconds; where elements take less, the next block is claimed before the last one is done."""
OVER_MEMORY = 1.1
"""The part of its memory that an element may have before it is ended."""


class HostPool:
    """Runs blocks of waves in worker processes, for as long as the host's job may go on."""

    def __init__(
        self,
        settings: RunSettings,
        me: Claim,
        slots: Path,
        size: int,
        seats: Seats,
        end: float | None,
    ) -> None:
        """Prepare up to `size` workers; `end` is when the job's time is over (monotonic)."""
        self._seats = seats
        self._size = size
        self._end = end
        self.waves: dict[int, ServedWave] = {}
        self.leaving = False
        self._kills = OutOfMemoryKills()
        self._stopped = StoppedTime()
        self._temporary = Place()
        self.blocks_taken = 0
        self.workers = WorkerPool(
            settings,
            size,
            seats,
            usable_gpus(),
            os.open(slots, os.O_RDWR | os.O_CREAT, FILE_MODE),
            name=me.file_name,
            on_report=lambda wave, position: self.waves[wave].reported(position),
            environment=self._temporary.environment,
        )

    def serve(self, wave: ServedWave) -> None:
        """Take blocks of a wave from now on, after those of the waves before it."""
        self.waves[wave.spec.number] = wave

    def turn(self) -> bool:
        """Claim what the workers have room for, and wait for results; False once nothing is left.

        Raises `OSError` and `ExecutorError`.
        """
        filled = self._fill()
        if self.leaving:
            self.workers.drop_waiting()
            self.workers.tell([at for at, _ in self.workers.running()], Why.LEAVING, LEAVE_WITHIN)
        busy = filled or self._unfinished > 0
        if busy:
            self.workers.wait(WATCH_EVERY)
            self._end_what_has_too_much()
        self._record_deaths()
        return busy and (not self.leaving or any(self.workers.running()))

    def note_going_on(self) -> None:
        """Note that this process was stopped, with all of its job, and goes on."""
        self._stopped.note_going_on()

    @property
    def is_full(self) -> bool:
        """Whether the workers have enough before them, so that nothing more is to be claimed."""
        return self._load >= 1

    def cancel(self, number: int) -> None:
        """Begin nothing more of a wave, and end what runs of it."""
        self.waves[number].take_no_more()
        known = self.workers.waves.get(number)
        if known is not None:
            self.workers.drop(number, list(known.backlog) + list(known.out))
            chosen = [at for at, _ in self.workers.running() if at[0] == number]
            self.workers.tell(chosen, Why.CANCELLED)

    def forget(self, number: int) -> None:
        """Forget a wave of which nothing is left to do here."""
        self.waves.pop(number).close()
        self.workers.forget(number)

    def at_once(self, resources: Resources) -> int:
        """Return how many elements run at once where they are all of one kind."""
        return min(self._size, self._seats.room(resources, ()))

    def is_nearly_over(self) -> bool:
        """Tell whether the job's time is over in a moment."""
        return self._end is not None and self._end - time.monotonic() < LEAVE_BEFORE

    def has_time(self, wave: ServedWave) -> bool:
        """Tell whether an element that is begun now has all its time. The first one always has.

        Where jobs have less time than any of them asks for, each is given what is left.
        """
        if self._end is None or not self.blocks_taken:
            return True
        need = wave.spec.resources.time
        seconds = LEAVE_BEFORE
        if need is not None and not wave.pack.is_too_short_for(need):
            seconds = need.total_seconds() + MARGIN
        return self._end - time.monotonic() > seconds

    def close(self) -> None:
        """End the worker processes."""
        self.workers.close()
        for wave in self.waves.values():
            wave.close()
        self._temporary.remove()

    # -- blocks ----------------------------------------------------------------------------
    @property
    def _unfinished(self) -> int:
        return sum(map(self.unfinished, self.waves.values()))

    def unfinished(self, wave: ServedWave) -> int:
        """Return how many positions of a wave the workers have still to report."""
        known = self.workers.waves.get(wave.spec.number)
        return known.unfinished if known else 0

    def _fill(self) -> bool:
        """Claim blocks until the workers have enough to do; return whether there was one."""
        filled = False
        for wave in list(self.waves.values()):
            while not self.leaving and self._has_room(wave) and self.has_time(wave):
                positions = wave.take() if wave.may_add(self.unfinished(wave)) else None
                if positions is None:
                    break
                filled = True
                self.blocks_taken += 1
                number, resources = wave.spec.number, wave.spec.resources
                self.workers.add(number, positions, resources, wave.at_most)
        return filled

    def _has_room(self, wave: ServedWave) -> bool:
        """Tell whether the workers have less before them than they can begin soon."""
        at_once = self.at_once(wave.spec.resources)
        return self._load < (2 if wave.done and wave.seconds_each(at_once) < SHORT else 1)

    @property
    def _load(self) -> float:
        """How often what is unfinished fills all seats."""
        return sum(
            self.unfinished(each) / self.at_once(each.spec.resources)
            for each in self.waves.values()
        )

    # -- ends ------------------------------------------------------------------------------
    def _end_what_has_too_much(self) -> None:
        """End elements that have more time or memory than they asked for."""
        now = time.time()
        processes = {at: pid for pid, at in self.workers.workers_at()}
        timed = [
            (processes[at], at, begun)
            for at, begun in self.workers.running()
            if at in processes and self._time_limit(at[0]) is not None
        ]
        stopped = self._stopped.look(timed)
        for _, at, begun in timed:
            limit = self._time_limit(at[0])
            if limit is not None and now - begun - stopped[at] > limit:
                self.workers.tell([at], Why.WALLTIME)
        for pid, at in self.workers.workers_at():
            wave = self.waves[at[0]]
            memory = wave.spec.resources.mem
            if wave.pack.limited and memory and has_more_memory(pid, OVER_MEMORY * memory):
                self.workers.tell([at], Why.MEMORY, within=0.0)

    def _time_limit(self, number: int) -> float | None:
        """Return the seconds after which an element of a wave is ended; None for no such limit."""
        wave = self.waves[number]
        limit = wave.spec.resources.time
        return limit.total_seconds() if wave.pack.limited and limit is not None else None

    def _record_deaths(self) -> None:
        """Write the results of elements whose worker has died."""
        for number, wave in self.workers.waves.items():
            served = self.waves[number]
            for position, status in wave.over.items():
                explained = self._kills.explain(status)
                served.record_death(position, explained, interrupted=self.leaving)
                served.reported(position)
            wave.over.clear()
