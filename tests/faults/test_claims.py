"""What a claim tells of a job that nobody else knows."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from reflow.model.jobs import JobHandle, JobStatus

from tests.e2e.support import failed, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor, Trouble
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
