"""Which elements are opened to pilots, which have jobs of their own, and when pilots are made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.dispatch.submit import Submitter
from reflow.dispatch.tracked_run import TrackedTask
from reflow.model.jobs import Limits
from reflow.model.pilots import Pilots
from reflow.model.records import Instance
from reflow.model.states import FailureCause, TaskState

from tests.unit.dispatch.pilots.dispatching import Scene
from tests.unit.dispatch.pilots.scene import SIZE
from tests.unit.dispatch.tasks import task

PILOTS = Pilots(jobs=2, cpus=8)


class SubmitScene(Scene):
    """The run with one more task of which everything is ready, and who submits it."""

    def __init__(self, folder: Path, pilots: Pilots = PILOTS, **spec: Any) -> None:
        super().__init__(folder, pilots)
        self.ready = task("c", "PPPP", **spec)
        self.tracked.tasks["c"] = self.ready
        self.submitter = self.new_submitter()

    def new_submitter(self) -> Submitter:
        cache: Any = SimpleNamespace(find=lambda *given: {})
        executor: Any = self.scheduler
        return Submitter(self.tracked, self.settings, executor, cache, lambda: None, self.jobs)

    def schedule(self) -> bool:
        self.submitter.new_step()
        pending = [each for each in self.ready.instances if each.state is TaskState.PENDING]
        return self.submitter.schedule(_arguments(self.ready), pending)

    @property
    def active(self) -> list[int]:
        """By their indices, the elements that are with pilots or in jobs."""
        there = (TaskState.SUBMITTED, TaskState.RUNNING)
        return [each.index for each in self.ready.instances if each.state in there]

    @property
    def elements(self) -> list[Instance]:
        return self.ready.instances


def _arguments(given: TrackedTask) -> Any:
    return SimpleNamespace(
        task=given,
        planned=SimpleNamespace(code="", source=""),
        common={},
        each=(),
        common_states={},
        values=lambda index: (),
        identity=lambda values: "",
        states=lambda values: {},
    )


Scenes = Callable[..., SubmitScene]


@pytest.fixture
def scene(tmp_path: Path) -> Scenes:
    """The run, as seen from a login node."""
    return lambda *given, **spec: SubmitScene(tmp_path, *given, **spec)


# -- array_parallelism ---------------------------------------------------------------------
def test_where_elements_ask_for_different_amounts_only_one_wave_of_a_limited_task_is_opened(
    scene: Scenes,
) -> None:
    one = scene(array_parallelism=1)
    one.elements[2].mem_scale = 2.0
    assert one.schedule()
    assert one.active == [0, 1, 3]
    # The other waits until they have ended: it would run under permits of its own.
    assert not one.schedule()
    for index in one.active:
        one.tracked.move(one.elements[index], TaskState.SUCCESS)
    assert one.schedule()
    assert one.active == [2]


def test_suspects_of_a_limited_task_have_no_jobs_beside_those_that_pilots_run(
    scene: Scenes,
) -> None:
    one = scene(array_parallelism=1)
    suspect = one.elements[1]
    suspect.node_losses, suspect.cause = 1, FailureCause.SIGNAL
    assert one.schedule()
    assert one.active == [0, 2, 3]
    # Only pilots.
    assert one.scheduler.names == ["pilots"]
    for index in one.active:
        one.tracked.move(one.elements[index], TaskState.SUCCESS)
    assert one.schedule()
    assert one.active == [1]
    assert one.scheduler.names == ["pilots", "c"]


def test_suspects_of_a_task_without_a_limit_have_jobs_beside_what_pilots_run(
    scene: Scenes,
) -> None:
    one = scene()
    suspect = one.elements[1]
    suspect.node_losses, suspect.cause = 1, FailureCause.SIGNAL
    assert one.schedule()
    assert one.active == [0, 1, 2, 3]
    assert one.scheduler.names == ["pilots", "c"]


# -- room in the queue ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), [4]),
        # One watchdog is in the queue; places stay free for the next, and for the follow-up.
        (Limits(max_submit_jobs=4, queued_jobs=1), [1]),
        (Limits(max_submit_jobs=5, queued_jobs=1), [2]),
        (Limits(max_submit_jobs=20, queued_jobs=1), [4]),
        (Limits(max_array_size=3), [3]),
        # What is kept free is given up where nothing of the run would go on.
        (Limits(max_submit_jobs=4, queued_jobs=3), [1]),
        # There an array takes one place, and its follow-up another.
        (Limits(max_whole_jobs=4, queued_whole_jobs=1), [4]),
    ],
)
def test_no_more_pilots_are_submitted_than_the_queue_has_places_for(
    scene: Scenes, limits: Limits, expected: list[int]
) -> None:
    one = scene(Pilots(jobs=4, cpus=1))
    one.scheduler.limited = limits
    assert one.schedule()
    assert one.active == [0, 1, 2, 3]
    one.submitter.replace_pilots()
    assert one.scheduler.sizes == expected


def test_elements_for_pilots_wait_where_the_queue_is_full(scene: Scenes) -> None:
    one = scene(Pilots(jobs=4, cpus=1))
    one.scheduler.limited = Limits(max_submit_jobs=4, queued_jobs=4)
    assert not one.schedule()
    assert one.submitter.deferred == "4 of 4 places in the queue are taken"
    assert one.scheduler.sizes == []
    assert one.active == []


def test_elements_for_pilots_fail_where_not_one_can_ever_be_submitted(scene: Scenes) -> None:
    one = scene(Pilots(jobs=4, cpus=1))
    one.scheduler.limited = Limits(max_submit_jobs=1, queued_jobs=1)
    assert one.schedule()
    assert {each.state for each in one.elements} == {TaskState.FAILED}
    assert {each.cause for each in one.elements} == {FailureCause.SUBMIT}
    assert "no more than 1 jobs may be in the queue" in one.elements[0].error


def test_where_no_pilot_is_missing_the_scheduler_is_not_asked_for_its_limits(
    scene: Scenes,
) -> None:
    one = scene()
    for number in (1, 2):
        one.ended(number, *range(SIZE))
    one.submits(5)
    for job in (0, 1):
        one.begins(5, job)
    assert one.schedule()
    one.submitter.replace_pilots()
    assert one.scheduler.limits_asked == 0
    assert one.scheduler.asked == []


def test_pilots_for_which_there_are_no_places_are_not_asked_for_before_each_stage(
    scene: Scenes,
) -> None:
    one = scene(Pilots(jobs=4, cpus=1))
    one.scheduler.limited = Limits(max_submit_jobs=4, queued_jobs=1)
    one.schedule()
    one.submitter = one.new_submitter()
    for _ in range(3):
        one.submitter.new_step()
        one.submitter.replace_pilots()
    assert one.scheduler.limits_asked == 2
