"""Whoever dispatches is killed with SIGKILL at every single step, and the run completes.

What is killed, and how, stands in `harness.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import nothing_left

ROOT = Path(__file__).resolve().parents[2]

ALL_LEGS = """
[dispatch]
watchdog_minutes = 0.01
grace_seconds = 1
lease_seconds = 2
outage_hours = 0.004
"""
"""With the longest outage of some seconds, the farther watchdogs come in time for a test, too."""


def one_leg(name: str) -> str:
    legs = ("follow_up", "last_worker", "watchdog")
    return ALL_LEGS + "".join(f"{leg} = {str(leg == name).lower()}\n" for leg in legs)


@pytest.fixture
def folder(home: Path) -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of databases are written to it."""
    memory = Path("/dev/shm")
    inside = memory if os.access(memory, os.W_OK) else None
    path = Path(tempfile.mkdtemp(prefix="reflow-kills-", dir=inside))
    try:
        with nothing_left(path):
            yield path
    finally:
        shutil.rmtree(path)


LONGEST = 230
"""Seconds for all runs of one test; where the watchdog alone carries them, each waits for two."""
pytestmark = pytest.mark.timeout(LONGEST + 10)


def kill_at_each_step(
    kind: str, folder: Path, first: int, stride: int, config: str = ALL_LEGS
) -> list[dict[str, Any]]:
    """What became of a run that was killed at step `first`, of another at the next, and so on."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.harness", kind, folder, str(first), str(stride)],
        input=config,
        cwd=ROOT,
        env={**os.environ, "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=LONGEST,
    )
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [case["killed"] for case in found] == [True] * (len(found) - 1) + [False]
    return found


def assert_complete(case: dict[str, Any]) -> None:
    """Every element succeeded once, with the right result, and ran once."""
    assert case["state"] == "SUCCESS", case
    assert case["results"] == {"items": [[1, 2]], "each": [10, 20]}, case
    assert {state for _, _, state, _ in case["instances"]} == {"SUCCESS"}, case
    assert case["calls"] == {"items": 1, "each-1": 1, "each-2": 1}, case


@pytest.mark.parametrize("part", [1, 2, 3])
def test_the_supervisor_of_a_local_run_may_die_at_any_step(folder: Path, part: int) -> None:
    cases = kill_at_each_step("local", folder, part, 3)
    assert len(cases) > 12
    for case in cases:
        assert_complete(case)


def test_the_process_that_submits_a_local_run_may_die_at_any_step(folder: Path) -> None:
    cases = kill_at_each_step("submission", folder, 1, 1)
    assert len(cases) > 15
    # The first steps come before there is a run.
    assert not cases[0]["there"]
    assert cases[-2]["there"]
    for case in cases:
        if case["there"]:
            assert_complete(case)


@pytest.mark.parametrize("part", [1, 2, 3, 4, 5])
def test_a_dispatch_job_may_die_at_any_step_and_nobody_needs_to_look(
    folder: Path, part: int
) -> None:
    cases = kill_at_each_step("batch-jobs", folder, part, 5)
    assert len(cases) >= 10
    for case in cases:
        assert_complete(case)
        assert case["heals"] == 0, case
    # A run that has ended leaves nothing in the queue, but where its end was what was killed.
    assert cases[-1]["left"] == []
    assert sum(bool(case["left"]) for case in cases) <= 3


@pytest.mark.parametrize("part", [1, 2, 3, 4])
def test_the_process_that_submits_to_a_scheduler_may_die_at_any_step(
    folder: Path, part: int
) -> None:
    cases = kill_at_each_step("batch-submitter", folder, part, 4)
    assert len(cases) > 15
    for case in cases:
        if case["there"]:
            assert_complete(case)
            # Before there is a watchdog, only a person can notice.
            assert case["heals"] <= 1, case


@pytest.mark.parametrize("leg", ["follow_up", "last_worker", "watchdog"])
def test_each_leg_alone_carries_a_run_and_one_look_mends_what_a_kill_broke(
    folder: Path, leg: str
) -> None:
    cases = kill_at_each_step("batch-jobs", folder, 2, 8, one_leg(leg))
    for case in cases:
        assert_complete(case)
        assert case["heals"] <= 1, case
    # Undisturbed, the leg needs no help.
    assert cases[-1]["heals"] == 0
