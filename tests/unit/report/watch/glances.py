"""Looks at a run, as the view of it gets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reflow.model.records import FailedInstance, RunRecord
from reflow.model.states import FailureCause, RunState
from reflow.report.watch.state import State, begin, with_look
from reflow.runs.watching.glance import ElementName, Glance, Pace, Running

from tests.unit.report.statuses import RUN_ID, status, task

NOW = datetime(2026, 11, 22, 8, 10, tzinfo=UTC)


def glance(
    tasks: Mapping[str, dict[str, Any]],
    state: str = "RUNNING",
    *,
    failures: Sequence[FailedInstance] = (),
    running: Sequence[Running] = (),
    hosts: Mapping[str, int] | None = None,
    paces: Mapping[str, Pace] | None = None,
    left: timedelta | None = None,
    **run: Any,
) -> Glance:
    """One look at a run."""
    return Glance(
        at=NOW,
        status=status(state, dict(tasks), **run),
        failures=failures,
        running=running,
        hosts=hosts or {},
        paces=paces or {},
        left=left,
    )


def failure(name: str, index: int | None, error: str = "ValueError: no") -> FailedInstance:
    """A failed element."""
    return FailedInstance(
        task=name,
        index=index,
        cause=FailureCause.ERROR,
        error=error,
        traceback="",
        log="",
        job_id="",
        attempt=1,
    )


def running(name: str, index: int | None, host: str = "") -> Running:
    """A running element."""
    return Running(element=ElementName(name, index), attempt=1, job_id="7_1", host=host)


def shown(look: Glance) -> State:
    """The state of a view that has seen one look."""
    return with_look(begin(RUN_ID), look)


def weather() -> Glance:
    """A run in which much is going on."""
    convert = task("RUNNING", 1000, array=True, SUCCESS=512, RUNNING=32, SUBMITTED=446, FAILED=10)
    return glance(
        {
            "fetch": task("SUCCESS"),
            "convert": convert | {"reason": "Priority"},
            "mean": task("PENDING", 1000, array=True, PENDING=1000),
            "plot": task("PENDING", None, array=True),
        },
        failures=[failure("convert", index, f"ValueError: no file {index}") for index in range(9)],
        running=[running("convert", 600 + place, f"n{place % 3}") for place in range(32)],
        hosts={"n0": 11, "n1": 11, "n2": 10},
        paces={"convert": Pace(64.2, timedelta(minutes=7, seconds=27))},
        left=timedelta(minutes=18, seconds=4),
        executor="batch",
    )


def record(run_id: str, *, finished: bool) -> RunRecord:
    """One of many runs."""
    return RunRecord(
        run_id=run_id,
        workflow="a",
        state=RunState.SUCCESS if finished else RunState.RUNNING,
        run_dir=Path("/scratch/a"),
        created_at=NOW - timedelta(minutes=10),
        finished_at=NOW if finished else None,
        parameters={},
    )
