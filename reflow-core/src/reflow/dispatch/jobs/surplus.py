"""Jobs of waves that the scheduler has accepted twice.

Where the answer to a submission is lost and the job cannot be found, the wave is submitted again.
The first job may show up later. Claims ensure that each element runs once, in whichever job begins
it first; what is left of the other ends by itself when it starts. It is not cancelled: an element
of it may begin in the same moment. This module finds such jobs, and keeps elements that ended
without a claim from beginning late.
"""

from __future__ import annotations

import os

from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.modes import mode_of
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.executors.contract import Executor
from reflow.rundir.claims import Claim, claim, current_claim, was_decided
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import HOST
from reflow.rundir.run_settings import RunSettings

_DISPATCHER = "dispatcher"


def close_off(layout: WaveLayout, number: int, way: str) -> bool:
    """Claim what no job is to take any more; return whether no job has taken it before."""
    ours = Claim(native_id=_DISPATCHER, incarnation="0", host=HOST, pid=os.getpid())
    return claim(layout, number, ours, way)


def is_closed_off(layout: WaveLayout, number: int) -> bool:
    """Tell whether a dispatcher has claimed something, this one or an earlier one."""
    known = current_claim(layout, number)
    return known is not None and known.native_id == _DISPATCHER


class Surplus:
    """The jobs that a run has in the queue although other jobs do its work."""

    def __init__(
        self, tracked: TrackedRun, settings: RunSettings, executor: Executor, hosts: Hosts
    ) -> None:
        self._tracked = tracked
        self._layout = settings.layout
        self._claims = settings.claims
        self._executor = executor
        self._hosts = hosts
        self._waves: set[int] = set()
        """Those that were submitted again."""

    def look(self) -> None:
        """Find duplicate jobs. Raises `SchedulerUnavailableError`."""
        if not mode_of(self._executor).answers_get_lost:
            return
        for wave in self._tracked.waves.values():
            mark = self._layout.wave(wave.record.number).submitted_again
            if wave.members and wave.record.native_ids and mark.exists():
                self._waves.add(wave.record.number)
                self._find(wave)

    def close_off(self, wave: TrackedWave, position: int) -> None:
        """Keep a position that has ended from beginning in a job that shows up late."""
        if wave.record.number in self._waves:
            spec = self._hosts.spec(wave)
            number = position if spec is None else spec.claim_of(position)
            close_off(self._layout.wave(wave.record.number), number, self._claims)

    def close_off_free(self, wave: TrackedWave, position: int) -> bool:
        """Keep a position that no host has taken from being taken; return False where one has.

        A host that died while it made its claim has not: none can take it any more.
        """
        spec = self._hosts.spec(wave)
        if spec is None:
            return True
        layout, number = self._layout.wave(wave.record.number), spec.claim_of(position)
        holder = current_claim(layout, number)
        if holder is not None:
            return holder.native_id == _DISPATCHER
        return was_decided(layout, number) or close_off(layout, number, self._claims)

    def _find(self, wave: TrackedWave) -> None:
        known = wave.record
        for handle in self._executor.find(known.token):
            known = self._tracked.add_native_id(known, handle.native_id)
        if known != wave.record:
            self._tracked.set_submission(known)
