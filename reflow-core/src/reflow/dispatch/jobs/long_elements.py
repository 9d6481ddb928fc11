"""Elements of unknown duration that turn out to be long.

Where it is not known how long elements take, they share few jobs. Each that is long then waits for
those before it in its job, though it could run in one of its own. A host that finds its elements
long says so by a file in the wave's folder, and has a dispatch step taken. That step claims what no
host has, so that none takes it any more, and lets it wait to be submitted anew: as many jobs are
asked for this time as long elements are worth.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.jobs.packing import LONG
from reflow.dispatch.jobs.surplus import close_off, is_closed_off
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.execution.completion import count_result
from reflow.model.durations import Durations
from reflow.model.records import Instance
from reflow.rundir.packs import unclaimed_blocks
from reflow.rundir.run_settings import RunSettings

log = logging.getLogger("reflow.dispatch")


def durations_of(tracked: TrackedRun, settings: RunSettings, task: str) -> Durations | None:
    """Return how long a task's elements take, by the store and by what hosts have found."""
    known = tracked.store.durations(settings.workflow, task)
    waves = (wave.record for wave in tracked.waves.values())
    if not any(
        record.task == task and settings.layout.wave(record.number).long.exists()
        for record in waves
    ):
        return known
    return Durations(LONG, LONG) if known is None or known.mean < LONG else known


class LongElements:
    """Gives jobs of their own to elements that wait behind long ones."""

    def __init__(
        self,
        tracked: TrackedRun,
        settings: RunSettings,
        hosts: Hosts,
        requeue: Callable[[Instance], None],
    ) -> None:
        """Take `requeue`, which makes an instance wait to be submitted again."""
        self._tracked = tracked
        self._settings = settings
        self._hosts = hosts
        self._requeue = requeue
        self._done: set[int] = set()
        """Waves of which all that no host has was given back."""

    def give_back(self) -> bool:
        """Take from hosts what they have not begun of long elements; return whether there was any.

        What an earlier dispatcher has claimed and could not record is given back, too.
        """
        moved = False
        for number, wave in list(self._tracked.waves.items()):
            if number in self._done or number in self._tracked.cancelling or not wave.members:
                continue
            spec = self._hosts.spec(wave)
            if spec is None or spec.pack is None or spec.pack.long_after is None:
                self._done.add(number)
            elif self._settings.layout.wave(number).long.exists():
                try:
                    moved |= self.give_back_unclaimed(wave)
                except OSError as error:
                    log.warning("could not give %s jobs of their own: %s", spec.task, error)
                self._done.add(number)
        return moved

    def give_back_unclaimed(self, wave: TrackedWave) -> bool:
        """Take from hosts what none has claimed of a wave; return whether there was any.

        Raises `OSError`.
        """
        spec = self._hosts.spec(wave)
        assert spec is not None
        assert spec.pack is not None
        layout, way = self._settings.layout.wave(spec.number), self._settings.claims
        free = set(unclaimed_blocks(layout, spec.claims))
        moved = False
        for block in sorted({spec.claim_of(position) for position in wave.members}):
            if not (
                close_off(layout, block, way) if block in free else is_closed_off(layout, block)
            ):
                continue
            for position in spec.pack.positions(block, spec.size):
                if (instance := wave.members.get(position)) is not None:
                    self._requeue(instance)
                    moved = True
            # The host that counts the last of the others dispatches.
            count_result(layout, block, spec.claims)
        return moved
