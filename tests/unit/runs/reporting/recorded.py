"""Runs that are recorded without having run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reflow.model.attempts import Attempt
from reflow.model.outcomes import Outcome
from reflow.model.records import (
    Instance,
    RunRecord,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
    TaskRecord,
)
from reflow.model.states import FailureCause, RunState, TaskState
from reflow.stores.contract import KeepsAttempts
from reflow.stores.sql import SqlStore

RUN = "sums-20261122-a1b2"
CREATED = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
START = CREATED.timestamp()
SUBMITTED = 10.0
"""When the only wave was submitted, in seconds since the run was created."""


def succeeded(index: int, start: float, end: float, **more: Any) -> Outcome:
    """An element of the array task that succeeded, by seconds since the run was created."""
    given: dict[str, Any] = {"attempt": 1, "host": "n1", "peak_memory": 1 << 20, "cpu_time": 1.0}
    return Outcome(
        task="square",
        index=index,
        state=TaskState.SUCCESS,
        output="1",
        started_at=START + start,
        ended_at=START + end,
        **{**given, **more},
    )


def failed(index: int, error: str, start: float = 11.0, end: float = 12.0, **more: Any) -> Outcome:
    """An element of the array task that failed."""
    outcome = succeeded(index, start, end, cause=FailureCause.ERROR, error=error, **more)
    return replace(outcome, state=TaskState.FAILED, output=None)


def record(
    folder: Path,
    outcomes: Sequence[Outcome],
    *,
    earlier: Sequence[Outcome] = (),
    state: RunState = RunState.SUCCESS,
    **run: Any,
) -> SqlStore:
    """A store with a run whose array task `square` has ended so.

    `earlier` holds attempts that were retried.
    """
    store = SqlStore(f"{folder}/manifest.db")
    given: dict[str, Any] = {
        "run_id": RUN,
        "workflow": "sums",
        "state": RunState.RUNNING,
        "run_dir": folder,
        "created_at": CREATED,
        "parameters": {},
        "uid": os.geteuid(),
    }
    tasks = [
        TaskRecord(name="numbers", ordinal=0, array=False, size=1),
        TaskRecord(name="square", ordinal=1, array=True),
    ]
    store.create_run(RunRecord(**{**given, **run}), tasks)
    run_id = {**given, **run}["run_id"]
    lease = store.acquire(run_id, {})
    assert lease is not None
    with store.fenced(lease) as writer:
        writer.add_submission(
            SubmissionRecord(
                number=1,
                kind=SubmissionKind.WAVE,
                token=f"t-{run_id}",
                state=SubmissionState.OVER,
                submitted_at=CREATED + timedelta(seconds=SUBMITTED),
            )
        )
        writer.set_task_size("square", len(outcomes))
        writer.add_instances(
            [
                Instance(task=one.task, index=one.index, attempt=one.attempt, wave=1)
                for one in outcomes
            ]
        )
        assert isinstance(writer, KeepsAttempts)
        writer.add_attempts(
            [
                Attempt(outcome=one, wave=1)
                for one in (*earlier, *outcomes)
                if one.state is not TaskState.SUCCESS
            ]
        )
        writer.record_outcomes(outcomes)
        if state.final:
            writer.set_run_state(state)
    store.release(lease)
    return store
