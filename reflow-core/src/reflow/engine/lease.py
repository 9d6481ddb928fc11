"""Taking a run over, and letting it go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from reflow.engine.process import provably_dead, this_process
from reflow.model.json import Json
from reflow.model.records import Lease, LeaseRecord
from reflow.stores.contract import Store

LOOK_EVERY = 0.2
"""Seconds between two looks at a lease that another holds."""


def take(store: Store, run_id: str, owner: Mapping[str, Json] | None = None) -> Lease | None:
    """Take the lease if it is free or its holder is provably dead.

    `owner` is whom it is taken for, this process unless said otherwise. A process that somebody
    has taken it for already has it.
    """
    owner = owner or this_process()
    seen = store.lease(run_id)
    if seen.owner is None:
        return store.acquire(run_id, owner) or _given(store.lease(run_id), run_id, owner)
    if provably_dead(seen.owner):
        return store.acquire(run_id, owner, seen) or _given(store.lease(run_id), run_id, owner)
    return _given(seen, run_id, owner)


def _given(seen: LeaseRecord, run_id: str, owner: Mapping[str, Json]) -> Lease | None:
    return Lease(run_id, seen.epoch) if seen.owner == owner else None


def let_go(store: Store, lease: Lease) -> None:
    """Release the lease whatever marks there are: the next to take it finds what was asked."""
    while not store.release(lease):
        store.clear_mark(lease)


def holder_lives(store: Store, run_id: str) -> bool:
    """Whether somebody who may be alive holds the lease."""
    owner = store.lease(run_id).owner
    return owner is not None and not provably_dead(owner)


def take_patiently(
    store: Store,
    run_id: str,
    time_to_live: float,
    give_up: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease | None:
    """Take the lease, waiting until its holder lets go or has been silent for `time_to_live`.

    Leaves a mark first, so that a living holder goes round once more on our behalf. Compares no
    clocks: the holder counts as silent when (epoch, beat) has not changed for the whole time on
    our own. None when `give_up` says so.
    """
    lease = take(store, run_id)
    if lease is not None:
        return lease
    store.leave_mark(run_id)
    seen, since = store.lease(run_id), clock()
    while not give_up():
        lease = take(store, run_id)
        if lease is not None:
            return lease
        now = store.lease(run_id)
        if _moved(seen, now):
            seen, since = now, clock()
        elif clock() - since >= time_to_live:
            lease = store.acquire(run_id, this_process(), seen)
            if lease is not None:
                return lease
            seen, since = store.lease(run_id), clock()
        sleep(LOOK_EVERY)
    return None


def _moved(before: LeaseRecord, now: LeaseRecord) -> bool:
    return (before.epoch, before.beat) != (now.epoch, now.beat)
