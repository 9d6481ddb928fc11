"""Pilots in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from reflow.model.pilots import Pilots
from reflow.report.layout import count, duration, shorten

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


def pilot_lines(counts: Mapping[str, int] | None, *, width: int) -> list[Text]:
    """Show how many pilots run and wait: `3 pilots running, 1 queued; 96 elements at once`."""
    if counts is None or not counts["running"] + counts["queued"]:
        return []
    return [Text(shorten(_counted(counts), width), "dim")]


def _counted(counts: Mapping[str, int]) -> str:
    running, queued, at_once = counts["running"], counts["queued"], counts["at_once"]
    if not running:
        return f"{count(queued, 'pilot')} queued"
    waiting = f", {queued:,} queued" if queued else ""
    # A pilot tells how many only once it has looked at its node.
    elements = f"; {count(at_once, 'element')} at once" if at_once else ""
    return f"{count(running, 'pilot')} running{waiting}{elements}"
