"""Which pilots live, and what the end of one means for the elements that it had."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from reflow.dispatch.jobs.hosts import Blame
from reflow.dispatch.pilots.hosts import PilotHosts
from reflow.model.jobs import JobStatus
from reflow.model.records import SubmissionState
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.rundir.claims import Claim

from tests.unit.dispatch.pilots.scene import (
    DONE,
    FIRST,
    KILLED,
    RUNS,
    SECOND,
    UNKNOWN,
    WAITS,
    PilotScene,
    says,
)

NEVER = says(JobState.QUEUED, impossible=True)
PILOTS = 5
"""The number under which the first pilots are submitted, which have the id 75."""


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PilotScene:
    """The run, as seen from the first pilot."""
    monkeypatch.setenv("REFLOW_NATIVE_ID", "75_0")
    return PilotScene(tmp_path)


def looked(scene: PilotScene, *told: JobStatus) -> PilotHosts:
    """The pilots as they are seen, the scheduler having said so much of each."""
    hosts = PilotHosts(scene.tracked, scene.settings.layout)
    hosts.look()
    said = [
        replace(status, native_id="75", positions=range(job, job + 1))
        for job, status in enumerate(told)
    ]
    hosts.take(said)
    return hosts


def unsure(hosts: PilotHosts) -> list[int]:
    return [record.number for record in hosts.unsure]


# -- which live ----------------------------------------------------------------------------
def test_pilots_that_have_not_begun_wait_and_are_asked_after(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    hosts = looked(scene)
    assert (hosts.running, hosts.waiting) == (0, 2)
    assert unsure(hosts) == [PILOTS]


def test_while_pilots_live_the_scheduler_is_asked_nothing(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.submits(6, jobs=1)
    scene.begins(PILOTS, 0)
    hosts = looked(scene)
    assert (hosts.running, hosts.waiting) == (1, 2)
    assert unsure(hosts) == []


@pytest.mark.parametrize("own", ["", "81", "75_1", "6"])
def test_who_dispatches_outside_of_pilots_asks_about_all(
    scene: PilotScene, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("REFLOW_NATIVE_ID", own)
    scene.submits(PILOTS)
    # The follow-up of pilots comes before the last that was killed is silent.
    scene.begins(PILOTS, 0)
    scene.begins(PILOTS, 1).leaves()
    assert unsure(looked(scene)) == [PILOTS]


def test_a_silent_pilot_is_asked_after_and_the_others_are_not(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.submits(6, jobs=1)
    scene.begins(PILOTS, 0)
    scene.begins(PILOTS, 1).is_silent()
    scene.begins(6)
    hosts = looked(scene)
    assert (hosts.running, hosts.waiting) == (2, 0)
    assert unsure(hosts) == [PILOTS]


def test_where_none_lives_all_are_asked_after(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.submits(6)
    scene.begins(PILOTS, 0).leaves()
    scene.begins(PILOTS, 1).is_silent()
    hosts = looked(scene)
    assert (hosts.running, hosts.waiting) == (0, 2)
    assert unsure(hosts) == [PILOTS, 6]


def test_a_pilot_that_was_started_again_lives_whatever_its_earlier_life(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0, "0").is_silent()
    scene.begins(PILOTS, 0, "1")
    hosts = looked(scene)
    assert (hosts.running, hosts.waiting) == (1, 1)
    assert unsure(hosts) == []


@pytest.mark.parametrize(
    ("told", "running", "waiting"),
    [
        ([], 0, 0),
        ([RUNS, says(JobState.SUSPENDED)], 2, 0),
        ([RUNS, WAITS], 1, 1),
        ([WAITS, KILLED], 0, 1),
        ([UNKNOWN, UNKNOWN], 0, 0),
    ],
)
def test_silent_pilots_live_or_wait_as_the_scheduler_says(
    scene: PilotScene, told: list[JobStatus], running: int, waiting: int
) -> None:
    scene.submits(PILOTS)
    for job in (0, 1):
        scene.begins(PILOTS, job).is_silent()
    hosts = looked(scene, *told)
    assert (hosts.running, hosts.waiting) == (running, waiting)
    # That holds until the scheduler is asked again.
    hosts.look_again()
    assert (hosts.running, hosts.waiting) == (running, waiting)


def test_pilots_that_never_begin_are_gone_by_the_schedulers_word(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0)
    hosts = looked(scene, RUNS, says(JobState.CANCELLED))
    assert (hosts.running, hosts.waiting) == (1, 0)


def test_what_the_scheduler_said_is_forgotten_at_the_next_look(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    life = scene.begins(PILOTS, 0).takes(FIRST, 0)
    hosts = looked(scene, KILLED, WAITS)
    assert hosts.of(life.claim) == replace(KILLED, native_id="75", positions=range(1))
    hosts.look()
    status = hosts.of(life.claim)
    assert status is not None
    assert status.state is JobState.RUNNING


@pytest.mark.parametrize(
    ("told", "left", "over"),
    [
        ([DONE, KILLED], (), True),
        ([DONE, RUNS], (), False),
        ([DONE, WAITS], (), False),
        # One that has left in order because it was preempted is put back a moment later.
        ([DONE, RUNS], (1,), False),
        ([UNKNOWN, UNKNOWN], (), True),
        # One that has left was put back into the queue.
        ([DONE, WAITS], (1,), False),
        ([], (0, 1), False),
        ([DONE, DONE], (0, 1), True),
        ([], (0,), False),
    ],
)
def test_a_submission_is_over_once_each_of_its_pilots_is(
    scene: PilotScene, told: list[JobStatus], left: tuple[int, ...], over: bool
) -> None:
    record = scene.submits(PILOTS)
    for job in left:
        scene.begins(PILOTS, job).leaves()
    hosts = looked(scene)
    said = [
        replace(status, native_id="75", positions=range(job, job + 1))
        for job, status in enumerate(told)
    ]
    assert hosts.take(said) == ([record] if over else [])


def test_pilots_that_the_scheduler_does_not_show_yet_wait(scene: PilotScene) -> None:
    record = replace(scene.submits(PILOTS), submitted_at=datetime.now(UTC))
    scene.tracked.set_submission(record)
    hosts = looked(scene, UNKNOWN, UNKNOWN)
    assert (hosts.running, hosts.waiting) == (0, 2)
    assert hosts.take([]) == []
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    scene.tracked.set_submission(replace(record, submitted_at=long_ago))
    hosts = looked(scene, UNKNOWN, UNKNOWN)
    assert hosts.waiting == 0
    assert len(hosts.take([])) == 1


def test_one_pilot_is_a_plain_job_and_one_word_is_about_all_of_an_array(scene: PilotScene) -> None:
    first, second = scene.submits(PILOTS, jobs=1), scene.submits(6, jobs=3)
    hosts = looked(scene)
    words = [replace(KILLED, native_id="75"), replace(KILLED, native_id="76")]
    assert hosts.take(words) == [first, second]


def test_what_is_said_of_other_jobs_is_ignored(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    hosts = looked(scene)
    assert hosts.take([replace(KILLED, native_id="99")]) == []


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_jobs_for_the_same_pilots_the_one_that_lives_counts(
    scene: PilotScene, order: int
) -> None:
    scene.submits(PILOTS, 1, "75b")
    hosts = looked(scene)
    words = [replace(KILLED, native_id="75"), replace(RUNS, native_id="75b")]
    assert hosts.take(words[::order]) == []


# -- what they had -------------------------------------------------------------------------
@pytest.mark.parametrize("told", [(), (RUNS, RUNS), (says(JobState.SUSPENDED), RUNS)])
def test_what_a_living_pilot_has_claimed_runs_and_the_rest_waits(
    scene: PilotScene, told: tuple[JobStatus, ...]
) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 1)
    fates = scene.fates(looked(scene, *told))
    states = {position: fate.status.state for position, fate in fates.items()}
    running = {position for position, state in states.items() if state is JobState.RUNNING}
    assert running == {2, 3}
    assert {states[position] for position in (0, 1, 4, 5)} == {JobState.QUEUED}


def test_a_silent_pilot_keeps_what_it_has_until_the_scheduler_says_that_it_is_gone(
    scene: PilotScene,
) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0).is_silent()
    for told in ((), (RUNS, RUNS)):
        assert not scene.fates(looked(scene, *told))[0].status.state.gone
    assert scene.fates(looked(scene, KILLED, RUNS))[0].status.state is JobState.FAILED


def test_what_a_pilot_has_left_runs_elsewhere_and_nobody_is_to_blame(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0).is_at((FIRST, 1)).leaves()
    fates = scene.fates(looked(scene))
    for position in (0, 1):
        assert fates[position].status.cause is FailureCause.PREEMPTED
        assert fates[position].blame is Blame.NONE
        assert not fates[position].counted or position == 1


def test_what_an_earlier_life_of_a_pilot_had_runs_elsewhere(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0, "0").takes(FIRST, 0)
    scene.begins(PILOTS, 0, "1").takes(FIRST, 1)
    states = {at: fate.status.state for at, fate in scene.fates(looked(scene)).items()}
    assert (states[0], states[2]) == (JobState.FAILED, JobState.RUNNING)


def test_the_later_life_of_a_pilot_is_known_by_its_number_and_not_by_its_nodes_clock(
    scene: PilotScene,
) -> None:
    scene.submits(PILOTS)
    # The node of the tenth life is behind that of the second one.
    scene.begins(PILOTS, 0, "10").takes(FIRST, 1)
    scene.begins(PILOTS, 0, "2").takes(FIRST, 0).leaves()
    hosts = looked(scene)
    states = {at: fate.status.state for at, fate in scene.fates(hosts).items()}
    assert (states[0], states[2]) == (JobState.FAILED, JobState.RUNNING)
    assert (hosts.running, hosts.waiting) == (1, 1)


def test_what_a_pilot_had_that_is_back_in_the_queue_runs_elsewhere(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    life = scene.begins(PILOTS, 0).takes(FIRST, 0)
    # The answer may be older than the job's start.
    assert scene.fates(looked(scene, WAITS, RUNS))[0].status.state is JobState.RUNNING
    life.is_silent()
    fate = scene.fates(looked(scene, WAITS, RUNS))[0]
    assert (fate.status.cause, fate.blame) == (FailureCause.PREEMPTED, Blame.NONE)


def test_of_two_jobs_for_the_same_pilot_each_keeps_what_it_has(scene: PilotScene) -> None:
    scene.submits(PILOTS, 1, "75b")
    scene.begins(PILOTS, 0).takes(FIRST, 0)
    other = scene.begins(PILOTS, 0)
    other.file.rename(other.file.with_name(other.file.name.replace("75_0", "75b_0")))
    assert scene.fates(looked(scene))[0].status.state is JobState.RUNNING


def test_what_a_pilot_has_whose_file_is_not_seen_yet_runs(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    life = scene.begins(PILOTS, 0).takes(FIRST, 0)
    life.file.unlink()
    assert scene.fates(looked(scene))[0].status.state is JobState.RUNNING


def test_a_claim_of_the_dispatchers_is_none_of_a_pilots(scene: PilotScene) -> None:
    ours = Claim(native_id="dispatcher", incarnation="0", host="node", pid=1)
    assert looked(scene).of(ours) is None


def test_what_pilots_have_of_which_nothing_is_known_any_more_is_unknown(
    scene: PilotScene,
) -> None:
    record = scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0)
    scene.tracked.set_submission(replace(record, state=SubmissionState.OVER))
    assert scene.fates(looked(scene))[0].status.state is JobState.UNKNOWN


# -- who is to blame -----------------------------------------------------------------------
def test_the_only_element_that_a_killed_pilot_was_at_has_failed(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0, 1).is_at((FIRST, 3))
    blames = scene.blames(looked(scene, KILLED, RUNS))
    assert blames[3] is Blame.OWN
    assert {blames[position] for position in (0, 1, 2, 4, 5)} == {Blame.NONE}


def test_several_that_a_killed_pilot_was_at_are_suspects_whatever_their_waves(
    scene: PilotScene,
) -> None:
    scene.submits(PILOTS)
    life = scene.begins(PILOTS, 0).takes(FIRST, 0, 1).takes(SECOND, 0)
    life.is_at((FIRST, 3), (SECOND, 1))
    hosts = looked(scene, says(JobState.FAILED, FailureCause.MEMORY), RUNS)
    first, second = scene.blames(hosts, FIRST), scene.blames(hosts, SECOND)
    assert (first[3], second[1]) == (Blame.SUSPECT, Blame.SUSPECT)
    assert Blame.OWN not in (*first.values(), *second.values())


def test_an_element_of_another_wave_that_has_its_result_is_no_suspect(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    life = scene.begins(PILOTS, 0).takes(FIRST, 0, 1).takes(SECOND, 0)
    life.is_at((FIRST, 3), (SECOND, 1))
    scene.ended(SECOND, 1)
    assert scene.blames(looked(scene, KILLED, RUNS))[3] is Blame.OWN


@pytest.mark.parametrize(
    "cause", [FailureCause.NODE, FailureCause.PREEMPTED, FailureCause.LOST, FailureCause.WALLTIME]
)
def test_nobody_is_to_blame_for_a_pilot_that_was_lost_or_has_run_out_of_time(
    scene: PilotScene, cause: FailureCause
) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0, 1, 2).is_at((FIRST, 3), (FIRST, 4))
    fates = scene.fates(looked(scene, says(JobState.FAILED, cause), RUNS))
    assert {fate.blame for fate in fates.values()} == {Blame.NONE}
    # Ten times is enough for what was begun; others are not among those who may be to blame.
    assert {position for position, fate in fates.items() if fate.counted} == {3, 4}


@pytest.mark.parametrize(
    ("late", "blame"), [(0.0, Blame.OWN), (300.0, Blame.OWN), (400.0, Blame.NONE)]
)
def test_only_an_element_that_had_all_its_time_has_run_out_of_it(
    tmp_path: Path, late: float, blame: Blame
) -> None:
    scene = PilotScene(tmp_path, Resources(time=timedelta(minutes=5)), given=600.0)
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0).is_at((FIRST, 1), late=late)
    found = scene.blames(looked(scene, says(JobState.FAILED, FailureCause.WALLTIME), RUNS))
    assert (found[0], found[1]) == (Blame.NONE, blame)


def test_what_a_pilot_had_that_somebody_cancelled_is_cancelled_and_nothing_else(
    scene: PilotScene,
) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0)
    fates = scene.fates(looked(scene, says(JobState.CANCELLED), RUNS))
    assert {fates[position].status.state for position in (0, 1)} == {JobState.CANCELLED}
    assert {fates[position].blame for position in (0, 1)} == {Blame.OWN}
    assert {fates[position].status.state for position in (2, 3, 4, 5)} == {JobState.QUEUED}


# -- what none has taken -------------------------------------------------------------------
def test_what_no_pilot_has_taken_waits_for_one_whatever_became_of_the_others(
    scene: PilotScene,
) -> None:
    scene.submits(PILOTS)
    scene.begins(PILOTS, 0).takes(FIRST, 0)
    status, blame = looked(scene, KILLED, KILLED).unclaimed(idle=True)
    assert (status.state, blame) == (JobState.QUEUED, Blame.NONE)


def test_what_waits_for_pilots_says_why_they_wait(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    status, _ = looked(scene, WAITS, RUNS).unclaimed(idle=False)
    assert (status.reason, status.impossible) == ("Priority", False)


@pytest.mark.parametrize("others", [WAITS, NEVER])
def test_elements_can_never_begin_where_no_pilot_that_waits_can(
    scene: PilotScene, others: JobStatus
) -> None:
    scene.submits(PILOTS)
    status, _ = looked(scene, NEVER, others).unclaimed(idle=True)
    assert status.impossible is others.impossible


def test_where_pilots_fail_in_vain_what_none_has_taken_fails_as_they_do(scene: PilotScene) -> None:
    scene.submits(PILOTS)
    hosts = looked(scene)
    hosts.failure = KILLED
    assert hosts.unclaimed(idle=True) == (KILLED, Blame.OWN)


# -- work ----------------------------------------------------------------------------------
def test_pilots_have_worked_once_one_of_them_has_run_an_element_or_had_none_to_run(
    scene: PilotScene,
) -> None:
    record, other = scene.submits(PILOTS), scene.submits(6)
    life = scene.begins(PILOTS, 0)
    hosts = looked(scene)
    assert not hosts.has_worked(record)
    scene.settings.layout.pilots_worked(6).touch()
    assert hosts.has_worked(other)
    life.leaves()
    assert looked(scene).has_worked(record)


def test_what_the_scheduler_said_of_pilots_is_what_it_said_of_one_of_them(
    scene: PilotScene,
) -> None:
    record = scene.submits(PILOTS)
    assert looked(scene).status_of(record) is None
    status = looked(scene, KILLED, DONE).status_of(record)
    assert status is not None
    assert status.signal == 9
