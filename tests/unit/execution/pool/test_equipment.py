"""Threads and GPUs of elements that share a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reflow.execution.pool import equipment
from reflow.execution.pool.equipment import Devices, Equipment
from reflow.execution.surroundings import Surroundings
from reflow.executors.seats import THREAD_VARIABLES
from reflow.model.resources import Resources


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Equipment:
    for name in THREAD_VARIABLES:
        # Set first, so that whatever is there after the test is undone.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(equipment, "_are_loaded", lambda: False)
    return Equipment(Devices(0, []), lambda environment: None)


def threads() -> set[str | None]:
    return {os.environ.get(name) for name in THREAD_VARIABLES}


def test_elements_of_one_size_find_their_variables_without_setting_them_again(
    given: Equipment,
) -> None:
    assert given.give(Resources(cpus=3))
    assert not given.give(Resources(cpus=3))
    assert threads() == {"3"}


def test_an_element_of_another_size_finds_its_own(given: Equipment) -> None:
    given.give(Resources(cpus=3))
    assert given.give(Resources(cpus=2))
    assert threads() == {"2"}


def test_variables_are_set_again_after_the_flow_was_loaded(given: Equipment) -> None:
    given.give(Resources(cpus=3))
    given.load(lambda: None)
    assert threads() == {None}
    assert given.give(Resources(cpus=3))
    assert threads() == {"3"}


def test_what_the_flow_sets_itself_is_left_alone(given: Equipment) -> None:
    given.give(Resources(cpus=3))
    given.load(lambda: os.environ.update({THREAD_VARIABLES[0]: "7"}))
    given.give(Resources(cpus=3))
    assert os.environ[THREAD_VARIABLES[0]] == "7"


def test_an_element_that_changes_its_variables_changes_none_of_the_next(
    given: Equipment,
) -> None:
    surroundings = Surroundings(Path.cwd())
    given.give(Resources(cpus=3))
    surroundings.keep_environment()
    os.environ[THREAD_VARIABLES[0]] = "1"
    surroundings.restore()
    assert threads() == {"3"}
    assert not given.give(Resources(cpus=3))


def test_devices_of_one_element_are_not_those_of_the_next(
    monkeypatch: pytest.MonkeyPatch, given: Equipment, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with (tmp_path / "slots").open("w+b") as file:
        file.truncate(8)
        shared = Equipment(Devices(file.fileno(), ["0", "1"]), lambda environment: None)
        shared.give(Resources(gpus=1))
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        shared.take_back()
        assert shared.give(Resources())
        assert "CUDA_VISIBLE_DEVICES" not in os.environ
