"""A job that runs many elements of a wave: `... execution.pool.host RUN_DIR RUN_ID WAVE HOST`.

A host claims blocks of positions, its own share first and then whatever others have left, and runs
them in worker processes. It ends when no block is left. An element that kills its process, or has
more time or memory than it asked for, fails alone.

Where the job itself is to end, by a signal or because its time is nearly over, nothing new is
begun, and what runs is interrupted. The positions that are left have no result then, and the
dispatcher plans them again.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from reflow.errors import ExecutorError, NotFoundError
from reflow.execution.capture import write_all
from reflow.execution.completion import count_result, dispatch_now, start_dispatch
from reflow.execution.execute import RESULT_NOT_WRITTEN
from reflow.execution.outcomes import record_of_death
from reflow.execution.pool.protocol import Why
from reflow.execution.pool.temporary import Place
from reflow.execution.pool.usage import OutOfMemoryKills, has_more_memory
from reflow.execution.pool.workers import WorkerPool
from reflow.executors.processes import leave
from reflow.executors.seats import Seats, usable_gpus
from reflow.model.jobs import JobStatus
from reflow.permissions import FILE_MODE, make_folder
from reflow.rundir.claims import Claim, claim, own_claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.packs import (
    is_later,
    new_slots_file,
    note_long,
    other_slots_files,
    unclaimed_blocks,
)
from reflow.rundir.results import ResultReader, ResultRecord, SegmentWriter
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.wave_files import InputReader, WaveSpec

LOOK_EVERY = 2.0
"""Seconds between two looks for cancellations: each costs a file server four questions."""
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


class Host:
    """Runs what it can claim of one wave."""

    def __init__(
        self, settings: RunSettings, layout: WaveLayout, spec: WaveSpec, me: Claim
    ) -> None:
        """Prepare a host; its time begins to run now. Raises `OSError`."""
        assert spec.pack is not None
        self._settings = settings
        self._layout = layout
        self._spec = spec
        self._pack = spec.pack
        self._me = me
        self._began = time.monotonic()
        self._end = None if spec.pack.time is None else self._began + spec.pack.time
        make_folder(layout.hosts, within=layout.directory)
        self._slots = new_slots_file(layout, me)
        self._returns = bool(other_slots_files(layout, me, self._slots))
        self._known = self._results_before() if self._returns else frozenset()
        self._blocks: Iterator[int] = self._free_blocks()
        self._left: dict[int, set[int]] = {}
        """By claimed block, the positions whose results are not on the disk yet."""
        self._done = 0
        self._leaving = False
        self.counted_last = False
        """Whether this host has counted the last block of the wave."""
        self._told_long = False
        self._dispatcher: subprocess.Popen[bytes] | None = None
        """A process that takes a dispatch step while this host goes on."""
        self._kills = OutOfMemoryKills()
        self._writer = SegmentWriter(layout, me.file_name)
        self._inputs = InputReader(layout.inputs)
        at_once, resources = spec.pack.at_once, spec.resources
        self._temporary = Place()
        self._pool = WorkerPool(
            settings,
            at_once,
            Seats(at_once * resources.cpus, at_once * resources.gpus),
            usable_gpus(),
            os.open(self._slots, os.O_RDWR | os.O_CREAT, FILE_MODE),
            name=me.file_name,
            on_report=self._reported,
            environment=self._temporary.environment,
        )

    def run(self) -> None:
        """Take blocks and run them until none is left. Raises `OSError` and `ExecutorError`."""
        next_look = self._began
        while self._fill() or self._unfinished:
            self._pool.wait(WATCH_EVERY)
            self._end_what_has_too_much()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_EVERY
                self._look()
            if self._leaving:
                self._pool.drop_waiting()
                self._pool.tell([at for at, _ in self._pool.running()], Why.LEAVING, LEAVE_WITHIN)
            self._record_deaths()
            if self._leaving and not any(self._pool.running()):
                break

    def leave(self) -> None:
        """Begin nothing more, and have what runs interrupted."""
        self._leaving = True

    def close(self) -> None:
        """End the worker processes, and wait for a dispatch step that was begun."""
        self._pool.close()
        self._writer.close()
        self._inputs.close()
        self._temporary.remove()
        if self._dispatcher is not None:
            self._dispatcher.wait()

    # -- blocks ----------------------------------------------------------------------------
    @property
    def _unfinished(self) -> int:
        wave = self._pool.waves.get(self._spec.number)
        return wave.unfinished if wave else 0

    def _fill(self) -> bool:
        """Claim blocks until the workers have enough to do; return whether there was one."""
        filled = False
        while not self._leaving and self._unfinished < self._wanted and self._has_time():
            block = next(self._blocks, None)
            if block is None:
                break
            filled = True
            left = set(self._pack.positions(block, self._spec.size)) - self._known
            self._left[block] = left
            self._pool.add(self._spec.number, sorted(left), self._spec.resources)
            self._count_if_done(block)
        return filled

    @property
    def _wanted(self) -> int:
        """How many positions the workers should have before them."""
        return self._pack.at_once * (2 if self._done and self._seconds_each < SHORT else 1)

    @property
    def _seconds_each(self) -> float:
        """How long an element takes, or longer while the first ones run."""
        at_once = self._pack.at_once
        return (time.monotonic() - self._began) * at_once / max(at_once, self._done)

    def _has_time(self) -> bool:
        """Tell whether an element that is begun now has all its time. The first one always has."""
        if self._end is None or not self._left:
            return True
        need = self._spec.resources.time
        seconds = LEAVE_BEFORE if need is None else need.total_seconds() + MARGIN
        return self._end - time.monotonic() > seconds

    def _free_blocks(self) -> Iterator[int]:
        """Claim and yield blocks: the host's own share, then what others have not claimed."""
        own = self._pack.share(self._me.element or 0, self._spec.size)
        for block in own:
            if self._claim(block):
                yield block
        taken = True
        while taken and (others := self._others(own)):
            taken = False
            # Hosts that look for more begin at different places, so that they seldom meet.
            start = random.randrange(len(others))  # noqa: S311
            for block in (*others[start:], *others[:start]):
                if self._leaving:
                    return
                if (self._returns or not self._layout.has_claim(block)) and self._claim(block):
                    taken = not self._returns
                    yield block

    def _others(self, own: range) -> list[int]:
        """Return blocks outside of a host's share that nobody has claimed, by one listing.

        A job that was started again may have claimed some of the others itself.
        """
        if self._returns:
            return [item for item in range(self._spec.claims) if item not in own]
        return unclaimed_blocks(self._layout, self._spec.claims)

    def _claim(self, block: int) -> bool:
        """Claim a block; return False where it is another's, or nothing may begin any more.

        A dispatcher that calls the wave off looks at the claims after that.
        """
        mine = claim(self._layout, block, self._me, self._settings.claims)
        return mine and not self._layout.called_off.exists()

    def _results_before(self) -> frozenset[int]:
        """Return the positions that have a result, of this job's earlier incarnations too.

        What was interrupted when the job was put back into the queue has none: it is this one's.
        """
        there = ResultReader(self._layout).new()
        return frozenset(record.position for record in there if not record.interrupted)

    # -- results ---------------------------------------------------------------------------
    def _reported(self, wave: int, position: int) -> None:
        """Note that a position's result is on the disk."""
        block = self._pack.block_of(position)
        self._done += 1
        self._left[block].discard(position)
        self._count_if_done(block)

    def _count_if_done(self, block: int) -> None:
        if not self._left[block]:
            counts = self._spec.notify and count_result(self._layout, block, self._spec.claims)
            self.counted_last |= counts

    def _record_deaths(self) -> None:
        """Write the results of elements whose worker has died."""
        wave = self._pool.waves.get(self._spec.number)
        if wave is None or not wave.over:
            return
        for position, status in wave.over.items():
            self._writer.append(self._death(position, status))
        self._writer.flush()
        for position in wave.over:
            self._temporary.remove(position)
            self._reported(self._spec.number, position)
        wave.over.clear()

    def _death(self, position: int, status: JobStatus) -> ResultRecord:
        record = self._inputs.read(position)
        log = self._settings.layout.log(self._spec.task, record.index, record.attempt)
        return record_of_death(
            self._spec.task,
            position,
            record,
            self._kills.explain(status),
            native_id=self._me.native_id,
            log=str(log.relative_to(self._settings.run_dir)) if log.exists() else "",
            interrupted=self._leaving,
        )

    # -- ends ------------------------------------------------------------------------------
    def _end_what_has_too_much(self) -> None:
        """End elements that have more time or memory than they asked for."""
        if not self._pack.limited:
            return
        now, resources = time.time(), self._spec.resources
        for at, begun in self._pool.running():
            if resources.time is not None and now - begun > resources.time.total_seconds():
                self._pool.tell([at], Why.WALLTIME)
        if resources.mem is None:
            return
        for pid, at in self._pool.workers_at():
            if has_more_memory(pid, OVER_MEMORY * resources.mem):
                self._pool.tell([at], Why.MEMORY, within=0.0)

    def _has_successor(self) -> bool:
        """Tell whether the scheduler has started this job once more, while this one still runs."""
        others = other_slots_files(self._layout, self._me, self._slots)
        return any(is_later(other, self._slots) for other in others)

    def _look(self) -> None:
        """Find out whether there is a reason to end the job, or elements of it."""
        layout = self._layout
        if layout.called_off.exists():
            # What was claimed is this host's to end; a successor of the dispatcher counts on it.
            self._blocks = iter(())
        cancelled = self._settings.layout.cancelled.exists()
        nearly_over = self._end is not None and self._end - time.monotonic() < LEAVE_BEFORE
        if cancelled or nearly_over or self._has_successor():
            self.leave()
        self._tell_if_long()

    def _tell_if_long(self) -> None:
        """Have elements that no host has begun get jobs of their own, where these take long."""
        limit = self._pack.long_after
        if limit is None or self._told_long or self._leaving or self._seconds_each < limit:
            return
        self._told_long = True
        waiting = unclaimed_blocks(self._layout, self._spec.claims)
        if waiting and note_long(self._layout) and self._spec.notify:
            self._dispatcher = start_dispatch(self._settings)


def main(arguments: list[str]) -> int:
    """Run one host of one wave."""
    run_dir, run_id, number, element = arguments
    try:
        settings = read_settings(Path(run_dir), run_id)
        layout = settings.layout.wave(int(number))
        if settings.layout.cancelled.exists() or layout.called_off.exists():
            return 0
        host = Host(settings, layout, WaveSpec.read(layout), own_claim(int(element)))
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(each, lambda number, frame: host.leave())
        try:
            host.run()
        finally:
            host.close()
    except (OSError, NotFoundError) as error:
        write_all(2, f"reflow: the run directory cannot be used: {error}\n")
        return RESULT_NOT_WRITTEN
    except ExecutorError as error:
        write_all(2, f"reflow: {error}\n")
        return 1
    if host.counted_last:
        dispatch_now(settings)
    return 0


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
