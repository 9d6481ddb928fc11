"""How long `clean` of half of a large manifest takes, and how long it keeps dispatchers waiting.

    python cleaning.py [RUNS [INSTANCES]]

Beside it, another process does what a dispatcher does: it takes the lease of a run and writes,
every 20 ms, a transaction that records outcomes. The longest of these says how long a dispatcher
may be held up. It is printed for a local file with a write-ahead log, and for a file as on a
network file system, without one; before that, without any cleaning.
"""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from big_store import INSTANCES, RUNS, fill
from reflow.model.cleaning import Extent
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, RunRecord, TaskRecord
from reflow.model.states import RunState, TaskState
from reflow.runs.cleaning.choose import Criteria, choose
from reflow.runs.cleaning.clean import FIRST_PORTION, clean_run, shrink
from reflow.runs.cleaning.pace import Pace
from reflow.stores.sql import SqlStore

EVERY = 0.02


def probe(manifest: Path, end: Event, answer: Any) -> None:
    """Write as a dispatcher does until told to end; answer with the seconds that each took."""
    store = SqlStore(f"sqlite://{manifest}")
    run = RunRecord(
        run_id=f"probe-{time.time_ns()}",
        workflow="probe",
        state=RunState.RUNNING,
        run_dir=manifest.parent,
        created_at=datetime.now(UTC),
        parameters={},
    )
    store.create_run(run, [TaskRecord(name="t", ordinal=0, array=True, size=1_000_000)])
    lease = store.acquire(run.run_id, {"host": "probe"})
    assert lease is not None
    took: list[float] = []
    index = 0
    while not end.is_set():
        began = time.perf_counter()
        new = [Instance(task="t", index=number) for number in range(index, index + 20)]
        done = [
            Outcome(task="t", index=each.index, attempt=1, state=TaskState.SUCCESS, output="1")
            for each in new
        ]
        with store.fenced(lease) as writer:
            writer.add_instances(new)
            writer.record_outcomes(done)
        took.append(time.perf_counter() - began)
        index += 20
        time.sleep(EVERY)
    answer.put(sorted(took))


class Beside:
    """A dispatcher beside what is measured."""

    def __init__(self, manifest: Path) -> None:
        self._end = multiprocessing.Event()
        self._answer: Any = multiprocessing.Queue()
        self._process = multiprocessing.Process(
            target=probe, args=(manifest, self._end, self._answer)
        )
        self._process.start()
        time.sleep(1)

    def tell(self, what: str) -> None:
        """End it, and print how long its writes took."""
        self._end.set()
        took = self._answer.get()
        self._process.join()
        print(
            f"  {what}: {len(took)} writes, median {1000 * took[len(took) // 2]:.1f} ms, "
            f"99 % within {1000 * took[int(len(took) * 0.99)]:.1f} ms, "
            f"longest {1000 * took[-1]:.1f} ms"
        )


def measure(manifest: Path) -> None:
    """Clean half of the runs up while a dispatcher writes."""
    alone = Beside(manifest)
    time.sleep(5)
    alone.tell("alone")
    store = SqlStore(f"sqlite://{manifest}")
    records = choose(store, Criteria(), Extent.RESULTS)
    half = records[len(records) // 2 :]
    beside = Beside(manifest)
    began = time.perf_counter()
    pace = Pace(FIRST_PORTION)
    for record in half:
        clean_run(store, record, Extent.RESULTS, pace=pace)
    print(f"  {len(half)} runs cleaned up in {time.perf_counter() - began:.1f} s")
    beside.tell("beside clean")
    beside = Beside(manifest)
    began = time.perf_counter()
    given = shrink(store)
    took = time.perf_counter() - began
    whole = manifest.stat().st_size + given
    print(f"  {given / 1e6:.0f} MB of {whole / 1e6:.0f} given back in {took:.1f} s")
    beside.tell("beside that")
    store.close()


def main(runs: int = RUNS, instances: int = INSTANCES) -> None:
    """Measure with both journals."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.db"
        fill(manifest, runs, instances)
        for journal in ("wal", "delete"):
            copy = Path(folder) / f"{journal}.db"
            shutil.copy(manifest, copy)
            with sqlite3.connect(copy) as database:
                database.execute(f"PRAGMA journal_mode = {journal}")
                database.execute("UPDATE reflow_run SET run_dir = ?", (folder,))
            print(f"{runs} runs of {instances} instances, journal {journal}:")
            measure(copy)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
