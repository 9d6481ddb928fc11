"""Runs whose data dispatchers cannot read: they wait, take in what is there, and end in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import reflow
from reflow.executors.local import LocalExecutor
from reflow.rundir.layout import RunLayout
from reflow.rundir.process import provably_dead
from reflow.rundir.run_settings import read_settings
from reflow.rundir.series import series_of
from reflow.rundir.source_record import current_source
from reflow.runs import dispatch_job
from reflow.runs.failure_policy import MOST_TRIES

from tests.e2e.support import FlowFile, counts, failed, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor

Flows = Callable[..., FlowFile]
Start = Callable[[FlowFile], Any]

FLOW = """
    wf = Workflow("unreadable")

    @wf.job()
    def items() -> list[int]:
        did("items")
        wait_for("{here}/go")
        return [1, 2]

    @wf.job()
    def beside() -> int:
        did("beside")
        wait_for("{here}/go-beside")
        return 3

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"each-{x}")
        return x * 10

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="each")]) -> int:
        return sum(xs)
"""


@pytest.fixture(params=["background", "dispatch jobs"])
def start(
    request: pytest.FixtureRequest, scheduler: Folder, monkeypatch: pytest.MonkeyPatch
) -> Start:
    """Starts the run, and waits until its first two tasks run."""
    # Watchdogs, and tries of a supervisor, follow each other within two seconds.
    monkeypatch.setenv("REFLOW_DISPATCH_OUTAGE_HOURS", str(12 / 3600))

    def submit(flow: FlowFile) -> Any:
        local = request.param == "background"
        executor = LocalExecutor(slots=2) if local else ScriptedExecutor(folder=str(scheduler.path))
        run = flow.load().submit(executor=executor)
        until(lambda: flow.calls == {"items": 1, "beside": 1})
        return run

    return submit


def layout_of(run: Any) -> RunLayout:
    return RunLayout(run.run_dir, run.run_id)


def need_data(run: Any) -> None:
    """Have a supervisor replaced by another, which has read nothing yet; dispatch jobs end."""
    owner = run.store.lease(run.run_id).owner
    if run.store.run(run.run_id).executor == "local":
        os.kill(owner["pid"], signal.SIGKILL)
        until(lambda: provably_dead(owner))
        run.status(as_dict=True)


def go_on(flow: FlowFile, *tasks: str) -> None:
    for task in tasks:
        (flow.folder / {"items": "go", "beside": "go-beside"}[task]).touch()


def wait_for_word(run: Any) -> str:
    """What `status` says of a run whose dispatcher cannot read its data."""
    until(layout_of(run).dispatch_trouble.exists)
    return " ".join(run.status(as_dict=True)["notes"])


def has_tried(run: Any, times: int) -> None:
    """Have a run seem to have been tried so often."""
    layout_of(run).tries.write_text(f"{time.time()}\n" * times)


def lose(path: Path) -> None:
    path.rename(path.with_name("lost"))


def damage(path: Path) -> None:
    path.with_name("lost").write_bytes(path.read_bytes())
    path.write_bytes(path.read_bytes()[:-10])


def zero(path: Path) -> None:
    path.with_name("lost").write_bytes(path.read_bytes())
    path.write_bytes(bytes(16))


def source_record(run: Any) -> Path:
    return layout_of(run).source_record(current_source(layout_of(run)))


@pytest.mark.parametrize(
    ("what", "happens"),
    [("record", lose), ("record", damage), ("name", zero)],
    ids=["lost", "damaged", "zeros"],
)
def test_a_run_waits_for_its_data_takes_in_results_and_goes_on(
    flow_file: Flows, start: Start, what: str, happens: Callable[[Path], None]
) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    path = source_record(run) if what == "record" else layout_of(run).source
    happens(path)
    need_data(run)
    go_on(flow, "items", "beside")
    said = wait_for_word(run)
    assert "cannot use the run's data" in said or "could not use the run's data" in said
    assert str(path) in said
    assert "tried again" in said
    until(lambda: counts(run, "items") == counts(run, "beside") == {"SUCCESS": 1})
    # Looks at it do not count as tries.
    for _ in range(MOST_TRIES + 2):
        run.status(as_dict=True)
    assert run.state == "RUNNING"

    path.with_name("lost").replace(path)

    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == 30
    assert set(flow.calls.values()) == {1}
    # Both are withdrawn after the step that recorded the end.
    until(lambda: not layout_of(run).tries.exists())
    until(lambda: not layout_of(run).dispatch_trouble.exists())


def test_a_run_fails_after_ten_tries_and_retry_goes_on_from_there(
    flow_file: Flows, start: Start, scheduler: Folder
) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    path = source_record(run)
    lose(path)
    has_tried(run, MOST_TRIES - 1)
    need_data(run)
    go_on(flow, "items", "beside")
    until(lambda: run.state != "RUNNING")
    assert run.state == "FAILED"
    message = run.status(as_dict=True)["run"]["message"]
    assert "cannot be dispatched" in message
    assert str(path) in message
    assert counts(run, "items") == counts(run, "beside") == {"SUCCESS": 1}
    assert run.status(as_dict=True)["tasks"]["total"]["state"] == "CANCELLED"
    until(lambda: not scheduler.in_queue())

    run.retry()

    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert flow.calls == {"items": 1, "beside": 1, "each-1": 1, "each-2": 1}


def test_a_run_fails_a_day_after_its_last_job_ended(flow_file: Flows, start: Start) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    lose(source_record(run))
    layout_of(run).tries.write_text(f"{time.time() - 24 * 3600 - 1}\n")
    need_data(run)
    go_on(flow, "items", "beside")
    until(lambda: run.state == "FAILED")


def test_nothing_is_counted_or_ended_while_jobs_of_the_run_live(
    flow_file: Flows, start: Start
) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    lose(source_record(run))
    has_tried(run, MOST_TRIES - 1)
    before = layout_of(run).tries.read_text()
    need_data(run)
    go_on(flow, "items")
    wait_for_word(run)
    until(lambda: counts(run, "items") == {"SUCCESS": 1})
    # Another try, at least.
    layout_of(run).dispatch_trouble.unlink(missing_ok=True)
    wait_for_word(run)
    assert run.state == "RUNNING"
    assert layout_of(run).tries.read_text() == before
    go_on(flow, "beside")
    until(lambda: run.state != "RUNNING")
    assert run.state == "FAILED"
    assert counts(run, "beside") == {"SUCCESS": 1}


def test_a_run_whose_data_cannot_be_read_can_be_cancelled(
    flow_file: Flows, start: Start, scheduler: Folder
) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    lose(source_record(run))
    need_data(run)
    go_on(flow, "items")
    wait_for_word(run)
    assert run.cancel() > 0
    assert run.state == "CANCELLED"
    until(lambda: not scheduler.in_queue())


def test_a_damaged_run_is_given_up_by_dispatch_jobs_and_ended_by_a_look(
    flow_file: Flows, scheduler: Folder, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    idle = Folder(tmp_path / "idle").make()
    run = flow.load().submit(executor=ScriptedExecutor(folder=str(idle.path)))
    layout_of(run).settings.write_text("{")
    job = [str(run.run_dir), run.run_id]
    assert [dispatch_job.main(job) for _ in range(MOST_TRIES - 1)] == [1] * (MOST_TRIES - 1)
    assert "damaged" in " ".join(run.status(as_dict=True)["notes"])
    assert run.state == "RUNNING"
    assert not layout_of(run).ended.exists()

    # Its script submits a watchdog again where it fails, and where the run has not ended.
    assert dispatch_job.main(job) == 0
    assert layout_of(run).ended.exists()
    run.status(as_dict=True)
    assert run.state == "FAILED"
    assert "damaged" in run.status(as_dict=True)["run"]["message"]


# -- another reflow -------------------------------------------------------------------------


def submitted_with(run: Any, version: str) -> None:
    """Have a run seem to be submitted with another version."""
    replace(read_settings(run.run_dir, run.run_id), reflow=version).write()


def test_versions_of_one_series_go_on_with_each_other_s_runs(
    flow_file: Flows, start: Start
) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    submitted_with(run, f"{series_of(reflow.__version__)}.9999")
    need_data(run)
    go_on(flow, "items", "beside")
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)


def test_a_run_ends_clearly_under_another_series_of_reflow_and_retry_goes_on(
    flow_file: Flows, start: Start
) -> None:
    flow = flow_file(FLOW)
    run = start(flow)
    submitted_with(run, "0.0.9")
    need_data(run)
    go_on(flow, "items")
    said = wait_for_word(run)
    assert "submitted with reflow 0.0.9" in said
    # What runs is not ended for it.
    until(lambda: counts(run, "items") == {"SUCCESS": 1})
    assert run.state == "RUNNING"
    go_on(flow, "beside")
    until(lambda: run.state != "RUNNING")
    assert run.state == "FAILED"
    message = run.status(as_dict=True)["run"]["message"]
    assert f"has reflow {reflow.__version__} now" in message
    assert f"reflow retry {run.run_id}" in message
    assert counts(run, "beside") == {"SUCCESS": 1}

    run.retry()

    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == 30
    assert set(flow.calls.values()) == {1}


def test_a_worker_of_another_series_says_so(flow_file: Flows) -> None:
    flow = flow_file(FLOW)
    run = flow.load().submit(executor=LocalExecutor(slots=1))
    until(lambda: flow.calls["items"])
    submitted_with(run, "0.0.9")
    go_on(flow, "items")
    until(lambda: ("beside", None) in failed(run))
    assert "submitted with reflow 0.0.9" in failed(run)["beside", None][1]


@pytest.mark.parametrize(
    ("version", "series"), [("0.4.1", "0.4"), ("0.10.0", "0.10"), ("1.2.3", "1"), ("", "")]
)
def test_a_series_is_what_may_not_change_between_minor_versions(version: str, series: str) -> None:
    assert series_of(version) == series
