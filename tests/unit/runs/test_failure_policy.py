"""The failure policy as a table: each trouble, for each who dispatches, and what is done then."""

from __future__ import annotations

from itertools import islice

import pytest
from reflow.config.schema import DispatchSettings
from reflow.dispatch.modes import BY_DISPATCH_JOBS, SUPERVISED, RunMode
from reflow.errors import (
    DamagedRunError,
    FlowImportError,
    LeaseLostError,
    NotFoundError,
    OtherSeriesError,
    PluginError,
    SchedulerUnavailableError,
    StoreError,
    StoreVersionError,
)
from reflow.runs.failure_policy import (
    LONGEST_OUTAGE_IN_A_JOB,
    LONGEST_PAUSE,
    Action,
    Decision,
    Role,
    ToldToEndError,
    decide,
    gives_up,
    patience_of,
    pauses_between_tries,
    word_of_manifest,
    word_of_scheduler,
)

AWAY = StoreError("away")
HOUR = 3600.0

# By trouble, what is done by: the run's process, its supervisor, a dispatch job, a follower, and a
# command that only looks.
TABLE: list[tuple[BaseException, str]] = [
    (AWAY, "WAIT WAIT WAIT WAIT TELL"),
    (StoreError("broken", lasting=True), "TELL LEAVE LEAVE TELL TELL"),
    (StoreVersionError("newer"), "TELL LEAVE LEAVE TELL TELL"),
    (LeaseLostError("taken"), "TELL STEP_BACK STEP_BACK TELL TELL"),
    (OSError("no such device"), "ABORT LOOK_AFTER LOOK_AFTER TELL TELL"),
    (FileNotFoundError("no file"), "ABORT LOOK_AFTER LOOK_AFTER TELL TELL"),
    (OtherSeriesError("2.0"), "ABORT LOOK_AFTER LOOK_AFTER TELL TELL"),
    (FlowImportError("no module"), "ABORT ABORT ABORT TELL TELL"),
    (PluginError("broken"), "ABORT ABORT ABORT TELL TELL"),
    (SchedulerUnavailableError("no command"), "ABORT ABORT ABORT TELL TELL"),
    (NotFoundError("no run"), "ABORT ABORT ABORT TELL TELL"),
    (DamagedRunError("settings"), "ABORT ABORT ABORT TELL TELL"),
    (AttributeError("a fault"), "ABORT ABORT ABORT RAISE RAISE"),
    (SystemExit(1), "ABORT ABORT ABORT RAISE RAISE"),
    (KeyboardInterrupt(), "CANCEL LEAVE LEAVE RAISE RAISE"),
    (ToldToEndError(), "CANCEL LEAVE LEAVE RAISE RAISE"),
]


@pytest.mark.parametrize(
    ("error", "role", "action"),
    [
        pytest.param(error, role, action, id=f"{type(error).__name__}-{role.name}")
        for error, actions in TABLE
        for role, action in zip(Role, actions.split(), strict=True)
    ],
)
def test_each_trouble_has_an_answer_for_each_who_dispatches(
    error: BaseException, role: Role, action: str
) -> None:
    assert decide(error, role, patience=HOUR).action is Action[action]


@pytest.mark.parametrize(
    ("role", "action"), list(zip(Role, ["TELL", "LEAVE", "LEAVE", "TELL", "TELL"], strict=True))
)
def test_an_outage_beyond_all_patience_is_not_waited_for(role: Role, action: str) -> None:
    assert decide(AWAY, role, outage=HOUR, patience=HOUR) == Decision(Action[action])


@pytest.mark.parametrize(
    ("role", "action"),
    list(zip(Role, ["ABORT", "ABORT", "LOOK_AFTER", "TELL", "TELL"], strict=True)),
)
@pytest.mark.parametrize("error", [OSError("gone"), OtherSeriesError("2.0")])
def test_without_its_folder_a_run_ends_unless_other_hosts_may_have_it(
    error: Exception, role: Role, action: str
) -> None:
    assert decide(error, role, folder_is_there=False).action is Action[action]


@pytest.mark.parametrize(
    ("outage", "pause"),
    [(0.0, 0.5), (0.5, 1.0), (31.5, 32.0), (63.5, LONGEST_PAUSE), (HOUR - 7, 7.0)],
)
def test_the_pause_is_as_long_as_the_outage_within_bounds(outage: float, pause: float) -> None:
    assert decide(AWAY, Role.SUPERVISOR, outage=outage, patience=HOUR).pause == pause


def test_what_is_waited_for_or_tried_again_is_told_to_those_who_look() -> None:
    assert decide(AWAY, Role.PROCESS, patience=HOUR).word == (
        "its process waits for the database: away. It is tried again"
    )
    said = decide(OSError("no such device"), Role.SUPERVISOR).word
    assert said.startswith("its supervisor cannot use the run's data: no such device. Finished")
    said = decide(OSError("no such device"), Role.DISPATCH_JOB).word
    assert said.startswith("a dispatch job on ")
    assert "could not use the run's data: no such device. Finished results" in said


@pytest.mark.parametrize(
    "error",
    [error for error, _ in TABLE if not isinstance(error, OSError | OtherSeriesError)],
    ids=lambda error: type(error).__name__,
)
def test_nothing_is_said_to_others_of_what_ends_here(error: BaseException) -> None:
    assert decide(error, Role.SUPERVISOR, outage=HOUR, patience=HOUR).word == ""


def test_a_dispatch_job_says_who_goes_on_after_it() -> None:
    said = word_of_manifest(AWAY, Role.DISPATCH_JOB, watched=True)
    assert "could not use the manifest: away. The run's next watchdog tries again" in said
    said = word_of_manifest(AWAY, Role.DISPATCH_JOB, watched=False)
    assert said.endswith(
        "away. The run continues only while `reflow follow` runs, or when `reflow status` is typed"
    )
    said = word_of_scheduler("no sbatch", Role.DISPATCH_JOB)
    assert (
        "could not use the scheduler: no sbatch. The run continues only while `reflow follow`"
        in said
    )


def test_only_a_dispatch_job_is_impatient() -> None:
    config = DispatchSettings(outage_hours=2)
    waits = {role: patience_of(role, config) for role in Role}
    assert waits.pop(Role.DISPATCH_JOB) == LONGEST_OUTAGE_IN_A_JOB
    assert set(waits.values()) == {2 * HOUR}


def test_ten_tries_to_read_a_runs_data_take_as_long_as_an_outage_may() -> None:
    config = DispatchSettings(outage_hours=6, watchdog_minutes=10)
    pauses = list(islice(pauses_between_tries(config), 10))
    assert pauses[:4] == [60, 240, 960, 3600]
    assert set(pauses[3:]) == {HOUR}


@pytest.mark.parametrize(
    ("error", "mode", "used_up", "expected"),
    [
        (OSError("away"), SUPERVISED, False, False),
        (OSError("away"), SUPERVISED, True, True),
        (OSError("away"), BY_DISPATCH_JOBS, False, False),
        (OSError("away"), BY_DISPATCH_JOBS, True, True),
        (OtherSeriesError("2.0"), SUPERVISED, False, True),
        (OtherSeriesError("2.0"), BY_DISPATCH_JOBS, False, True),
        (NotFoundError("no settings"), SUPERVISED, False, True),
        (NotFoundError("no settings"), BY_DISPATCH_JOBS, False, False),
        (NotFoundError("no settings"), BY_DISPATCH_JOBS, True, True),
        (DamagedRunError("settings"), SUPERVISED, False, False),
        (DamagedRunError("settings"), BY_DISPATCH_JOBS, True, True),
    ],
)
def test_a_run_without_readable_data_is_given_up_when_no_try_can_help(
    error: Exception, mode: RunMode, used_up: bool, expected: bool
) -> None:
    assert gives_up(error, mode, tries_used_up=used_up) is expected
