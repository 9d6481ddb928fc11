"""Taking a run over, and letting it go."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from reflow.errors import StoreError
from reflow.model.records import Lease, LeaseRecord
from reflow.rundir.process import owner_of, provably_dead, this_process
from reflow.stores.contract import Store

LOOK_EVERY = 0.2
"""Seconds between two looks at a lease that another holds."""


_held: set[tuple[int, str, int]] = set()
"""Leases that this process holds and works under: its id (a fork inherits none), run, epoch."""


def take(store: Store, run_id: str) -> Lease | None:
    """Take the lease if nobody holds it who may be alive.

    One that stands in this process's name, and that nothing here works under, may be taken:
    somebody has taken it for this process, or it was left over by a failure.
    """
    # Twice, as whoever starts a process may take the lease for it just now.
    for _ in range(2):
        seen = store.lease(run_id)
        if seen.owner is not None and not provably_dead(seen.owner) and not _is_ours(run_id, seen):
            return None
        lease = take_from(store, run_id, seen)
        if lease is not None:
            return lease
    return None


def take_from(store: Store, run_id: str, seen: LeaseRecord) -> Lease | None:
    """Take the lease if it is still as it was seen."""
    lease = store.acquire(run_id, this_process(), None if seen.owner is None else seen)
    if lease is not None:
        _held.add((os.getpid(), run_id, lease.epoch))
    return lease


def take_for(store: Store, run_id: str, pid: int) -> None:
    """Take the lease, if it is to be had, in the name of a process that was started just now."""
    owner, seen = owner_of(pid), store.lease(run_id)
    if owner["start"] is not None and (seen.owner is None or provably_dead(seen.owner)):
        store.acquire(run_id, owner, None if seen.owner is None else seen)


def _is_ours(run_id: str, seen: LeaseRecord) -> bool:
    return seen.owner == this_process() and (os.getpid(), run_id, seen.epoch) not in _held


def release(store: Store, lease: Lease) -> bool:
    """Let go unless there is a mark; False when there is one, and the lease is kept."""
    released = store.release(lease)
    if released:
        forget(lease)
    return released


def let_go(store: Store, lease: Lease) -> None:
    """Release the lease whatever marks there are: the next to take it finds what was asked."""
    while not release(store, lease):
        store.clear_mark(lease)


def forget(lease: Lease) -> None:
    """Work under a lease no more, whether or not the store could be told."""
    _held.discard((os.getpid(), lease.run_id, lease.epoch))


@contextmanager
def working_under(store: Store, lease: Lease) -> Iterator[None]:
    """Work under a lease; it is let go when something goes wrong meanwhile."""
    try:
        yield
    except BaseException:
        with suppress(StoreError):
            let_go(store, lease)
        raise
    finally:
        forget(lease)


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
            lease = take_from(store, run_id, seen)
            if lease is not None:
                return lease
            seen, since = store.lease(run_id), clock()
        sleep(LOOK_EVERY)
    return None


def _moved(before: LeaseRecord, now: LeaseRecord) -> bool:
    return (before.epoch, before.beat) != (now.epoch, now.beat)
