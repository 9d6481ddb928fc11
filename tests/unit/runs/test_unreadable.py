"""When a run whose data cannot be read is given up, by what of it lives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from reflow.model.jobs import Capabilities, JobHandle, JobStatus
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.model.states import JobState
from reflow.rundir.run_settings import RunSettings
from reflow.runs import unreadable
from reflow.runs.failure_policy import MOST_TRIES
from reflow.runs.troubles import Tries
from reflow.runs.unreadable import Unreadable
from reflow.stores.sql import SqlStore
from reflow.testing.stores import RUN, new_run, plain_and_array


class Site:
    """A scheduler that says the same of each job."""

    name = "pond"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.state = JobState.RUNNING

    def poll(self, handles: Sequence[JobHandle]) -> list[JobStatus]:
        return [JobStatus(native_id=each.native_id, state=self.state) for each in handles]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"{tmp_path}/m.db")
    store.create_run(new_run(), plain_and_array())
    yield store
    store.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunSettings:
    monkeypatch.setattr(unreadable, "abort", lambda *given: None)
    monkeypatch.setattr(unreadable, "end_jobs", lambda *given: None)
    settings = RunSettings(
        run_id=RUN,
        workflow="tide",
        run_dir=tmp_path,
        store=f"sqlite:///{tmp_path}/m.db",
        executor="pond",
        python="python",
        working_directory=tmp_path,
        flow=None,
        parameters={},
    )
    settings.layout.root.mkdir(parents=True)
    return settings


@pytest.fixture
def end_after_tries(store: SqlStore, settings: RunSettings) -> Any:
    """Say whether a run ends that so many dispatchers in turn cannot read, as the site sees it."""
    lease = store.acquire(RUN, {"host": "here", "boot": "b", "pid": 1, "start": 1})
    assert lease is not None
    pilots = SubmissionRecord(
        number=1,
        kind=SubmissionKind.PILOTS,
        token="pilots-1",
        size=2,
        state=SubmissionState.ACCEPTED,
    )
    with store.fenced(lease) as write:
        write.add_submission(pilots)
    store.add_native_id(RUN, pilots.token, "75")

    def ended(site: Site) -> bool:
        error = OSError("away")
        executor: Any = site
        tries = range(MOST_TRIES + 1)
        return any(
            Unreadable(store, settings, lease, executor, Tries(settings.layout), error).end_if_due()
            for _ in tries
        )

    return ended


@pytest.mark.parametrize("own", ["", "75_0", "75"], ids=["elsewhere", "pilot", "only pilot"])
def test_pilots_that_live_keep_a_run_from_being_given_up(
    end_after_tries: Any, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("REFLOW_NATIVE_ID", own)
    assert not end_after_tries(Site())


def test_a_run_whose_pilots_are_gone_is_given_up_in_time(end_after_tries: Any) -> None:
    site = Site()
    site.state = JobState.COMPLETED
    assert end_after_tries(site)
