"""What the mapping of `status` says of a run's pilots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.model.states import RunState
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import JobCounts, write_job_counts
from reflow.runs.status import status_of
from reflow.stores.sql import SqlStore
from reflow.testing.stores import RUN, new_run, plain_and_array

COUNTS = JobCounts(running=3, queued=1, at_once=96)


@pytest.fixture
def layout(tmp_path: Path) -> RunLayout:
    layout = RunLayout(tmp_path, RUN)
    layout.root.mkdir(parents=True)
    return layout


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"{tmp_path}/m.db")
    store.create_run(new_run(run_dir=tmp_path), plain_and_array())
    yield store
    store.close()


def test_pilots_are_counted_as_the_scheduler_last_told_of_them(
    store: SqlStore, layout: RunLayout
) -> None:
    write_job_counts(layout.pilot_counts, COUNTS)
    assert status_of(store, RUN)["pilots"] == {"running": 3, "queued": 1, "at_once": 96}


def test_a_run_without_pilots_has_no_count_of_them(store: SqlStore, layout: RunLayout) -> None:
    assert status_of(store, RUN)["pilots"] is None


def test_a_run_that_has_ended_has_no_pilots(store: SqlStore, layout: RunLayout) -> None:
    write_job_counts(layout.pilot_counts, COUNTS)
    lease = store.acquire(RUN, {})
    assert lease is not None
    with store.fenced(lease) as writer:
        writer.set_run_state(RunState.SUCCESS)
    assert status_of(store, RUN)["pilots"] is None
