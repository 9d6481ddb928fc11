"""How many pilots would have something to run beside those that live.

Elements that a pilot has claimed need no other one, and those that may not run yet, as
`array_parallelism` allows no more at the same time, would leave it idle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from reflow.dispatch.pilots.fit import at_once
from reflow.dispatch.tracked_run import TrackedWave
from reflow.execution.pool.pilot_files import workers_of
from reflow.execution.pool.protocol import begun_elements
from reflow.model.pilots import Pilots
from reflow.rundir.layout import RunLayout, WaveLayout
from reflow.rundir.packs import read_slots, unclaimed_blocks
from reflow.rundir.wave_files import WaveSpec


def pilots_wanted(
    pilots: Pilots,
    layout: RunLayout,
    waves: Sequence[tuple[TrackedWave, WaveSpec]],
    living: Sequence[Path],
) -> float:
    """Return how many pilots open waves could fill, without what those that live have room for.

    `living` are the files of those. Each wave's claims are listed once.
    """
    cpus = _cpus(pilots, living)
    parts = {spec.number: 1 / at_once(pilots, spec.resources, cpus) for _, spec in waves}
    wanted = sum(
        parts[spec.number] * _could_begin(layout.wave(spec.number), wave, spec)
        for wave, spec in waves
    )
    return wanted - sum(_room(path, parts) for path in living)


def _cpus(pilots: Pilots, living: Sequence[Path]) -> int:
    """Return how many CPUs a pilot has; with whole nodes, as many as others have found."""
    if pilots.whole_nodes and pilots.cpus == 1:
        return max(map(workers_of, living), default=1)
    return pilots.cpus


def _could_begin(layout: WaveLayout, wave: TrackedWave, spec: WaveSpec) -> int:
    """Return how many elements of a wave no pilot has claimed, and could run now."""
    assert spec.pack is not None
    permits = spec.pack.permits
    with suppress(OSError):
        free = set(unclaimed_blocks(layout, spec.claims + (permits or 0)))
        elements = sum(spec.claim_of(position) in free for position in wave.members)
        if permits is None:
            return elements
        return min(elements, sum(number >= spec.claims for number in free))
    return 0


def _room(slots: Path, parts: Mapping[int, float]) -> float:
    """Return what part of a pilot is free, by what its workers are at."""
    try:
        begun = begun_elements(read_slots(slots))
    except OSError:
        # Its file cannot be seen from here yet.
        return 1.0
    return max(0.0, 1.0 - sum(parts.get(each.at[0], 0.0) for each in begun))
