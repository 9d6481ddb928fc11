"""When a wave that pilots have counts as cancelled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reflow.dispatch.cancellations import end
from reflow.execution.pool.open_waves import OpenWaves
from reflow.execution.pool.pilot_files import mark_ended
from reflow.model.jobs import Capabilities
from reflow.model.records import SubmissionRecord, SubmissionState

from tests.unit.dispatch.pilots.scene import FIRST, SECOND, PilotScene

PILOTS = 5


class Site:
    """A scheduler that is to be asked for nothing: open waves have no jobs."""

    name = "pond"
    capabilities = Capabilities()


@pytest.fixture
def scene(tmp_path: Path) -> PilotScene:
    scene = PilotScene(tmp_path)
    scene.submits(PILOTS, jobs=4)
    return scene


def ended(scene: PilotScene, *waves: int, epoch: int = 1) -> list[int]:
    """Cancel waves, and return those that count as ended."""
    executor: Any = Site()
    records: list[SubmissionRecord] = [
        replace(scene.tracked.waves[wave].record, state=SubmissionState.CANCELLING)
        for wave in waves
    ]
    gone = end(scene.tracked.store, scene.settings, executor, records, epoch)
    return [record.number for record in gone]


def test_a_wave_is_ended_once_each_living_pilot_has_told_that_it_has_nothing_of_it(
    scene: PilotScene,
) -> None:
    # What it has claimed and not begun is in no slot.
    first = scene.begins(PILOTS, 0).takes(FIRST, 0, 1)
    second = scene.begins(PILOTS, 1)
    scene.begins(PILOTS, 2).leaves()
    scene.begins(PILOTS, 3).is_silent()
    assert ended(scene, FIRST, SECOND) == []
    mark_ended(second.file, FIRST)
    mark_ended(second.file, SECOND)
    assert ended(scene, FIRST, SECOND) == []
    mark_ended(first.file, SECOND)
    assert ended(scene, FIRST, SECOND) == [SECOND]
    mark_ended(first.file, FIRST)
    assert ended(scene, FIRST, SECOND) == [FIRST, SECOND]


def test_a_wave_is_ended_at_once_where_no_pilot_lives(scene: PilotScene) -> None:
    scene.begins(PILOTS, 0).takes(FIRST, 0).leaves()
    assert ended(scene, FIRST) == [FIRST]


def test_pilots_are_told_once_of_what_they_are_to_end(scene: PilotScene) -> None:
    scene.begins(PILOTS, 0)
    for epoch in (1, 1, 2):
        ended(scene, FIRST, epoch=epoch)
    told = OpenWaves(scene.settings.layout.open_waves)
    told.look()
    assert told.cancelled == {FIRST}
    assert scene.settings.layout.open_waves.read_text().count("x") == 1
