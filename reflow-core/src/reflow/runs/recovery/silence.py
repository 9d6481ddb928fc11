"""How long the dispatcher of a run has given no sign of life, remembered from one look to the next.

A look lasts a moment and a lease a minute. So a look leaves a note of what it has seen of the
lease's holder: the heartbeat, and the CPU time used, as a dispatcher may be at work for long
without a heartbeat. A later look that sees the same knows from the note's age for how long. Only a
process of this machine is watched so; dispatch jobs watch each other, wherever they run.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

from reflow.dispatch.lease import take_from
from reflow.dispatch.modes import mode_named
from reflow.executors.processes import Process
from reflow.model.records import Lease, LeaseRecord
from reflow.permissions import open_file
from reflow.rundir.files import read_bytes, server_time
from reflow.rundir.process import seen_here
from reflow.rundir.run_settings import RunSettings
from reflow.stores.contract import Store

WORTH_A_WORD = 10.0
"""Seconds of silence after which `status` mentions it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process of this machine that holds a run's lease, and how it shows life."""

    settings: RunSettings
    lease: LeaseRecord
    process: Process
    silent: float
    """Seconds, by the file server's clock, for which looks have seen no sign of life."""

    @property
    def named(self) -> str:
        """The process, as users know it."""
        return mode_named(self.settings.executor).dispatcher_named(self.process.pid)

    @property
    def replaceable(self) -> bool:
        """Whether another may take the run over: never from a user's own foreground process."""
        return not mode_named(self.settings.executor).ends_with_process

    def note(self) -> str:
        """Return what users need to know; empty where the process shows life."""
        if self.process.stopped:
            ways = f"`kill -CONT {self.process.pid}` lets it go on"
            return f"{self.named}, which is stopped: {ways}{self._otherwise()}"
        if self.silent >= WORTH_A_WORD:
            message = f"{self.named}, which has given no sign of life for {self.silent:.0f} s"
            return f"{message}{self._otherwise()}"
        return ""

    def take_over(self, store: Store) -> Lease | None:
        """Take the lease if the process has been silent for the lease's time."""
        if not self.replaceable or self.silent < time_to_live(self.settings):
            return None
        return take_from(store, self.settings.run_id, self.lease)

    def _otherwise(self) -> str:
        if not self.replaceable:
            return ""
        seconds = time_to_live(self.settings)
        return f"; `reflow status`, {seconds:g} s from now or later, replaces it"


def time_to_live(settings: RunSettings) -> float:
    """Return the seconds without a sign of life after which a dispatcher is replaced."""
    return settings.config.dispatch.lease_seconds


def holder_of(store: Store, settings: RunSettings) -> Holder | None:
    """Look at the lease's holder, and remember it; None where it is not seen on this machine."""
    seen = store.lease(settings.run_id)
    process = seen_here(seen.owner or {})
    if process is None:
        return None
    silent = 0.0
    # Where nothing can be written, a silent dispatcher is not told from a living one.
    with suppress(OSError):
        silent = _silent_for(
            settings, json.dumps([seen.epoch, seen.heartbeat, process.used]).encode()
        )
    return Holder(settings, seen, process, silent)


def _silent_for(settings: RunSettings, signs: bytes) -> float:
    """Return for how long these signs of life have been the last. Raises `OSError`."""
    now, path = server_time(settings.layout.clock), settings.layout.signs_of_life
    with suppress(FileNotFoundError):
        if read_bytes(path) == signs:
            return max(0.0, now - path.stat().st_mtime)
    with open_file(path, "wb") as file:
        file.write(signs)
    return 0.0
