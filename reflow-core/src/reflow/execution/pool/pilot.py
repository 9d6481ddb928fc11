"""A job that runs elements of all waves of a run: `... execution.pool.pilot RUN_DIR RUN_ID N JOB`.

N is the number under which the pilots were submitted, and JOB which of them this is. A pilot takes
elements of every wave that is open to pilots and waits for the next wave while the run goes on. The
pilot that finishes a wave has a dispatch step taken, in a process that stays, and is told through a
pipe when the next wave is open; the others see it at their next look. A pilot ends with the run,
with its job's time, or when it has had nothing to do for long. What it leaves runs elsewhere.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from reflow.execution.pool.capacity import Capacity, capacity_of
from reflow.execution.pool.dispatch_process import DispatchProcess
from reflow.execution.pool.host_pool import HostPool
from reflow.execution.pool.job import exit_status, run_to_end
from reflow.execution.pool.open_waves import OpenWaves
from reflow.execution.pool.pilot_files import (
    HEARTBEAT_EVERY,
    mark_ended,
    mark_gone,
    mark_left,
    silent_pilots,
)
from reflow.execution.pool.served_wave import ServedWave
from reflow.executors.processes import leave
from reflow.executors.seats import Seats
from reflow.permissions import make_folder, touch
from reflow.rundir.claims import Claim, own_claim
from reflow.rundir.packs import has_successor, is_later, new_slots_file, other_slots_files
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.wave_files import WaveSpec

LOOK_EVERY = 0.7
"""Seconds between two looks at what is open, of a pilot that has room: with all else, a file server
is asked less than twice a second by each."""
LOOK_AT_FLAGS_EVERY = 5.0
"""Seconds between two looks for cancellations."""
FIRST_ASK, LONGEST_ASK = 30.0, 300.0
"""Seconds without work, while waves are open, after which a pilot has a dispatch step taken: others
that had the work may have died."""
LAST_STEP_WITHIN = 20.0
"""Seconds that the step which a pilot has taken before it ends may last."""


class Pilot:
    """Runs what it can claim of all waves of a run."""

    def __init__(self, settings: RunSettings, me: Claim, submission: int, job: int) -> None:
        """Prepare a pilot; its time begins to run now. Raises `OSError`."""
        assert settings.pilots is not None
        self._settings = settings
        self._layout = settings.layout
        self._me = me
        self._submission = submission
        self._idle_limit = settings.pilots.idle.total_seconds()
        began = time.monotonic()
        make_folder(self._layout.hosts, within=self._layout.root)
        self._slots = new_slots_file(self._layout.hosts, me, submission, job)
        for other in other_slots_files(self._layout.hosts, me, self._slots):
            # This job was started once more: what its earlier self had runs elsewhere, or here.
            if not is_later(other, self._slots):
                mark_gone(other)
        self._capacity: Capacity = capacity_of(settings.pilots)
        given = settings.pilots.time
        self._pool = HostPool(
            settings,
            me,
            self._slots,
            self._capacity.cpus,
            Seats(self._capacity.cpus, self._capacity.gpus, self._capacity.mem),
            None if given is None else began + given.total_seconds(),
        )
        self._open = OpenWaves(self._layout.open_waves)
        self._seen: set[int] = set()
        """Waves that were looked at: taken up, or left alone."""
        self._ended: set[int] = set()
        """Cancelled waves of which nothing is left here."""
        self._dispatcher = DispatchProcess(settings)
        self._next_look = self._next_flags = began
        self._next_heartbeat = began + HEARTBEAT_EVERY
        self._idle_since: float | None = began
        self._ask_after = FIRST_ASK
        self._next_ask = began + FIRST_ASK
        self._taken = 0
        """How many blocks had been taken at the last round."""
        self._missed: set[Path] = set()
        """Pilots of whose silence this one has told."""
        self._has_worked = self._has_ended_well = False

    def run(self) -> None:
        """Take blocks and run them until there is a reason to end.

        Raises `OSError` and `ExecutorError`.
        """
        while True:
            self._look()
            self._pool.workers.wake_on(self._dispatcher.answers)
            busy = self._pool.turn()
            self._finish_waves()
            answered = self._dispatcher.has_answered()
            if answered:
                self._next_look = 0.0
            elif self._dispatcher.is_due:
                self._dispatcher.ask()
            self._ask_now_and_then()
            if busy:
                self._idle_since = None
            elif answered and not self._pool.leaving:
                continue
            elif self._pool.leaving or self._has_waited():
                self._has_ended_well = True
                return
            else:
                self._pool.workers.wait(LOOK_EVERY)

    def leave(self) -> None:
        """Begin nothing more, and have what runs interrupted."""
        self._pool.leaving = True

    def note_going_on(self) -> None:
        """Note that the job was suspended, and goes on."""
        self._pool.note_going_on()

    def close(self) -> None:
        """End the workers, tell how this pilot has ended, and see that the run goes on."""
        self._pool.close()
        (mark_left if self._has_ended_well else mark_gone)(self._slots)
        if self._open.numbers and not self._open.run_has_ended:
            # Others are to take up what this pilot has left, or to be submitted for that.
            self._dispatcher.ask()
        self._dispatcher.wait(LAST_STEP_WITHIN)
        if self._dispatcher.is_lost:
            # The signal that ends this job may have ended it first.
            self._dispatcher.ask()
            self._dispatcher.wait(LAST_STEP_WITHIN)
        self._dispatcher.close(LAST_STEP_WITHIN)

    # -- waves -----------------------------------------------------------------------------
    def _finish_waves(self) -> None:
        """Forget waves of which nothing is left here; have a step taken where one is over."""
        for number, wave in list(self._pool.waves.items()):
            if wave.done and not self._has_worked:
                self._has_worked = True
                touch(self._layout.pilots_worked(self._submission))
            if wave.counted_last:
                self._dispatcher.ask()
            over = wave.exhausted or number not in self._open.numbers
            if wave.counted_last or (over and not self._pool.unfinished(wave)):
                self._pool.forget(number)

    def _take_up(self) -> None:
        # The number of waves that are open is small.
        for number in [each for each in self._open.numbers if each not in self._seen]:
            layout = self._layout.wave(number)
            if not layout.called_off.exists():
                spec = WaveSpec.read(layout)
                if self._capacity.holds(spec.resources):
                    self._pool.serve(ServedWave(self._settings, spec, self._me))
                else:
                    touch(layout.too_large)
                    self._dispatcher.ask()
            self._seen.add(number)

    def _end_cancelled(self) -> None:
        """End what is here of cancelled waves, and tell of those of which nothing is left.

        No attempt of their elements is repeated before all pilots have told.
        """
        for number in self._open.cancelled - self._ended:
            self._seen.add(number)
            wave = self._pool.waves.get(number)
            if wave is not None:
                self._pool.cancel(number)
                if self._pool.unfinished(wave):
                    continue
            mark_ended(self._slots, number)
            self._ended.add(number)
            if wave is not None:
                self._dispatcher.ask()

    # -- looks -----------------------------------------------------------------------------
    def _look(self) -> None:
        now = time.monotonic()
        has_room = now >= self._next_look and not self._pool.is_full
        if has_room or now >= self._next_flags:
            self._open.look()
        self._end_cancelled()
        if has_room:
            self._next_look = now + LOOK_EVERY
            self._take_up()
        if now >= self._next_flags:
            self._next_flags = now + LOOK_AT_FLAGS_EVERY
            self._look_at_flags()
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + HEARTBEAT_EVERY
            os.utime(self._slots)
            self._look_for_silent()

    def _look_at_flags(self) -> None:
        """Find out whether there is a reason to end the job, or elements of it."""
        for wave in self._pool.waves.values():
            if wave.layout.called_off.exists():
                wave.take_no_more()
        if (
            self._open.run_has_ended
            or self._layout.cancelled.exists()
            or self._pool.is_nearly_over()
            or has_successor(self._layout.hosts, self._me, self._slots)
        ):
            self.leave()

    def _look_for_silent(self) -> None:
        """Have a step taken where another pilot gives no sign of life, once for each."""
        silent = silent_pilots(self._layout.hosts, self._slots) - self._missed
        if silent and self._open.numbers:
            self._missed |= silent
            self._dispatcher.ask()

    def _ask_now_and_then(self) -> None:
        """Have a step taken where waves are open of which this pilot finds nothing to take."""
        now = time.monotonic()
        taken, self._taken = self._taken, self._pool.blocks_taken
        if self._pool.is_full or not self._open.numbers or taken != self._taken:
            self._ask_after, self._next_ask = FIRST_ASK, now + FIRST_ASK
        elif now >= self._next_ask:
            self._dispatcher.ask()
            self._ask_after = min(LONGEST_ASK, 2 * self._ask_after)
            self._next_ask = now + self._ask_after

    def _has_waited(self) -> bool:
        """Tell whether it is of no use to wait longer."""
        now = time.monotonic()
        self._idle_since = self._idle_since or now
        waits_in_vain = now - self._idle_since > self._idle_limit
        return self._open.run_has_ended or waits_in_vain or self._is_late()

    def _is_late(self) -> bool:
        """Tell whether there is something to take for which the job has no time left."""
        return any(
            not self._pool.has_time(wave) and wave.has_unclaimed()
            for wave in self._pool.waves.values()
        )


def main(arguments: list[str]) -> int:
    """Run one pilot of a run."""
    run_dir, run_id, submission, job = arguments

    def work() -> None:
        settings = read_settings(Path(run_dir), run_id)
        if not (settings.layout.cancelled.exists() or settings.layout.ended.exists()):
            run_to_end(Pilot(settings, own_claim(int(job)), int(submission), int(job)))

    return exit_status(work)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
