"""The lease of a run: who may dispatch it, how it is taken over, and how it is released.

A run has at most one dispatcher, the holder of its lease. Every write of the dispatcher is fenced
by the lease's epoch, which grows whenever the lease changes hands, so a dispatcher that has lost
the lease without knowing it can write nothing. A lease that is free, or whose holder has provably
ended on this machine, is taken at once. Any other holder is overtaken once its heartbeat has not
changed for `time_to_live` seconds. A process that finds the lease held requests a wakeup. The
holder cannot release a lease with a wakeup and takes one more step instead, so nothing that was
asked or published in the last moment is lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from reflow.errors import StoreError
from reflow.model.records import Lease, LeaseRecord
from reflow.rundir.process import owner_of, provably_dead, this_process
from reflow.stores.contract import Store

LOOK_EVERY, LONGEST_LOOK = 0.2, 2.0
"""Seconds between two looks at a lease that another holds: first, and at most. A command that
follows a run holds its lease for hours, while many others may wait for it."""


_held: set[tuple[int, str, int]] = set()
"""Leases that this process holds and works under: its id (a fork inherits none), run, epoch."""


def take(store: Store, run_id: str) -> Lease | None:
    """Take the lease if it is free, or its holder has provably ended; None where it is held.

    A lease in this process's name under which nothing here works may be taken: either another
    process has taken it for this one (`acquire_for`), or a failure has left it over.
    """
    # Twice, as the process that started this one may be taking the lease for it right now.
    for _ in range(2):
        seen = store.lease(run_id)
        if seen.owner is not None and not provably_dead(seen.owner) and not _is_ours(run_id, seen):
            return None
        lease = take_from(store, run_id, seen)
        if lease is not None:
            return lease
    return None


def take_from(store: Store, run_id: str, seen: LeaseRecord) -> Lease | None:
    """Take the lease if it has not changed since it was seen."""
    lease = store.acquire(run_id, this_process(), None if seen.owner is None else seen)
    if lease is not None:
        _held.add((os.getpid(), run_id, lease.epoch))
    return lease


def acquire_for(store: Store, run_id: str, pid: int) -> None:
    """Take the lease, if it is free, in the name of a process that was started just now."""
    owner, seen = owner_of(pid), store.lease(run_id)
    if owner["start"] is not None and (seen.owner is None or provably_dead(seen.owner)):
        store.acquire(run_id, owner, None if seen.owner is None else seen)


def _is_ours(run_id: str, seen: LeaseRecord) -> bool:
    return seen.owner == this_process() and (os.getpid(), run_id, seen.epoch) not in _held


def try_release(store: Store, lease: Lease) -> bool:
    """Release the lease unless a wakeup was requested: then keep it and return False."""
    released = store.release(lease)
    if released:
        forget(lease)
    return released


def release(store: Store, lease: Lease) -> None:
    """Release the lease whatever marks there are: the next holder finds what was asked."""
    while not try_release(store, lease):
        store.clear_wakeup(lease)


def forget(lease: Lease) -> None:
    """Stop working under a lease, whether or not the store could be told."""
    _held.discard((os.getpid(), lease.run_id, lease.epoch))


@contextmanager
def working_under(store: Store, lease: Lease) -> Iterator[None]:
    """Work under a lease; release it when something goes wrong meanwhile."""
    try:
        yield
    except BaseException:
        with suppress(StoreError):
            release(store, lease)
        raise
    finally:
        forget(lease)


def holder_lives(store: Store, run_id: str) -> bool:
    """Tell whether the lease is held by a process that may be alive."""
    owner = store.lease(run_id).owner
    return owner is not None and not provably_dead(owner)


def acquire(
    store: Store,
    run_id: str,
    time_to_live: float,
    unless: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease | None:
    """Take the lease, waiting until its holder lets go or has been silent for `time_to_live`.

    Requests a wakeup first, so that a living holder goes round once more on our behalf. Compares no
    clocks: the holder counts as silent when (epoch, heartbeat) has not changed for the whole time
    on our own. None when `unless` returns True.
    """
    lease = take(store, run_id)
    if lease is not None:
        return lease
    store.request_wakeup(run_id)
    seen, since = store.lease(run_id), clock()
    pause = LOOK_EVERY
    while not unless():
        lease = take(store, run_id)
        if lease is not None:
            return lease
        now = store.lease(run_id)
        if _moved(seen, now):
            seen, since = now, clock()
        elif clock() - since >= time_to_live:
            lease = take_from(store, run_id, seen)
            if lease is not None:
                return lease
            seen, since = store.lease(run_id), clock()
        sleep(pause)
        pause = min(LONGEST_LOOK, 1.2 * pause)
    return None


def _moved(before: LeaseRecord, now: LeaseRecord) -> bool:
    return (before.epoch, before.heartbeat) != (now.epoch, now.heartbeat)
