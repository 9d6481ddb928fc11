"""Another process that uses a store, for tests with several processes.

Run as `python -m reflow.testing.store_process MODULE:CLASS URL ACTION [WORD...]`. It reports its
progress in lines on standard output, and waits for lines on standard input.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from reflow.errors import LeaseLostError
from reflow.model.records import Instance, Lease, RunRecord, TaskRecord
from reflow.model.states import RunState
from reflow.stores.contract import Store

TASK = "work"
"""The task that these processes add instances to."""


def tell(line: object) -> None:
    """Send a line to the test."""
    print(line, flush=True)


def wait() -> str:
    """Wait for a line from the test."""
    return sys.stdin.readline().strip()


def create(store: Store, run_id: str) -> None:
    """Create a run when the test says so, which opens a store that may not exist yet."""
    tell("ready")
    wait()
    run = RunRecord(
        run_id=run_id,
        workflow="many",
        state=RunState.RUNNING,
        run_dir=Path("/scratch"),
        created_at=datetime.now(UTC),
        parameters={},
    )
    tell(store.create_run(run, [TaskRecord(name=TASK, ordinal=0, array=True)]))


def dispatch(store: Store, run_id: str, first: str, number: str) -> None:
    """Add instances one by one, each under a lease of its own, and take a step for every wakeup."""
    for index in range(int(first), int(first) + int(number)):
        lease = _lease(store, run_id)
        with store.fenced(lease) as write:
            write.add_instances([Instance(task=TASK, index=index)])
        while not store.release(lease):
            store.clear_wakeup(lease)
    tell("done")


def _lease(store: Store, run_id: str) -> Lease:
    lease = store.acquire(run_id, {"pid": os.getpid()})
    if lease is None:
        store.request_wakeup(run_id)
    while lease is None:
        time.sleep(0.005)
        lease = store.acquire(run_id, {"pid": os.getpid()})
    return lease


def read(store: Store, run_id: str) -> None:
    """Read until there are as many instances as the test named; fail where the number sinks."""
    expected, seen, reads = int(wait()), 0, 0
    while seen < expected:
        present = sum(store.counts(run_id)[TASK].values())
        assert present >= seen, f"{seen} instances became {present}"
        assert len(store.instances(run_id)) >= present, "instances that were counted are gone"
        assert store.run(run_id) in store.list_runs(), "the run is not among the runs"
        seen, reads = present, reads + 1
        time.sleep(0.005)
    tell(reads)


def hold(store: Store, run_id: str) -> None:
    """Take the lease, and write only when the test says so."""
    lease = _lease(store, run_id)
    tell("held")
    wait()
    try:
        with store.fenced(lease) as write:
            write.add_instances([Instance(task=TASK, index=0)])
    except LeaseLostError:
        tell("lost")
    else:
        tell("written")


def stay_inside(store: Store, run_id: str) -> None:
    """Take the lease, write, and stay inside the transaction until the test says so."""
    with store.fenced(_lease(store, run_id)) as write:
        write.add_instances([Instance(task=TASK, index=0)])
        tell("inside")
        wait()
    tell("outside")


def fork(store: Store, run_id: str) -> None:
    """Use the store, fork, and use it in the child and again in the parent."""
    epoch = store.lease(run_id).epoch
    child = os.fork()
    if child == 0:
        status = 1
        try:
            lease = _lease(store, run_id)
            status = 0 if store.release(lease) else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    tell(f"{status} {store.lease(run_id).epoch - epoch}")


ACTIONS: dict[str, Callable[..., None]] = {
    action.__name__: action for action in (create, dispatch, read, hold, stay_inside, fork)
}


def main(target: str, url: str, action: str, *words: str) -> None:
    """Carry out an action on a store."""
    module, _, name = target.partition(":")
    store: Store = getattr(import_module(module), name)(url)
    try:
        ACTIONS[action](store, *words)
    finally:
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
