"""When pilots are submitted, what they are told, and when they are replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from reflow.dispatch.jobs.hosts import Blame
from reflow.dispatch.pilots.jobs import PilotJobs
from reflow.dispatch.pilots.vain import try_again
from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.execution.pool.open_waves import closed, tell
from reflow.model.jobs import JobRequest, JobStatus, Submission
from reflow.model.pilots import Pilots
from reflow.model.records import SubmissionKind, SubmissionState
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.rundir.packs import JobCounts, read_job_counts

from tests.unit.dispatch.pilots.dispatching import AWAY, EPOCH, Scene
from tests.unit.dispatch.pilots.scene import (
    DONE,
    FIRST,
    KILLED,
    SECOND,
    SIZE,
    WAITS,
    says,
)

Scenes = Callable[..., Scene]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenes:
    """The run, as seen from the first pilot."""
    monkeypatch.setenv("REFLOW_NATIVE_ID", "75_0")
    return lambda *given, **config: Scene(tmp_path, *given, **config)


# -- submitting ----------------------------------------------------------------------------
def test_all_pilots_are_submitted_before_the_first_wave_is_opened_and_only_once(
    scene: Scenes,
) -> None:
    one = scene(Pilots(jobs=3, cpus=8))
    one.only(FIRST, 1)
    assert one.jobs.are_there()
    assert one.jobs.are_there()
    ((request, follow_up),) = one.scheduler.submitted
    assert request.size == 3
    assert follow_up is not None
    # The intent was committed before that, and its answer after it.
    assert one.commits == [0, 1]
    records = list(one.tracked.dispatches.values())
    assert [record.kind for record in records] == [SubmissionKind.PILOTS, SubmissionKind.FOLLOW_UP]
    assert [record.native_ids for record in records] == [("73",), ("83",)]
    assert records[1].follows == records[0].number


def test_without_the_leg_of_follow_ups_pilots_have_none(scene: Scenes) -> None:
    one = scene(follow_up=False)
    assert one.jobs.are_there()
    assert [follow_up for _, follow_up in one.scheduler.submitted] == [None]
    assert len(one.tracked.dispatches) == 1


def test_a_follow_up_that_the_scheduler_did_not_take_is_over(scene: Scenes) -> None:
    one = scene()
    one.scheduler.follows = False
    assert one.jobs.are_there()
    assert [record.kind for record in one.tracked.dispatches.values()] == [SubmissionKind.PILOTS]


@pytest.mark.parametrize(
    "error",
    [SubmissionRefusedError("no such queue"), SubmissionDeferredError("busy"), AWAY],
    ids=lambda error: type(error).__name__,
)
def test_pilots_that_the_scheduler_did_not_take_are_over_and_so_is_their_follow_up(
    scene: Scenes, error: Exception
) -> None:
    one = scene()
    one.scheduler.error = error
    with pytest.raises(type(error)):
        one.jobs.are_there()
    assert one.tracked.dispatches == {}
    assert set(one.commits) == {0}
    assert one.jobs.refused == ("no such queue" if "queue" in str(error) else "")
    one.scheduler.error = None
    assert one.jobs.are_there()


def test_half_as_many_pilots_are_tried_where_the_scheduler_puts_them_off(scene: Scenes) -> None:
    one = scene(Pilots(jobs=9, cpus=1))
    one.scheduler.takes = 2
    assert one.jobs.are_there()
    assert one.scheduler.sizes == [2]
    assert [record.size for record in one.jobs.hosts.submissions] == [2]


def test_pilots_that_the_scheduler_put_off_do_not_come_between_two_generations_in_vain(
    scene: Scenes,
) -> None:
    one = scene()
    in_vain(one, 5)
    one.scheduler.takes = 1
    one.jobs.replace_ended()
    number = one.jobs.hosts.submissions[-1].number
    assert one.scheduler.sizes == [1]
    one.scheduler.says[f"7{number}"] = [KILLED]
    one.tracked.set_submission(replace(one.jobs.hosts.submissions[-1], submitted_at=None))
    one.jobs.look()
    assert one.jobs.hosts.failure is not None


def test_where_there_was_no_answer_the_intent_stays_and_nothing_is_submitted_again(
    scene: Scenes,
) -> None:
    one = scene()
    one.scheduler.error = SubmissionUncertainError("it did not answer")
    assert one.jobs.are_there()
    one.scheduler.error = None
    assert one.jobs.are_there()
    one.jobs.replace_ended()
    assert one.scheduler.submitted == []
    assert one.state(3) is SubmissionState.INTENT


# -- replacing -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("elements", "living", "waiting", "expected"),
    [
        # Two jobs of two cpus each.
        (6, 0, 0, [2]),
        (6, 1, 0, [1]),
        (6, 0, 1, [1]),
        (6, 1, 1, []),
        (6, 2, 0, []),
        # Where the one that is there can run all that is left, a second would have nothing.
        (2, 1, 0, []),
        (3, 1, 0, [1]),
        (1, 0, 0, [1]),
        (1, 0, 1, []),
        (0, 0, 0, []),
    ],
)
def test_pilots_that_have_ended_are_replaced_while_others_have_more_than_they_can_run(
    scene: Scenes, elements: int, living: int, waiting: int, expected: list[int]
) -> None:
    one = scene()
    one.only(FIRST, elements)
    for number in range(5, 5 + living + waiting):
        one.submits(number, jobs=1)
        if number < 5 + living:
            one.begins(number)
    one.jobs.replace_ended()
    assert one.scheduler.sizes == expected
    one.jobs.replace_ended()
    assert one.scheduler.sizes == expected


def test_pilots_are_replaced_by_as_many_as_elements_fill_whatever_these_ask_for(
    scene: Scenes,
) -> None:
    one = scene(Pilots(jobs=9, cpus=32))
    one.asks(FIRST, Resources(cpus=16))
    one.asks(SECOND, Resources(cpus=20))
    one.ended(SECOND, 0)
    one.jobs.replace_ended()
    # Six of which a pilot holds two, and five of which it holds one.
    assert one.scheduler.sizes == [8]


def test_what_pilots_have_claimed_is_not_for_others(scene: Scenes) -> None:
    one = scene()
    one.only(FIRST, SIZE)
    one.submits(5, jobs=1)
    life = one.begins(5).takes(FIRST, 0, 1, 2).is_at((FIRST, 0), (FIRST, 1))
    one.jobs.replace_ended()
    assert one.scheduler.sizes == []
    # Where nobody is left to run it, it comes back.
    life.leaves()
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [1]


def test_pilots_that_are_full_are_helped_with_what_is_left(scene: Scenes) -> None:
    one = scene(Pilots(jobs=9, cpus=2))
    one.only(FIRST, SIZE)
    one.submits(5, jobs=1)
    life = one.begins(5).takes(FIRST, 0).is_at((FIRST, 0))
    # Two blocks of two, and one CPU is free.
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [2]
    life.is_at((FIRST, 0), (FIRST, 1))
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [2]


def test_no_pilot_is_submitted_for_elements_that_may_not_run_yet(scene: Scenes) -> None:
    one = scene()
    one.only(FIRST, SIZE)
    one.asks(FIRST, Resources(), permits=1)
    one.submits(5)
    one.begins(5, 0).takes(FIRST, 0).holds(FIRST, 0).is_at((FIRST, 0))
    # The other had nothing to do for too long.
    one.begins(5, 1).leaves()
    one.jobs.replace_ended()
    assert one.scheduler.sizes == []


def test_as_many_pilots_are_submitted_as_elements_may_run_at_once(scene: Scenes) -> None:
    one = scene(Pilots(jobs=9, cpus=1))
    one.only(FIRST, SIZE)
    one.asks(FIRST, Resources(), permits=3)
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [3]


def test_with_whole_nodes_a_pilot_is_taken_for_as_large_as_those_that_live(
    scene: Scenes,
) -> None:
    one = scene(Pilots(jobs=9, nodes="whole"))
    one.submits(5, jobs=1)
    # It has found four CPUs.
    one.begins(5).is_at(*((FIRST, position) for position in range(4)))
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [3]


def test_silent_pilots_that_run_as_the_scheduler_says_are_not_replaced(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    for job in (0, 1):
        one.begins(5, job).is_silent()
    one.scheduler.says["75"] = [says(JobState.RUNNING)] * 2
    one.jobs.look()
    one.jobs.replace_ended()
    assert one.scheduler.sizes == []


def test_a_pilot_that_is_back_in_the_queue_is_not_replaced(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 0)
    one.begins(5, 1).leaves()
    one.scheduler.says["75"] = [says(JobState.RUNNING), WAITS]
    one.jobs.replace_ended()
    assert one.scheduler.asked == ["75"]
    assert one.scheduler.sizes == []


def test_a_pilot_that_was_preempted_and_comes_back_is_known_and_cancelled_at_the_end(
    scene: Scenes,
) -> None:
    one = scene()
    one.submits(5, jobs=1)
    one.begins(5).leaves()
    # Its own last step, before it has ended.
    one.scheduler.says["75"] = [says(JobState.RUNNING)]
    one.jobs.look()
    assert one.state(5) is SubmissionState.ACCEPTED
    one.scheduler.says["75"] = [WAITS]
    one.jobs.end()
    assert one.scheduler.cancelled == [("75", [0])]


def test_pilots_that_have_left_or_are_silent_are_replaced(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 0).leaves()
    life = one.begins(5, 1)
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [1]
    life.is_silent()
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [1, 1]


def test_what_pilots_say_themselves_needs_no_scheduler(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 0)
    assert one.jobs.look() == list(one.tracked.waves.values())
    assert one.scheduler.asked == []


def test_pilots_that_are_over_by_the_schedulers_word_are_forgotten_and_replaced(
    scene: Scenes,
) -> None:
    one = scene()
    one.submits(5)
    for job in (0, 1):
        one.begins(5, job).is_silent()
    one.settings.layout.pilots_worked(5).touch()
    one.scheduler.says["75"] = [KILLED, KILLED]
    one.jobs.look()
    assert one.scheduler.asked == ["75"]
    assert one.state(5) is None
    one.jobs.replace_ended()
    assert one.scheduler.sizes == [2]
    # What the others had claimed of them is known to be gone in this step still.
    assert one.jobs.hosts.failure is None


def test_the_scheduler_that_is_away_says_nothing_of_pilots(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.scheduler.error = AWAY
    with pytest.raises(SchedulerUnavailableError):
        one.jobs.look()
    assert one.state(5) is SubmissionState.ACCEPTED


def test_where_nothing_is_open_nothing_is_asked_and_nothing_is_submitted(scene: Scenes) -> None:
    one = scene()
    one.only(FIRST, 0)
    one.submits(5)
    assert one.jobs.look() == []
    one.jobs.replace_ended()
    assert one.scheduler.asked == []
    assert one.scheduler.submitted == []


def test_for_users_pilots_that_live_and_those_that_wait_are_counted(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 0)
    one.jobs.look()
    # By what the pilot has found, and not by what it was asked for.
    expected = JobCounts(running=1, queued=1, at_once=4)
    assert read_job_counts(one.settings.layout.pilot_counts) == expected


# -- pilots in vain ------------------------------------------------------------------------
def in_vain(one: Scene, number: int, status: JobStatus = KILLED) -> PilotJobs:
    """Have another dispatcher see that all pilots of a submission are over."""
    one.submits(number)
    one.scheduler.says[f"7{number}"] = [status, status]
    jobs = one.dispatcher()
    jobs.look()
    return jobs


def test_elements_fail_with_the_cause_of_two_generations_of_pilots_in_vain(scene: Scenes) -> None:
    one = scene()
    assert in_vain(one, 5).hosts.failure is None
    memory = says(JobState.FAILED, FailureCause.MEMORY)
    jobs = in_vain(one, 6, memory)
    assert jobs.hosts.failure is not None
    fates = one.fates(jobs.hosts)
    assert {fate.blame for fate in fates.values()} == {Blame.OWN}
    assert {fate.status.cause for fate in fates.values()} == {FailureCause.MEMORY}
    # No third generation.
    jobs.replace_ended()
    assert one.scheduler.submitted == []


def test_a_generation_that_has_worked_comes_between_two_in_vain(scene: Scenes) -> None:
    one = scene()
    in_vain(one, 5)
    one.settings.layout.pilots(6).mkdir(parents=True)
    one.settings.layout.pilots_worked(6).touch()
    assert in_vain(one, 6).hosts.failure is None
    assert in_vain(one, 7).hosts.failure is None
    assert in_vain(one, 8).hosts.failure is not None


def test_pilots_that_ended_well_without_work_are_in_vain_too(scene: Scenes) -> None:
    one = scene()
    in_vain(one, 5, DONE)
    failure = in_vain(one, 6, DONE).hosts.failure
    assert failure is not None
    # Nothing is waited for: no result is to come.
    assert failure.state is JobState.FAILED


# -- what pilots are told ------------------------------------------------------------------
def test_a_wave_is_told_of_when_it_is_opened_and_when_it_is_over(scene: Scenes) -> None:
    one = scene()
    one.jobs.open(FIRST)
    one.jobs.open(SECOND)
    assert list(one.told.numbers) == [FIRST, SECOND]
    one.jobs.close([one.tracked.waves[FIRST]])
    assert list(one.told.numbers) == [SECOND]


def test_waves_that_are_no_pilots_are_not_told_of(scene: Scenes) -> None:
    one = scene()
    wave = one.tracked.waves[FIRST]
    wave.record = replace(wave.record, native_ids=("70",))
    one.jobs.close([wave])
    one.jobs.adopt()
    assert list(one.told.numbers) == [SECOND]


def test_a_dispatcher_that_takes_over_tells_of_what_its_predecessor_could_not(
    scene: Scenes,
) -> None:
    one = scene()
    tell(one.settings.layout.open_waves, EPOCH - 1, ["+1", "+2", closed(2)])
    one.jobs.adopt()
    assert list(one.told.numbers) == [FIRST, SECOND]
    lines = one.settings.layout.open_waves.read_text().splitlines()
    assert lines[3:] == [f"{EPOCH} +2"]
    # What it had told is not told again.
    one.jobs.adopt()
    assert one.settings.layout.open_waves.read_text().splitlines() == lines


def test_what_a_pilot_cannot_hold_is_for_pilots_no_more(scene: Scenes) -> None:
    one = scene()
    assert one.jobs.serve(Resources(), "a")
    assert one.jobs.too_large() == []
    one.settings.layout.pilots(1).mkdir(parents=True)
    one.settings.layout.wave(FIRST).too_large.touch()
    assert one.jobs.too_large() == [one.tracked.waves[FIRST]]
    assert not one.jobs.serve(Resources(), "a")
    assert one.jobs.serve(Resources(), "b")
    assert not one.jobs.serve(Resources(cpus=3), "b")


# -- the end of the run --------------------------------------------------------------------
def test_at_the_end_pilots_are_told_and_those_that_wait_are_cancelled_and_no_others(
    scene: Scenes,
) -> None:
    one = scene()
    one.submits(5)
    one.submits(6, jobs=1)
    one.begins(5, 0)
    one.scheduler.says = {
        "75": [says(JobState.RUNNING), WAITS],
        "76": [WAITS],
    }
    one.jobs.end()
    assert one.told.run_has_ended
    assert one.scheduler.cancelled == [("75", [1]), ("76", [0])]
    assert one.tracked.dispatches == {}


def test_at_the_end_of_a_run_whose_pilots_all_run_the_scheduler_is_asked_nothing(
    scene: Scenes,
) -> None:
    one = scene()
    one.submits(5)
    for job in (0, 1):
        one.begins(5, job)
    one.jobs.end()
    assert one.scheduler.asked == []
    assert one.scheduler.cancelled == []


@pytest.mark.parametrize("last", ["leaves", "is_silent"])
def test_at_the_end_a_pilot_that_is_back_in_the_queue_is_cancelled(
    scene: Scenes, last: str
) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 0)
    getattr(one.begins(5, 1), last)()
    one.scheduler.says["75"] = [says(JobState.RUNNING), WAITS]
    one.jobs.end()
    assert one.scheduler.cancelled == [("75", [1])]


def test_pilots_that_could_not_be_cancelled_stay_written_down(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.scheduler.error = AWAY
    one.jobs.end()
    assert one.told.run_has_ended
    assert one.state(5) is SubmissionState.CANCELLING


def test_the_end_of_a_run_whose_directory_is_gone_cancels_all_the_same(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.scheduler.says["75"] = [WAITS, WAITS]
    one.settings.layout.open_waves.mkdir()
    one.jobs.end()
    assert one.scheduler.cancelled == [("75", [0, 1])]


def test_pilots_that_are_submitted_after_a_retry_do_not_read_that_the_run_has_ended(
    scene: Scenes,
) -> None:
    one = scene()
    one.jobs.end()
    assert one.told.run_has_ended
    told: list[bool] = []
    submit = one.scheduler.submit

    def seen(request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        # A job may start before its submission has returned.
        told.append(one.told.run_has_ended)
        return submit(request, follow_up)

    one.scheduler.submit = seen  # type: ignore[method-assign]
    one.jobs.are_there()
    assert told == [False]


def test_after_two_generations_in_vain_none_is_submitted_until_somebody_retries(
    scene: Scenes,
) -> None:
    one = scene()
    in_vain(one, 5)
    jobs = in_vain(one, 6)
    with pytest.raises(SubmissionRefusedError, match="before they ran an element"):
        jobs.are_there()
    try_again(one.settings.layout)
    assert jobs.are_there()


def test_what_pilots_could_not_hold_is_for_them_again_once_somebody_retries(
    scene: Scenes,
) -> None:
    one = scene()
    one.settings.layout.pilots(1).mkdir(parents=True)
    one.settings.layout.too_large("a").touch()
    assert not one.jobs.serve(Resources(), "a")
    try_again(one.settings.layout)
    assert one.jobs.serve(Resources(), "a")


def test_the_scheduler_is_asked_once_about_a_pilot_that_was_killed(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 1).is_silent()
    one.begins(5, 0)
    one.scheduler.says["75"] = [says(JobState.RUNNING), KILLED]
    first = one.dispatcher()
    first.look()
    first.mark_dead()
    one.dispatcher().look()
    assert one.scheduler.asked == ["75"]


def test_who_is_to_blame_for_a_pilots_end_is_known_until_it_is_committed(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 1).takes(FIRST, 0).is_at((FIRST, 1)).is_silent()
    one.begins(5, 0)
    one.scheduler.says["75"] = [says(JobState.RUNNING), KILLED]
    # This one dies before it could commit what it had found.
    one.dispatcher().look()
    second = one.dispatcher()
    second.look()
    assert one.blames(second.hosts)[1] is Blame.OWN


def test_what_was_said_of_a_dead_pilot_holds_for_one_question_only(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 1).is_silent()
    one.begins(5, 0)
    one.scheduler.says["75"] = [says(JobState.RUNNING), KILLED]
    one.jobs.look()
    one.scheduler.error = AWAY
    with pytest.raises(SchedulerUnavailableError):
        one.jobs.look()
    one.jobs.mark_dead()
    one.scheduler.error = None
    one.jobs.look()
    assert one.scheduler.asked == ["75"] * 3


def test_silent_pilots_are_asked_after_once_before_others_are_submitted(scene: Scenes) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 0)
    one.begins(5, 1).is_silent()
    one.scheduler.says["75"] = [says(JobState.RUNNING)] * 2
    one.jobs.look(ask=False)
    one.jobs.replace_ended()
    assert one.scheduler.asked == ["75"]
    # The next stage.
    one.jobs.look(ask=False)
    one.jobs.replace_ended()
    assert one.scheduler.asked == ["75"]
    assert one.scheduler.sizes == []


@pytest.mark.parametrize(
    "status", [says(JobState.UNKNOWN), says(JobState.FAILED, FailureCause.NODE)]
)
def test_what_may_be_left_of_a_lost_pilot_is_cancelled(scene: Scenes, status: JobStatus) -> None:
    one = scene()
    one.submits(5)
    one.begins(5, 1).is_silent()
    one.scheduler.says["75"] = [says(JobState.QUEUED), status]
    one.dispatcher().look()
    assert one.scheduler.cancelled == [("75", [1])]
