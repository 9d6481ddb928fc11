"""Jobs of waves that the scheduler has accepted twice.

Where the answer to a submission is lost and the job cannot be found, the wave is submitted again.
The first job may show up later. Claims ensure that each element runs once; this module cancels the
jobs that only take places in the queue, and keeps elements that ended without a claim from
beginning late.
"""

from __future__ import annotations

import os

from reflow.dispatch.changes import handles_of
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.executors.contract import Executor
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.states import JobState
from reflow.permissions import open_file
from reflow.rundir.claims import Claim, claim, current_claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import HOST
from reflow.rundir.run_settings import RunSettings


class Surplus:
    """The jobs that a run has in the queue although other jobs do its work."""

    def __init__(self, image: TrackedRun, settings: RunSettings, executor: Executor) -> None:
        self._image = image
        self._layout = settings.layout
        self._claims = settings.claims
        self._executor = executor
        self._waves: set[int] = set()
        """Those that were submitted again."""
        self._cancelled: set[str] = set()

    def look(self) -> None:
        """Find and cancel duplicate jobs. Raises `SchedulerUnavailableError`."""
        if self._executor.capabilities.volatile:
            return
        for wave in self._image.waves.values():
            mark = self._layout.wave(wave.record.number).submitted_again
            if wave.members and wave.record.native_ids and mark.exists():
                self._waves.add(wave.record.number)
                self._cancelled.update(mark.read_text().split())
                self._find(wave)
                self._cancel(wave)

    def says_nothing(self, status: JobStatus) -> bool:
        """Tell whether a job was cancelled here, which is not the end of its elements."""
        return status.state is JobState.CANCELLED and status.native_id in self._cancelled

    def close_off(self, wave: TrackedWave, position: int) -> None:
        """Keep a position that has ended from beginning in a job that shows up late."""
        if wave.record.number in self._waves:
            ours = Claim(native_id="dispatcher", incarnation="0", host=HOST, pid=os.getpid())
            claim(self._layout.wave(wave.record.number), position, ours, self._claims)

    def _find(self, wave: TrackedWave) -> None:
        known = wave.record
        for handle in self._executor.find(known.token):
            known = self._image.add_native_id(known, handle.native_id)
        if known != wave.record:
            self._image.set_submission(known)

    def _cancel(self, wave: TrackedWave) -> None:
        """Cancel jobs that have not begun, except the one that is known longest."""
        _, *others = handles_of(self._layout, [wave.record])
        surplus = [handle for handle in others if handle.native_id not in self._cancelled]
        if not surplus:
            return
        layout = self._layout.wave(wave.record.number)
        waiting = [item for item in wave.members if current_claim(layout, item) is None]
        for handle in surplus:
            self._note(layout, handle)
            if len(waiting) == (handle.size or 1):
                self._executor.cancel([handle])
            else:
                self._executor.cancel_positions(handle, waiting)

    def _note(self, layout: WaveLayout, handle: JobHandle) -> None:
        with open_file(layout.submitted_again, "a") as file:
            file.write(f"{handle.native_id}\n")
        self._cancelled.add(handle.native_id)
