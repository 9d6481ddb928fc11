"""Jobs that elements share: told to end, or started once more by the scheduler."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from reflow.rundir import probe
from reflow.rundir.claims import BY_CREATION
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import ResultReader
from reflow.rundir.run_settings import read_settings

from tests.e2e.support import counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault
from tests.faults.test_batch import Batch, Flows
from tests.faults.test_batch import quick as quick
from tests.faults.test_hosts import GATE, causes, host, once, recorded, shared, wave_of
from tests.faults.test_hosts import held as held

Held = tuple[Batch, Any, WaveLayout]


def test_what_was_interrupted_when_a_job_was_put_back_runs_in_its_next_life(held: Held) -> None:
    batch, run, wave = held
    first = host(wave, run, 0, "70_0", "0")
    until(lambda: batch.flow.calls.get("each-0") == 1)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    (batch.flow.folder / "go").touch()

    assert host(wave, run, 0, "70_0", "1").wait(60) == 0

    done = [each.position for each in ResultReader(wave).new() if not each.interrupted]
    assert sorted(done) == list(range(12))
    assert batch.flow.calls == {**once(), "each-0": 2}


def test_an_element_that_can_tell_of_its_end_when_over_its_memory_has_that_cause(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    # It sleeps with little more than it may have, and is interrupted in that.
    body = "x == 5 and (held := bytearray(os.urandom(1024)) * 600_000) and time.sleep(15)"
    batch = shared(scheduler, flow_file, body, per_job=12)
    run = batch.follow()
    assert causes(run) == {5: "MEMORY"}
    assert batch.flow.calls["each-5"] == 1


def test_what_has_a_result_is_not_run_again_and_all_else_is(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, 'x == 3 and wait_for("{here}/go")')
    scheduler.arrange(JobFault("impossible", "each", times=100))
    run = batch.start()
    until(lambda: bool(batch.jobs("each")))
    wave = wave_of(batch, run)
    first = host(wave, run, 0, "70_0", "0")
    until(lambda: batch.flow.calls.get("each-3") == 1)
    until(lambda: len(recorded(wave)) == 3)
    first.kill()
    first.wait()
    (batch.flow.folder / "go").touch()

    assert host(wave, run, 0, "70_0", "1").wait(60) == 0

    assert recorded(wave) == list(range(12))
    assert batch.flow.calls == {**once(), "each-3": 2}


def test_two_copies_of_each_job_run_every_element_once_where_links_do_not_count(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_counts_links", lambda first, second: False)
    batch = shared(scheduler, flow_file)
    scheduler.arrange(JobFault("impossible", "each", times=100))
    run = batch.start()
    until(lambda: bool(batch.jobs("each")))
    wave = wave_of(batch, run)
    assert read_settings(run.run_dir, run.run_id).claims == BY_CREATION

    copies = [host(wave, run, each, f"{job}_{each}", "0") for job in (70, 71) for each in range(3)]

    assert [copy.wait(60) for copy in copies] == [0] * 6
    assert recorded(wave) == list(range(12))
    assert batch.flow.calls == once()
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)


def test_what_is_left_of_jobs_that_were_all_cancelled_by_hand_is_not_submitted_again(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = shared(scheduler, flow_file, GATE)
    run = batch.start()
    until(lambda: len(batch.flow.calls) == 3)
    (native_id,) = (name for name, job in scheduler.submitted().items() if job["size"] == 3)

    (scheduler.cancelled / native_id).touch()
    scheduler.nudge()

    until(lambda: run.state != "RUNNING")
    assert counts(run, "each") == {"CANCELLED": 12}
    assert len(batch.jobs("each")) == 1
    (batch.flow.folder / "go").touch()
    assert run.retry() > 0
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
