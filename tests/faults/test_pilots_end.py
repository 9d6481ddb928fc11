"""Pilots that are killed, preempted, cancelled or started again while they have open work."""

from __future__ import annotations

import os
import re
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.dispatch.pilots import choice
from reflow.execution.pool.pilot_files import SILENT_AFTER, PilotFile, pilot_files
from reflow.model.pilots import Pilots

from tests.e2e.support import counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault
from tests.faults.test_batch import Batch, Flows
from tests.faults.test_batch import quick as quick
from tests.faults.test_pilots import (
    GATE,
    TOTAL,
    TWO,
    causes,
    layout_of,
    nothing_queued,
    once,
    over,
    pilot,
    piloted,
)

TELLS = """
        try:
            wait_for("{here}/go")
        except TaskInterrupted:
            did(f"interrupted-{x}")
            raise
"""


def at_work(batch: Batch, number: int) -> None:
    """Wait until so many elements run."""
    until(lambda: len([word for word in batch.flow.calls if word.startswith("each-")]) == number)


def files_of(run: Any) -> list[PilotFile]:
    """The files of pilots, in the order in which they began."""
    return sorted(pilot_files(layout_of(run).hosts), key=lambda file: file.begun_at)


def go(batch: Batch) -> None:
    (batch.flow.folder / "go").touch()


def fall_silent(path: Path) -> None:
    """Have a pilot's last sign of life be old, in place of waiting."""
    then = path.stat().st_mtime - SILENT_AFTER - 10
    os.utime(path, (then, then))


def assert_complete(batch: Batch, run: Any, again: int = 0) -> None:
    """All succeeded; at most so many elements of the first array ran twice, and nothing else."""
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == TOTAL
    calls = {word: times for word, times in batch.flow.calls.items() if word in once()}
    twice = {word for word, times in calls.items() if times > 1}
    assert set(calls) == set(once())
    assert max(calls.values()) <= 2
    assert len(twice) <= again, twice
    assert all(word.startswith("each-") for word in twice)
    nothing_queued(batch)


def kill(batch: Batch, scheduler: Folder, run: Any) -> PilotFile:
    """Have one of two pilots killed whose workers are at elements; its file, which is silent."""
    at_work(batch, 4)
    (scheduler.path / "begun").touch()
    until(
        lambda: (
            "FAILED" in [item[0] for job in scheduler.standing().values() for item in job.values()]
        )
    )
    (dead,) = (file for file in files_of(run) if file.element == 0)
    fall_silent(dead.path)
    return dead


# -- killed --------------------------------------------------------------------------------
def test_a_pilot_that_is_killed_with_open_work_is_noticed_by_another(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No other leg would look.
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", "false")
    batch = piloted(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("murder", "pilots", position=0))
    run = batch.start(pilots=TWO)
    kill(batch, scheduler, run)
    go(batch)
    over(run)
    assert_complete(batch, run, again=2)


def test_of_a_killed_pilots_elements_none_is_blamed_and_each_suspect_runs_alone(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("murder", "pilots", position=0))
    run = batch.start(pilots=TWO)
    kill(batch, scheduler, run)
    until(lambda: len(batch.jobs("each")) > 0)
    go(batch)
    over(run)
    assert_complete(batch, run, again=2)
    assert sum(job["size"] or 1 for job in batch.jobs("each")) == 2


def test_all_pilots_are_killed_and_others_come(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("murder", "pilots", times=2))
    run = batch.start(pilots=TWO)
    at_work(batch, 4)
    (scheduler.path / "begun").touch()
    for file in files_of(run):
        fall_silent(file.path)
    until(lambda: len(batch.jobs("pilots")) == 2)
    go(batch)
    over(run)
    assert_complete(batch, run, again=4)


def test_the_follow_up_of_the_only_pilot_finds_at_once_that_it_was_killed(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG", "false")
    batch = piloted(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("murder", "pilots"))
    run = batch.start(pilots=Pilots(jobs=1, cpus=2))
    at_work(batch, 2)
    (scheduler.path / "begun").touch()
    until(lambda: len(batch.jobs("pilots")) == 2)
    go(batch)
    over(run)
    assert_complete(batch, run, again=2)


# -- started again -------------------------------------------------------------------------
def test_a_pilot_that_is_requeued_in_the_middle_loses_nothing(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("requeue", "pilots", position=0))
    run = batch.start(pilots=TWO)
    at_work(batch, 4)
    (scheduler.path / "begun").touch()
    until(lambda: [file.incarnation for file in files_of(run)] == ["0", "0", "1"])
    go(batch)
    over(run)
    assert_complete(batch, run, again=2)
    assert len(batch.jobs("pilots")) == 1


@pytest.fixture
def held(scheduler: Folder, flow_file: Flows, quick: None) -> tuple[Batch, Any]:
    """A run whose pilots are submitted, and run nothing."""
    batch = piloted(scheduler, flow_file, GATE)
    scheduler.arrange(JobFault("impossible", "pilots", times=100))
    run = batch.start(pilots=TWO)
    until(lambda: bool(batch.jobs("pilots")))
    return batch, run


def test_two_copies_of_each_pilot_run_every_element_once(held: tuple[Batch, Any]) -> None:
    batch, run = held
    go(batch)
    copies = [pilot(run, each, f"{job}_{each}", "0") for job in (70, 71) for each in (0, 1)]
    over(run)
    assert [copy.wait(60) for copy in copies] == [0] * 4
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()


def test_a_pilot_whose_later_self_runs_ends(held: tuple[Batch, Any]) -> None:
    batch, run = held
    first = pilot(run, 0, "70_0", "0")
    at_work(batch, 2)
    again = pilot(run, 0, "70_0", "1")
    try:
        assert first.wait(30) == 0
        assert again.poll() is None
        go(batch)
        over(run)
        assert again.wait(60) == 0
    finally:
        again.kill()
        again.wait()
    assert run.result("total") == TOTAL
    assert max(batch.flow.calls.values()) <= 2


# -- told to end ---------------------------------------------------------------------------
@pytest.mark.parametrize("pilots", [1, 2])
def test_what_runs_when_pilots_are_warned_is_interrupted_and_runs_again(
    scheduler: Folder, flow_file: Flows, quick: None, pilots: int
) -> None:
    batch = piloted(scheduler, flow_file, TELLS)
    scheduler.arrange(JobFault("warn", "pilots", times=pilots))
    run = batch.start(pilots=TWO)
    at_work(batch, 4)
    (scheduler.path / "begun").touch()
    until(lambda: len([w for w in batch.flow.calls if w.startswith("interrupted")]) == 2 * pilots)
    # New pilots take what is left.
    until(lambda: sum(job["size"] or 1 for job in batch.jobs("pilots")) == 2 + pilots)
    go(batch)
    over(run)
    assert_complete(batch, run, again=2 * pilots)
    assert not batch.jobs("each")
    tries = {item.index: item.retries_used for item in run.store.instances(run.run_id)}
    assert set(tries.values()) == {0}


def test_what_a_pilot_had_that_somebody_has_cancelled_runs_elsewhere(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, TELLS)
    run = batch.start(pilots=TWO)
    at_work(batch, 4)
    (number,) = (name for name, job in scheduler.submitted().items() if "pilots" in job["token"])
    (scheduler.cancelled / f"{number}.0").touch()
    scheduler.nudge()
    until(lambda: len([w for w in batch.flow.calls if w.startswith("interrupted")]) == 2)
    go(batch)
    over(run)
    assert_complete(batch, run, again=2)


def test_pilots_without_work_end_and_others_come_once_there_is_some(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    # The first array does not fit: pilots have nothing to do meanwhile.
    batch = piloted(scheduler, flow_file, GATE, ", cpus=4")
    run = batch.start(pilots=Pilots(jobs=2, cpus=2, idle="1s"))
    at_work(batch, 4)
    until(lambda: len(files_of(run)) == 2 and all(file.has_left for file in files_of(run)))
    go(batch)
    over(run)
    assert_complete(batch, run)
    # On a busy machine one may find nothing to do for a second more than once.
    assert 2 <= len(batch.jobs("pilots")) <= 4


def test_pilots_that_have_no_time_left_are_replaced(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "LEAST_TIME", timedelta(seconds=30))
    # Half a minute before its end a pilot begins nothing more.
    batch = piloted(scheduler, flow_file, "time.sleep(1.2)")
    run = batch.start(pilots=Pilots(jobs=1, cpus=1, time="00:00:38"))
    over(run, 120)
    pilots = len(batch.jobs("pilots"))
    assert pilots > 1
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == TOTAL
    # Each but the last interrupts the one that it is at, which may be the same.
    calls = batch.flow.calls
    assert set(once()) <= set(calls)
    assert sum(calls[word] for word in once()) <= len(once()) + pilots - 1
    nothing_queued(batch)


# -- cancel and retry ----------------------------------------------------------------------
@pytest.mark.parametrize("name", [None, "each"])
def test_cancelling_ends_what_pilots_run_and_a_retry_completes(
    scheduler: Folder, flow_file: Flows, quick: None, name: str | None
) -> None:
    batch = piloted(scheduler, flow_file, GATE)
    run = batch.start(pilots=TWO)
    at_work(batch, 4)
    run.cancel(*([] if name is None else [name]))
    over(run)
    assert counts(run, "each") == {"CANCELLED": 12}
    nothing_queued(batch)
    go(batch)
    assert run.retry() > 0
    over(run)
    assert_complete(batch, run, again=4)


ALONE = """
        os.close(os.open(f"{here}/at-{x}", os.O_CREAT | os.O_EXCL))
        try:
            wait_for("{here}/go")
        finally:
            os.unlink(f"{here}/at-{x}")
"""
"""Fails where another attempt of the element runs."""


def test_what_is_cancelled_and_tried_again_at_once_waits_until_pilots_have_ended_it(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, ALONE)
    run = batch.start(pilots=TWO)
    at_work(batch, 4)
    run.cancel("each")
    assert run.retry() > 0
    go(batch)
    over(run)
    assert_complete(batch, run, again=4)


def test_a_task_is_cancelled_and_others_go_on(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, 'x > 10 and wait_for("{here}/go")')
    run = batch.start(pilots=TWO)
    at_work(batch, 12)
    until(lambda: counts(run, "next").get("SUCCESS") == 11)
    run.cancel("each")
    over(run)
    assert counts(run, "each") == {"SUCCESS": 11, "CANCELLED": 1}
    assert counts(run, "next") == {"SUCCESS": 11, "SKIPPED": 1}
    nothing_queued(batch)


def test_what_has_failed_is_tried_again_while_pilots_go_on_with_the_rest(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    body = """
        if x == 0:
            assert Path("{here}/mended").exists()
        elif x > 10:
            wait_for("{here}/go")
"""
    batch = piloted(scheduler, flow_file, body)
    run = batch.start(pilots=TWO)
    until(lambda: causes(run) == {0: "ERROR"})
    at_work(batch, 12)
    (batch.flow.folder / "mended").touch()
    assert run.retry() > 0
    until(lambda: counts(run, "each").get("SUCCESS") == 11)
    go(batch)
    over(run)
    assert_complete(batch, run, again=1)
    assert len(batch.jobs("pilots")) == 1


def test_a_flow_that_was_mended_is_loaded_anew_by_pilots_that_had_loaded_it(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    body = """
        if x == 0:
            assert False, "the bug"
        elif x > 10:
            wait_for("{here}/go")
"""
    batch = piloted(scheduler, flow_file, body)
    run = batch.start(pilots=TWO)
    until(lambda: causes(run) == {0: "ERROR"})
    until(lambda: counts(run, "each").get("SUCCESS") == 10)

    batch.flow.replace('assert False, "the bug"', "return 777")
    batch.flow.replace("return x * 10", "return x * 1000")
    assert run.retry() > 0
    go(batch)
    over(run)

    assert run.state == "SUCCESS", failed(run)
    assert run.result("each", 0) == 777
    # What is in the cache is of the source that it is stored under.
    again = batch.start(pilots=TWO)
    over(again)
    assert [again.result("each", index) for index in (0, 1, 5)] == [777, 1000, 5000]


def test_what_has_failed_is_tried_again_after_the_end_by_new_pilots(
    scheduler: Folder, flow_file: Flows, quick: None
) -> None:
    batch = piloted(scheduler, flow_file, 'assert x or Path("{here}/mended").exists()')
    run = batch.start(pilots=TWO)
    over(run)
    assert causes(run) == {0: "ERROR"}
    nothing_queued(batch)
    (batch.flow.folder / "mended").touch()
    # The task's element, what was skipped behind it, and the last task.
    assert run.retry() == 3
    over(run)
    assert_complete(batch, run, again=1)
    assert [job["size"] for job in batch.jobs("pilots")] in ([2, 2], [2, 2, 1])


# -- legs ----------------------------------------------------------------------------------
@pytest.mark.parametrize("leg", ["last_worker", "follow_up", "watchdog"])
@pytest.mark.parametrize("killed", [False, True])
def test_without_any_one_leg_a_run_in_pilots_goes_on(
    scheduler: Folder,
    flow_file: Flows,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
    leg: str,
    killed: bool,
) -> None:
    monkeypatch.setenv(f"REFLOW_DISPATCH_{leg.upper()}", "false")
    batch = piloted(scheduler, flow_file, GATE)
    if killed:
        scheduler.arrange(JobFault("murder", "pilots", position=0))
    run = batch.start(pilots=TWO)
    if killed:
        kill(batch, scheduler, run)
    go(batch)
    over(run, 120)
    assert_complete(batch, run, again=2 * killed)


def test_a_step_that_dies_with_its_process_is_taken_again(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG", "false")
    batch = piloted(scheduler, flow_file, GATE)
    run = batch.start(pilots=Pilots(jobs=1, cpus=2))
    at_work(batch, 2)
    log = layout_of(run).dispatch_log
    for dispatcher in dispatchers_in(log.read_text()):
        os.kill(dispatcher, signal.SIGKILL)
    go(batch)
    over(run)
    assert_complete(batch, run)


def dispatchers_in(log: str) -> set[int]:
    """The processes that have written to a log and live."""
    pids = {int(pid) for pid in re.findall(r"pid (\d+)", log)}
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def test_where_jobs_may_not_use_the_scheduler_stages_follow_each_other_all_the_same(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG_MINUTES", "10")
    batch = piloted(scheduler, flow_file, GATE)
    run = batch.start(pilots=TWO)
    (scheduler.path / "jobs-may-not").touch()
    go(batch)
    until(lambda: batch.flow.calls["total"] == 1)
    assert batch.flow.calls == once()
    until(lambda: run.state == "SUCCESS")
    # Its end could not be told to the scheduler; a machine that may submit does that.
    (scheduler.path / "jobs-may-not").unlink()
    run.status(as_dict=True)
    nothing_queued(batch)
