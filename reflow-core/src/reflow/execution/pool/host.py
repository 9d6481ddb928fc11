"""A job that runs many elements of a wave: `... execution.pool.host RUN_DIR RUN_ID WAVE HOST`.

A host claims blocks of positions, its own share first and then whatever others have left, and runs
them in worker processes. It ends when no block is left. An element that kills its process, or has
more time or memory than it asked for, fails alone.

Where the job itself is to end, by a signal or because its time is nearly over, nothing new is
begun, and what runs is interrupted. The positions that are left have no result then, and the
dispatcher plans them again.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from reflow.execution.completion import dispatch_now, start_dispatch
from reflow.execution.pool.host_pool import HostPool
from reflow.execution.pool.job import exit_status, run_to_end
from reflow.execution.pool.served_wave import ServedWave
from reflow.executors.processes import leave
from reflow.executors.seats import Seats
from reflow.permissions import make_folder
from reflow.rundir.claims import Claim, own_claim
from reflow.rundir.packs import has_successor, new_slots_file, other_slots_files
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.wave_files import WaveSpec

LOOK_EVERY = 2.0
"""Seconds between two looks for cancellations: each costs a file server four questions."""


class Host:
    """Runs what it can claim of one wave."""

    def __init__(self, settings: RunSettings, spec: WaveSpec, me: Claim) -> None:
        """Prepare a host; its time begins to run now. Raises `OSError`."""
        assert spec.pack is not None
        layout = settings.layout.wave(spec.number)
        self._settings = settings
        self._layout = layout
        self._me = me
        self._began = time.monotonic()
        make_folder(layout.hosts, within=layout.directory)
        self._slots = new_slots_file(layout.hosts, me)
        returns = bool(other_slots_files(layout.hosts, me, self._slots))
        self._wave = ServedWave(settings, spec, me, returns=returns)
        self._dispatcher: subprocess.Popen[bytes] | None = None
        """A process that takes a dispatch step while this host goes on."""
        at_once, resources = spec.pack.at_once, spec.resources
        self._at_once = at_once
        self._pool = HostPool(
            settings,
            me,
            self._slots,
            at_once,
            Seats(at_once * resources.cpus, at_once * resources.gpus),
            None if spec.pack.time is None else self._began + spec.pack.time,
        )
        self._pool.serve(self._wave)

    @property
    def counted_last(self) -> bool:
        """Whether this host has counted the last block of the wave."""
        return self._wave.counted_last

    def run(self) -> None:
        """Take blocks and run them until none is left. Raises `OSError` and `ExecutorError`."""
        next_look = self._began
        while self._pool.turn():
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_EVERY
                self._look()

    def leave(self) -> None:
        """Begin nothing more, and have what runs interrupted."""
        self._pool.leaving = True

    def note_going_on(self) -> None:
        """Note that the job was suspended, and goes on."""
        self._pool.note_going_on()

    def close(self) -> None:
        """End the worker processes, and wait for a dispatch step that was begun."""
        self._pool.close()
        if self._dispatcher is not None:
            self._dispatcher.wait()

    def _look(self) -> None:
        """Find out whether there is a reason to end the job, or elements of it."""
        if self._layout.called_off.exists():
            # What was claimed is this host's to end; a successor of the dispatcher counts on it.
            self._wave.take_no_more()
        cancelled = self._settings.layout.cancelled.exists()
        again = has_successor(self._layout.hosts, self._me, self._slots)
        if cancelled or self._pool.is_nearly_over() or again:
            self.leave()
        if not self._pool.leaving and self._wave.note_if_long(self._at_once):
            # Those that no host has begun are to get jobs of their own.
            self._dispatcher = start_dispatch(self._settings)


def main(arguments: list[str]) -> int:
    """Run one host of one wave."""
    run_dir, run_id, number, element = arguments

    def work() -> None:
        settings = read_settings(Path(run_dir), run_id)
        layout = settings.layout.wave(int(number))
        if settings.layout.cancelled.exists() or layout.called_off.exists():
            return
        host = Host(settings, WaveSpec.read(layout), own_claim(int(element)))
        run_to_end(host)
        if host.counted_last:
            dispatch_now(settings)

    return exit_status(work)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
