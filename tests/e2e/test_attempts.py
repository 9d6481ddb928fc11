"""Every try of an element is on record, whatever it ended with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.run import Run
from reflow.stores.contract import ReadsAttempts

from tests.e2e.support import SECONDS, WAYS, FlowFile


def tries(run: Run, task: str) -> list[tuple[int, int, TaskState, FailureCause | None]]:
    assert isinstance(run.store, ReadsAttempts)
    return [
        (each.outcome.index, each.outcome.attempt, each.outcome.state, each.outcome.cause)
        for each in run.store.attempts(run.run_id, task)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_tries_that_failed_stay_on_record_after_a_success(
    flow_file: Callable[..., FlowFile], way: str
) -> None:
    flow = flow_file("""
        wf = Workflow("tide")

        @wf.job()
        def hours() -> list[int]:
            return [1, 2]

        @wf.job(array=True, retries=1)
        def level(hour: Annotated[int, Result(step="hours")]) -> int:
            did(f"level{hour}")
            if hour == 2 and not Path("{here}/mended").exists():
                raise ValueError("ebb")
            return hour
    """)
    run = flow.run(way)
    assert run.state is RunState.FAILED
    failed = (
        (1, 1, TaskState.FAILED, FailureCause.ERROR),
        (1, 2, TaskState.FAILED, FailureCause.ERROR),
    )
    assert tries(run, "level") == [(0, 1, TaskState.SUCCESS, None), *failed]

    (flow.folder / "mended").touch()
    run.retry()
    assert run.wait(timeout=SECONDS) is RunState.SUCCESS

    assert tries(run, "level") == [
        (0, 1, TaskState.SUCCESS, None),
        *failed,
        (1, 3, TaskState.SUCCESS, None),
    ]
