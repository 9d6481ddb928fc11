from __future__ import annotations

import time

import pytest
from reflow.errors import SchedulerUnavailableError
from reflow.executors.batch.silence import HOLDS, Silence
from reflow.model.jobs import JobHandle

from tests.unit.executors.batch.pond import PondExecutor


def is_silent(silence: Silence, program: str) -> bool:
    try:
        silence.check(program)
    except SchedulerUnavailableError:
        return True
    return False


def test_where_nothing_has_answered_nothing_is_asked_any_more() -> None:
    silence = Silence()

    silence.add("pondstat", "pondstat did not answer")

    with pytest.raises(SchedulerUnavailableError, match="pondstat did not answer"):
        silence.check("pondsub")


def test_a_command_that_is_silent_alone_holds_no_other_up() -> None:
    silence = Silence()

    silence.answered("pondstat")
    silence.add("pondacct", "pondacct did not answer")

    assert is_silent(silence, "pondacct")
    assert not is_silent(silence, "pondstat")
    assert not is_silent(silence, "pondsub")


def test_what_a_command_answered_before_it_fell_silent_counts_no_more() -> None:
    silence = Silence()

    silence.answered("pondstat")
    silence.add("pondstat", "pondstat did not answer")

    assert is_silent(silence, "pondsub")


def test_after_a_wait_everything_is_tried_again() -> None:
    executor = PondExecutor()
    silence = executor.runner.silence
    silence.add("pondstat", "pondstat did not answer")
    with pytest.raises(SchedulerUnavailableError, match="did not answer"):
        executor.cancel([JobHandle(native_id="1")])

    executor.wait(0)

    assert not is_silent(silence, "pondstat")
    assert not is_silent(silence, "pondkill")


def test_no_silence_lasts_where_nobody_ends_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = Silence()
    silence.add("pondstat", "pondstat did not answer")
    later = time.monotonic() + HOLDS

    monkeypatch.setattr("reflow.executors.batch.silence.time.monotonic", lambda: later)

    assert not is_silent(silence, "pondstat")
    assert not is_silent(silence, "pondsub")
