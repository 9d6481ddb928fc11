"""What a claim tells of a job that nobody else knows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from reflow.dispatch import dispatcher
from reflow.model.jobs import JobHandle, JobStatus

from tests.e2e.support import counts, failed, until
from tests.faults.scripted_scheduler import Folder, JobFault, ScriptedExecutor, Trouble
from tests.faults.test_batch import FLOW, ONCE, Batch, Flows
from tests.faults.test_batch import quick as quick


def test_an_element_that_runs_in_a_job_known_by_its_claim_alone_is_not_lost(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_GRACE_SECONDS", "0")
    flow = flow_file(FLOW.replace('did(f"each-{x}")', 'did(f"each-{x}"); wait_for("{here}/go")'))
    batch = Batch(scheduler, flow)
    scheduler.arrange(Trouble("submit", "swallow", "each"), Trouble("find", "blind", "each"))
    asked: list[int] = []
    poll = ScriptedExecutor.poll

    def counted(executor: ScriptedExecutor, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        asked.append(len(handles))
        return poll(executor, handles)

    monkeypatch.setattr(ScriptedExecutor, "poll", counted)
    run = batch.start(follow=True)
    follower = threading.Thread(target=run.follow)
    follower.start()
    until(lambda: len(batch.jobs("each")) == 2 and len(scheduler.in_queue()) == 1)
    before = len(asked)
    until(lambda: len(asked) > before + 5)
    (flow.folder / "go").touch()
    follower.join(timeout=60)

    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == ONCE


GATE = FLOW.replace('did(f"each-{x}")', 'did(f"each-{x}"); wait_for("{here}/go")')


def following(run: Any) -> threading.Thread:
    follower = threading.Thread(target=run.follow)
    follower.start()
    return follower


def states(scheduler: Folder, native_id: str) -> Counter[str]:
    """How many elements of a job stand how."""
    return Counter(item[0] for item in scheduler.standing().get(native_id, {}).values())


def test_a_job_that_shows_up_after_cancel_and_retry_runs_nothing_beside_the_new_attempt(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "ASK_AFTER", 60.0)
    batch = Batch(scheduler, flow_file(GATE))
    scheduler.arrange(Trouble("submit", "late", "each"))
    run = batch.start(follow=True)
    follower = following(run)
    until(lambda: any(scheduler.late.iterdir()))
    run.cancel()
    follower.join(timeout=60)
    assert run.state == "CANCELLED"

    assert run.retry() == 4
    follower = following(run)
    until(lambda: counts(run, "each") == {"RUNNING": 3})
    (late,) = scheduler.late.iterdir()
    late.rename(scheduler.jobs / late.name)
    scheduler.nudge()
    until(lambda: states(scheduler, late.stem)["COMPLETED"] == 3)

    (batch.flow.folder / "go").touch()
    follower.join(timeout=60)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == ONCE


def test_a_job_that_shows_up_when_its_elements_are_tried_again_runs_nothing_beside_them(
    scheduler: Folder, flow_file: Flows, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that took its place were cancelled from outside before they began."""
    batch = Batch(scheduler, flow_file(GATE))
    scheduler.arrange(Trouble("submit", "late", "each"), JobFault("cancel", "each", times=3))
    run = batch.start(follow=True)
    run.follow()
    assert set(counts(run, "each")) == {"CANCELLED"}

    assert run.retry() == 4
    follower = following(run)
    until(lambda: counts(run, "each") == {"RUNNING": 3})
    (late,) = scheduler.late.iterdir()
    late.rename(scheduler.jobs / late.name)
    scheduler.nudge()
    until(lambda: states(scheduler, late.stem)["COMPLETED"] == 3)

    (batch.flow.folder / "go").touch()
    follower.join(timeout=60)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == ONCE
