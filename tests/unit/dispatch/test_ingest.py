"""When results are looked for again that are known to be there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reflow.dispatch.ingest import Ingest
from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.tracked_run import TrackedWave
from reflow.execution.completion import count_result, prepare_counters
from reflow.model.records import SubmissionKind, SubmissionRecord

from tests.unit.dispatch.pilots.scene import PilotScene
from tests.unit.dispatch.tasks import task, tracked_run_of


def test_results_that_are_counted_and_not_seen_are_looked_for_again(tmp_path: Path) -> None:
    settings = PilotScene(tmp_path).settings
    tracked = tracked_run_of(task("each", "QQ"))
    record = SubmissionRecord(number=7, kind=SubmissionKind.WAVE, task="each", token="each-7")
    members = dict(enumerate(tracked.tasks["each"].instances))
    wave = tracked.waves[7] = TrackedWave(record, members)
    unused: Any = None
    hosts = Hosts(tracked, settings.layout)
    ingest = Ingest(tracked, settings, lambda: None, True, unused, hosts)
    layout = settings.layout.wave(7)
    layout.directory.mkdir(parents=True)
    prepare_counters(layout, 2)

    count_result(layout, 0, 2)
    ingest.look_for_unseen()
    assert ingest.look_again_in is None

    count_result(layout, 1, 2)
    found: list[float | None] = []
    for _ in range(7):
        ingest.look_for_unseen()
        found.append(ingest.look_again_in)
    assert found == [1, 2, 4, 8, 16, 30, 30]

    wave.members.clear()
    ingest.look_for_unseen()
    assert ingest.look_again_in is None
