"""Pilots in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reflow.model.pilots import Pilots
from reflow.report.layout import count, duration

_GIB = 2**30
_MIB = 2**20


def described(pilots: Pilots) -> str:
    """Write `4 pilots, each with 32 CPUs and 120 GiB, for 8 h`."""
    *most, last = _parts(pilots)
    size = f"{', '.join(most)} and {last}" if most else last
    time = "" if pilots.time is None else f", for {duration(pilots.time)}"
    return f"{count(pilots.jobs, 'pilot')}, each with {size}{time}"


def _parts(pilots: Pilots) -> Iterator[str]:
    if pilots.whole_nodes:
        yield "a node for itself"
    if pilots.cpus > 1 or not pilots.whole_nodes:
        yield count(pilots.cpus, "CPU")
    if pilots.mem is not None:
        unit, word = (_GIB, "GiB") if pilots.mem >= _GIB else (_MIB, "MiB")
        yield f"{pilots.mem / unit:.4g} {word}"
    if pilots.gpus:
        yield count(pilots.gpus, "GPU")


def pilot_line(counts: Mapping[str, int]) -> str:
    """Write `3 pilots running, 1 queued; 96 elements at once`."""
    running, queued = counts["running"], counts["queued"]
    if not running:
        return f"{count(queued, 'pilot')} queued"
    waiting = f", {queued:,} queued" if queued else ""
    elements = count(counts["at_once"], "element")
    return f"{count(running, 'pilot')} running{waiting}; {elements} at once"
