"""Which elements fit into a pilot. What does not is submitted as jobs of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from reflow.model.pilots import KEPT_MEMORY, Pilots
from reflow.model.resources import Resources

SPARE = timedelta(minutes=2)
"""How much longer than an element a pilot lives that may take it: it has to start, and to end."""

Amount = TypeVar("Amount", int, timedelta)


def fits(pilots: Pilots, resources: Resources, executor: str) -> bool:
    """Tell whether an element that asks for so much can run in a pilot.

    `resources` have the defaults and the factors of retries. A pilot with whole nodes that was
    asked for no number of cpus, or no memory, has what its node has. That is not known before it
    starts, and rules nothing out. Devices do not come that way: a queue may have nodes without.
    """
    return (
        resources.nodes == 1
        and not resources.whole_nodes
        and (resources.cpus <= pilots.cpus or (pilots.whole_nodes and pilots.cpus == 1))
        and resources.gpus <= pilots.gpus
        and _within(resources.mem, None if pilots.mem is None else pilots.mem - KEPT_MEMORY)
        and _within(resources.time, None if pilots.time is None else pilots.time - SPARE)
        and resources.queue in (None, pilots.queue)
        and resources.account in (None, pilots.account)
        and not resources.options.get(executor)
    )


def at_once(pilots: Pilots, resources: Resources, cpus: int) -> int:
    """Return how many elements that ask for so much a pilot with so many CPUs runs at once."""
    room = [cpus // resources.cpus]
    if resources.mem and pilots.mem is not None:
        room.append((pilots.mem - KEPT_MEMORY) // resources.mem)
    if resources.gpus:
        room.append(pilots.gpus // resources.gpus)
    return max(1, min(room))


def _within(wanted: Amount | None, limit: Amount | None) -> bool:
    """Tell whether a request stays below a limit, of which either may not be there."""
    return wanted is None or limit is None or wanted <= limit
