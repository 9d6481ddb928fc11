"""Waves that are open to pilots: they have no job, and no scheduler knows of them."""

from __future__ import annotations

from collections.abc import Collection

from reflow.execution.pool.open_waves import OpenWaves, cancelled, tell
from reflow.execution.pool.pilot_files import (
    SILENT_AFTER,
    PilotFile,
    has_ended,
    last_sign,
    pilot_files,
)
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.rundir.files import server_time
from reflow.rundir.layout import RunLayout
from reflow.rundir.wave_files import WaveSpec


def is_open(record: SubmissionRecord) -> bool:
    """Tell whether pilots take a wave's elements."""
    accepted = record.state is SubmissionState.ACCEPTED
    return record.kind is SubmissionKind.WAVE and accepted and not record.native_ids


def was_open(layout: RunLayout, record: SubmissionRecord) -> bool:
    """Tell of a wave that is to be cancelled whether it was open."""
    if record.kind is not SubmissionKind.WAVE or record.native_ids:
        return False
    try:
        pack = WaveSpec.read(layout.wave(record.number)).pack
    except OSError:
        return False
    return pack is not None and pack.open


def end_in_pilots(layout: RunLayout, epoch: int, waves: Collection[int]) -> set[int]:
    """Have pilots end what they have of waves; return those of which none has anything left.

    What a pilot has claimed and not begun can be seen nowhere else, so each that lives must have
    told. `epoch` is that of the lease. Raises `OSError`.
    """
    if not waves:
        return set()
    told = OpenWaves(layout.open_waves)
    told.look()
    missing = [cancelled(wave) for wave in waves if wave not in told.cancelled]
    if missing:
        tell(layout.open_waves, epoch, missing)
    since = server_time(layout.clock) - SILENT_AFTER
    alive = [file.path for file in pilot_files(layout.hosts) if _lives(file, since)]
    return {wave for wave in waves if all(has_ended(path, wave) for path in alive)}


def _lives(file: PilotFile, since: float) -> bool:
    try:
        return not file.is_gone and last_sign(file.path) >= since
    except OSError:
        return False
