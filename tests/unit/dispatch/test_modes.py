"""The three modes of a run: which executor gives which, and what follows from each."""

from __future__ import annotations

import pytest
from reflow.dispatch.modes import (
    BY_DISPATCH_JOBS,
    FOREGROUND,
    SUPERVISED,
    Keeper,
    RunMode,
    mode_named,
    mode_of,
)
from reflow.executors.local import LocalExecutor
from reflow.model.jobs import Capabilities

MODES = (FOREGROUND, SUPERVISED, BY_DISPATCH_JOBS)


class Declared(LocalExecutor):
    """An executor of a third party, known by its name and capabilities alone."""

    def __init__(self, name: str, *, volatile: bool) -> None:
        super().__init__(slots=1)
        self.name = name
        self.capabilities = Capabilities(volatile=volatile)


@pytest.mark.parametrize(
    ("name", "volatile", "mode"),
    [
        ("inline", True, FOREGROUND),
        ("pool", True, FOREGROUND),
        ("local", True, SUPERVISED),
        ("theirs", True, SUPERVISED),
        ("theirs", False, BY_DISPATCH_JOBS),
    ],
)
def test_an_executor_gives_the_mode_by_what_it_declares(
    name: str, volatile: bool, mode: RunMode
) -> None:
    assert mode_of(Declared(name, volatile=volatile)) is mode


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("inline", FOREGROUND),
        ("pool", FOREGROUND),
        ("local", SUPERVISED),
        ("slurm", BY_DISPATCH_JOBS),
        ("installed elsewhere", BY_DISPATCH_JOBS),
    ],
)
def test_a_name_gives_the_mode_without_an_executor(name: str, mode: RunMode) -> None:
    assert mode_named(name) is mode


def test_each_mode_has_a_keeper_of_its_own() -> None:
    assert [mode.keeper for mode in MODES] == list(Keeper)


def test_only_a_foreground_run_ends_with_its_process() -> None:
    assert [mode.ends_with_process for mode in MODES] == [True, False, False]
    assert FOREGROUND.dispatcher_named(7) == "it runs in process 7"
    assert SUPERVISED.dispatcher_named(7) == "it is dispatched by process 7"


def test_only_files_of_other_hosts_have_a_grace_period() -> None:
    assert [mode.grace(60.0) for mode in MODES] == [0.0, 0.0, 60.0]


def test_only_a_run_that_dispatch_jobs_keep_going_can_be_followed() -> None:
    assert "the process that started it" in FOREGROUND.why_not_followed("r")
    assert "status --watch" in SUPERVISED.why_not_followed("r")
    assert BY_DISPATCH_JOBS.why_not_followed("r") == ""
