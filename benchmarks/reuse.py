"""What a manifest of many instances costs: its size, and the look for results to use again.

    python reuse.py [INSTANCES]

Half of the instances have made their result, and half have taken it over; half of each have equal
inputs, and half distinct ones. The look is that of 10,000 elements, by three kinds of taker: a
rerun, an array whose list was moved by one, and an array that finds nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from reflow.dispatch.choice import deal
from reflow.model.lineage import kin_of
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, RunRecord, Taker, TaskRecord
from reflow.model.states import RunState, TaskState
from reflow.stores.sql import SqlStore

SIZE = 10_000
"""Elements of one run."""
TIMES = 3
"""How often each look is timed; the fastest counts."""

EQUAL = [sha256(b"equal").hexdigest()] * SIZE
DISTINCT = [sha256(str(number).encode()).hexdigest() for number in range(SIZE)]
NEW = [sha256(f"new {number}".encode()).hexdigest() for number in range(SIZE)]


def add_run(store: SqlStore, name: str, task: str, identities: Sequence[str], again: bool) -> None:
    """A run whose elements have made their results, or taken over what the last run had."""
    run = RunRecord(
        run_id=name,
        workflow="many",
        state=RunState.SUCCESS,
        run_dir=Path("/scratch") / name,
        created_at=datetime.now(UTC),
        parameters={},
    )
    wanted = list(enumerate(identities))
    had = store.previous_outputs(taker(), wanted) if again else {}
    store.create_run(run, [TaskRecord(name=task, ordinal=0, array=True)])
    lease = store.acquire(name, {})
    assert lease is not None
    instances = [
        Instance(
            task=task,
            index=index,
            identity=identity,
            state=TaskState.SUCCESS if again else TaskState.PENDING,
            source=had[index].key if again else None,
        )
        for index, identity in wanted
    ]
    with store.fenced(lease) as write:
        write.add_instances(instances)
        if not again:
            write.record_outcomes(
                [
                    Outcome(
                        task=task,
                        index=index,
                        attempt=1,
                        state=TaskState.SUCCESS,
                        output=str(index),
                        host="node0001",
                        log=f"logs/{name}/{task}/{index}.1.log",
                    )
                    for index in range(SIZE)
                ]
            )


def taker() -> Taker:
    return Taker(workflow="many", place="", uid=os.getuid(), kin=kin_of("", "new"))


def timed(work: Callable[[], object]) -> float:
    """The CPU seconds of the fastest of some tries."""
    best = float("inf")
    for _ in range(TIMES):
        before = time.process_time()
        work()
        best = min(best, time.process_time() - before)
    return best


def looked(store: SqlStore, identities: Sequence[str]) -> int:
    """How many of the elements find a result."""
    return len(deal(store, taker(), list(enumerate(identities)), set(), lambda output: True))


def size_of(path: Path) -> int:
    return sum(found.stat().st_size for found in path.parent.glob(f"{path.name}*"))


def sizes(path: Path, count: int) -> None:
    """How much of the file each index is, and what is left without them."""
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    whole = _packed(connection, path)
    print(f"the file: {whole / count:.0f} bytes for an instance, {whole / 1e6:.0f} MB")
    for index in ("had", "reusable"):
        connection.execute(f"DROP INDEX reflow_instance_{index}")
        rest = _packed(connection, path)
        print(f"of it the index {index!r}: {(whole - rest) / count:.0f} bytes")
        whole = rest
    connection.close()


def _packed(connection: object, path: Path) -> int:
    connection.execute("VACUUM")  # type: ignore[attr-defined]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
    return path.stat().st_size


def main(count: int) -> None:
    """Build a manifest of so many instances, and print what it costs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.db"
        store = SqlStore(f"sqlite://{path}")
        began = time.process_time()
        for number in range(count // SIZE):
            task, identities = ("equal", EQUAL) if number % 2 else ("distinct", DISTINCT)
            add_run(store, f"run-{number}", task, identities, again=number // 2 % 2 == 1)
        print(f"written in {time.process_time() - began:.1f} s of CPU time")
        for name, identities in (
            ("distinct, again", DISTINCT),
            ("distinct, moved by one", DISTINCT[1:] + NEW[:1]),
            ("distinct, new", NEW),
            ("equal, again", EQUAL),
        ):
            found = looked(store, identities)
            seconds = timed(lambda chosen=identities: looked(store, chosen))  # type: ignore[misc]
            print(f"{name}: {found} of {SIZE} found in {seconds * 1000:.0f} ms")
        store.close()
        sizes(path, count)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
