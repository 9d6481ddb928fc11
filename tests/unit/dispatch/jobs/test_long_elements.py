"""What becomes of elements that share jobs and turn out to be long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.dispatch.jobs.long_elements import LongElements, durations_of
from reflow.dispatch.jobs.packing import LONG
from reflow.dispatch.jobs.surplus import close_off
from reflow.execution.completion import count_result, prepare_counters
from reflow.model.durations import Durations
from reflow.model.states import TaskState
from reflow.rundir.claims import Claim, claim, current_claim
from reflow.rundir.packs import note_long
from reflow.rundir.wave_files import WaveSpec

from tests.unit.dispatch.jobs.test_hosts import BLOCK, SIZE, Scene


class Long(Scene):
    """The same, where hosts may find their elements long."""

    def __init__(self, folder: Path, long_after: float | None = LONG) -> None:
        super().__init__(folder)
        spec = WaveSpec.read(self.layout)
        assert spec.pack is not None
        replace(spec, pack=replace(spec.pack, long_after=long_after)).write(self.layout)
        prepare_counters(self.layout, SIZE // BLOCK)
        for position, instance in self.wave.members.items():
            instance.wave, instance.position = 1, position
        self.settings: Any = SimpleNamespace(
            layout=self.hosts._layout, claims="link", workflow="tide"
        )
        self.requeued: list[int] = []

    def give_back(self) -> bool:
        """Take one step of a new dispatcher."""
        return LongElements(self.tracked, self.settings, self.hosts, self._requeue).give_back()

    def _requeue(self, instance: Any) -> None:
        self.requeued.append(instance.index)
        self.tracked.detach(instance)
        self.tracked.move(instance, TaskState.PENDING)


@pytest.fixture
def scene(tmp_path: Path) -> Long:
    return Long(tmp_path)


def test_what_no_host_has_claimed_is_given_back_once_a_host_says_that_it_takes_long(
    scene: Long,
) -> None:
    scene.takes(0, 0)
    scene.takes(1, 2)
    assert not scene.give_back()
    assert note_long(scene.layout)
    assert scene.give_back()
    assert scene.requeued == [3, 4, 5, 9, 10, 11]
    assert sorted(scene.wave.members) == [0, 1, 2, 6, 7, 8]
    assert not scene.give_back()


def test_no_host_takes_what_was_given_back(scene: Long) -> None:
    scene.takes(0, 0, 1, 2)
    note_long(scene.layout)
    scene.give_back()
    late = Claim(native_id="7_1", incarnation="0", host="node", pid=1, element=1)
    assert not claim(scene.layout, 3, late)


def test_no_try_is_counted(scene: Long) -> None:
    before = [(each.retries_used, each.node_losses) for each in scene.wave.members.values()]
    note_long(scene.layout)
    scene.give_back()
    instances = scene.tracked.tasks["each"].instances
    assert [(each.retries_used, each.node_losses) for each in instances] == before
    assert {each.state for each in instances} == {TaskState.PENDING}


def test_what_a_dispatcher_claimed_that_died_is_given_back_by_the_next(scene: Long) -> None:
    scene.takes(0, 0, 1)
    note_long(scene.layout)
    assert close_off(scene.layout, 2, "link")
    assert scene.give_back()
    assert scene.requeued == [6, 7, 8, 9, 10, 11]


def test_the_host_that_counts_the_last_of_the_others_is_the_last(scene: Long) -> None:
    scene.takes(0, 0)
    scene.takes(1, 2)
    note_long(scene.layout)
    scene.give_back()
    assert not count_result(scene.layout, 0, SIZE // BLOCK)
    assert count_result(scene.layout, 2, SIZE // BLOCK)


def test_where_more_jobs_are_of_no_use_nothing_is_given_back(tmp_path: Path) -> None:
    scene = Long(tmp_path, long_after=None)
    note_long(scene.layout)
    assert not scene.give_back()
    assert current_claim(scene.layout, 0) is None


def test_what_is_being_cancelled_is_left_alone(scene: Long) -> None:
    note_long(scene.layout)
    scene.tracked.cancelling[1] = scene.wave.record
    assert not scene.give_back()


def test_a_disk_on_which_nothing_can_be_claimed_ends_no_dispatcher(
    scene: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> bool:
        raise OSError("no space left on device")

    monkeypatch.setattr("reflow.dispatch.jobs.long_elements.close_off", full)
    note_long(scene.layout)
    assert not scene.give_back()
    assert scene.requeued == []


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (None, LONG),
        (Durations(0.1, 0.2), LONG),
        (Durations(500.0, 900.0), 500.0),
    ],
)
def test_what_a_host_has_found_counts_as_known(
    scene: Long, known: Durations | None, expected: float
) -> None:
    scene.tracked.store = SimpleNamespace(durations=lambda *_: known)
    assert durations_of(scene.tracked, scene.settings, "each") == known
    note_long(scene.layout)
    found = durations_of(scene.tracked, scene.settings, "each")
    assert found is not None
    assert found.mean == expected
    assert durations_of(scene.tracked, scene.settings, "other") == known


def test_a_wave_is_said_to_be_long_once(scene: Long) -> None:
    assert [note_long(scene.layout) for _ in range(3)] == [True, False, False]
