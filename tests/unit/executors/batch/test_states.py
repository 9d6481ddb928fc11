from __future__ import annotations

import logging

import pytest
from reflow.executors.batch.states import NativeState, StateTable
from reflow.model.states import JobState


def table() -> StateTable:
    return StateTable("Pond", [NativeState("qw", "pending", JobState.QUEUED)])


def test_a_state_is_known_by_its_code_and_by_its_name() -> None:
    assert table().look_up("qw").state is JobState.QUEUED
    assert table().look_up("pending").state is JobState.QUEUED


def test_a_state_is_never_known_by_a_part_of_its_name() -> None:
    assert table().look_up("Eqw").state is JobState.UNKNOWN
    assert table().look_up("q").state is JobState.UNKNOWN


def test_an_unknown_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    states = table()

    with caplog.at_level(logging.WARNING, "reflow"):
        for _ in range(3):
            assert states.look_up("swimming").state is JobState.UNKNOWN

    assert len(caplog.messages) == 1
    assert "'swimming'" in caplog.text
