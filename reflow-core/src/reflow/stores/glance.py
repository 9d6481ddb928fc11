"""A glance into the file of a manifest, for shells that complete words.

A shell waits for what it completes at every press of a key. So this reads two columns with nothing
but the driver, where `SqlStore` would load six times as much. It creates and migrates nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

PATIENCE = 0.2
"""Seconds to wait for a process that writes."""

Rows = list[tuple[str, str]]


def run_ids(file: Path, limit: int) -> Rows:
    """Return the newest runs and their states. Raises `sqlite3.Error`."""
    return _rows(
        file, "SELECT run_id, state FROM reflow_run ORDER BY created_at DESC LIMIT ?", limit
    )


def task_names(file: Path, run_id: str | None) -> Rows:
    """Return the tasks of a run, of the newest without an id, and how many elements each has.

    Raises `sqlite3.Error`.
    """
    if run_id is None:
        run_id = next((newest for newest, _ in run_ids(file, 1)), "")
    return _rows(
        file,
        "SELECT name, CASE WHEN array THEN coalesce(size, '?') || ' elements' ELSE '' END "
        "FROM reflow_task WHERE run = (SELECT id FROM reflow_run WHERE run_id = ?) "
        "ORDER BY ordinal",
        run_id,
    )


def _rows(file: Path, statement: str, *values: str | int) -> Rows:
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", timeout=PATIENCE, uri=True)
    with closing(connection):
        return [(str(name), str(about)) for name, about in connection.execute(statement, values)]
