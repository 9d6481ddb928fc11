"""Pilots, and whoever dispatches for them, are killed between their steps; the run completes.

What is killed, and how, stands in `harness.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.test_dispatcher_killed import LONGEST, kill_at_each_step, one_leg
from tests.faults.test_dispatcher_killed import folder as folder
from tests.faults.test_hosts_killed import assert_complete

pytestmark = pytest.mark.timeout(LONGEST + 10)


@pytest.mark.parametrize(("kind", "first"), [("pilots-node", 1), ("pilots-kill", 6)])
def test_a_pilot_may_die_between_any_two_steps(folder: Path, kind: str, first: int) -> None:
    cases = kill_at_each_step(kind, folder, first, 11)
    assert len(cases) > 4
    for case in cases:
        assert_complete(case)
        assert case["heals"] == 0, case
        assert case["left"] == [], case
    # Undisturbed, nothing runs again.
    assert {attempt for *_, attempt in cases[-1]["instances"]} == {1}


def test_whoever_dispatches_for_pilots_may_die_between_any_two_steps(folder: Path) -> None:
    cases = kill_at_each_step("pilots-jobs", folder, 4, 11)
    assert len(cases) > 4
    for case in cases:
        assert_complete(case)
        assert case["heals"] == 0, case
    assert cases[-1]["left"] == []


def test_the_process_that_submits_pilots_may_die_between_any_two_steps(folder: Path) -> None:
    cases = [case for case in kill_at_each_step("pilots-submitter", folder, 5, 17) if case["there"]]
    assert len(cases) > 4
    for case in cases:
        assert_complete(case)
        # Before there is a watchdog, only a person can notice.
        assert case["heals"] <= 1, case


@pytest.mark.parametrize("leg", ["follow_up", "last_worker", "watchdog"])
def test_one_leg_alone_goes_on_after_the_death_of_a_pilot(folder: Path, leg: str) -> None:
    for case in kill_at_each_step("pilots-node", folder, 14, 23, one_leg(leg)):
        assert_complete(case)
        assert case["heals"] == 0, case
