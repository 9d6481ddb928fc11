"""A manifest of many runs: 1,000 runs of 1,000 instances each, unless told otherwise.

    python big_store.py MANIFEST [RUNS [INSTANCES]]

The runs are those of `noop.py` (prepare, N calls, gather), or of workflows that are named beside
it, as two out of three. Their rows are written by SQL, in seconds, and their run directories are
not there. The manifest must be new: what is run with it afterwards is newer.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path

from reflow.stores.sql import SqlStore

RUNS, INSTANCES = 1_000, 1_000
WORKFLOWS = ("noop", "other", "third")
"""The workflows that take turns."""
_YEAR = 365 * 86_400 * 10**6
"""Microseconds within which all of the runs were started."""


def fill(manifest: Path, runs: int = RUNS, instances: int = INSTANCES) -> None:
    """Write runs into a manifest without any. Raises `ValueError` for another one."""
    if SqlStore(f"sqlite://{manifest}").list_runs(limit=1):  # makes the tables
        raise ValueError(f"{manifest} has runs already")
    database = sqlite3.connect(manifest)
    with database:
        database.execute("BEGIN IMMEDIATE")  # what begins with WITH opens no transaction by itself
        _runs(database, runs)
        _tasks(database)
        _instances(database, instances)
    with database:
        database.execute("ANALYZE")
    database.close()


def _numbers(count: str) -> str:
    """Return SQL for the numbers from 0, with a parameter for how many."""
    return f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count}) "


def _runs(database: sqlite3.Connection, runs: int) -> None:
    now = time.time_ns() // 1_000
    named = " ".join(f"WHEN {place} THEN '{name}'" for place, name in enumerate(WORKFLOWS))
    database.execute(
        f"{_numbers(':runs')}"
        "INSERT INTO reflow_run (run_id, workflow, state, run_dir, created_at, finished_at, "
        "executor, parameters, message, epoch, heartbeat, wakeup, uid) "
        f"SELECT printf('%s-20250101-%04x', w, i), w, CASE i % 10 WHEN 0 THEN 'FAILED' "
        "ELSE 'SUCCESS' END, printf('/gone/run-%d', i), :start + i * :step, "
        ":start + i * :step + 60000000, 'pool', '{\"count\":1000}', '', 1, 0, 0, :uid "
        f"FROM (SELECT i, CASE i % {len(WORKFLOWS)} {named} END AS w FROM n)",
        {"runs": runs, "start": now - _YEAR, "step": _YEAR // (runs + 1), "uid": os.geteuid()},
    )


def _tasks(database: sqlite3.Connection) -> None:
    for ordinal, (name, array) in enumerate((("prepare", 0), ("nothing", 1), ("gather", 0))):
        database.execute(
            "INSERT INTO reflow_task (run, ordinal, name, array, size) "
            "SELECT id, ?, ?, ?, 1 FROM reflow_run ORDER BY id",
            (ordinal, name, array),
        )


def _instances(database: sqlite3.Connection, instances: int) -> None:
    """Write the instances of each run: all that are of the array task but two."""
    elements = max(1, instances - 2)
    columns = (
        "task, idx, state, attempt, retries_used, node_losses, wave, position, identity, "
        "native_id, mem_scale, time_scale, reusable, host, log, started_at, ended_at, "
        "peak_memory, cpu_time, recorded_at, error, output"
    )
    database.execute(
        f"{_numbers(':elements')}"
        f"INSERT INTO reflow_instance ({columns}) "
        "SELECT t.id, n.i, 'SUCCESS', 1, 0, 0, t.ordinal + 1, n.i, "
        "printf('%016x%016x%016x%016x', (t.id * 7919 + n.i * 104729) * 2654435761 "
        "& 9223372036854775807, t.id, n.i, 7), '', 1.0, 1.0, 1, 'node1', '', "
        "r.created_at / 1e6 + 1, r.created_at / 1e6 + 2, 30000000, 0.5, "
        "r.created_at + 3000000, '', CAST(n.i AS TEXT) "
        "FROM reflow_task AS t JOIN reflow_run AS r ON r.id = t.run "
        "JOIN n ON n.i = 0 OR t.array = 1 ORDER BY t.id, n.i",
        {"elements": elements},
    )
    database.execute("UPDATE reflow_task SET size = ? WHERE array = 1", (elements,))


if __name__ == "__main__":
    fill(Path(sys.argv[1]).resolve(), *map(int, sys.argv[2:]))
