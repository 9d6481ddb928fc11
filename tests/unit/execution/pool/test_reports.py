"""In what order a worker's results, and the bytes of their values, come to the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from reflow.execution.pool.worker import Reporter
from reflow.model.outcomes import Outcome
from reflow.model.states import TaskState
from reflow.rundir.layout import RunLayout
from reflow.rundir.results import ResultRecord, SegmentWriter


def test_bytes_of_values_are_on_the_disk_before_a_result_refers_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    monkeypatch.setattr(SegmentWriter, "flush", lambda self: order.append("results"))

    class Values:
        def sync(self) -> None:
            order.append("values")

    layout = RunLayout(tmp_path, "run")
    layout.wave(1).directory.mkdir(parents=True)
    outcome = Outcome(task="make", index=0, attempt=1, state=TaskState.SUCCESS, output="1")
    receiver, sender = os.pipe()
    reporter = Reporter(layout, "worker", sender)
    values: Any = Values()
    reporter.add(1, ResultRecord(position=0, outcome=outcome), values)
    reporter.flush()
    os.read(receiver, 100)
    assert order[:2] == ["values", "results"]
    os.close(receiver)
    os.close(sender)
