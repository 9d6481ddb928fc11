"""Waves that are open to pilots: they have no job, and no scheduler knows of them."""

from __future__ import annotations

from contextlib import suppress

from reflow.execution.pool.pilot_files import SILENT_AFTER, last_sign, pilot_files
from reflow.execution.pool.protocol import begun_elements
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.rundir.files import server_time
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import read_slots
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


def waves_at_work(layout: RunLayout) -> set[int]:
    """Return the waves of which living pilots run elements just now."""
    found: set[int] = set()
    since = server_time(layout.clock) - SILENT_AFTER
    for file in pilot_files(layout.hosts):
        with suppress(OSError):
            if not file.is_gone and last_sign(file.path) >= since:
                found.update(begun.at[0] for begun in begun_elements(read_slots(file.path)))
    return found
