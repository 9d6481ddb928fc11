"""A job that elements share is killed with SIGKILL between its steps, and the run completes.

What is killed, and how, stands in `harness.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_dispatcher_killed import LONGEST, kill_at_each_step, one_leg
from tests.faults.test_dispatcher_killed import folder as folder

pytestmark = pytest.mark.timeout(LONGEST + 10)
NUMBERS = [1, 2, 3, 4]


def assert_complete(case: dict[str, Any]) -> None:
    """Every element has one right result; what had none when its job was killed ran again."""
    assert case["state"] == "SUCCESS", case
    assert case["results"] == {"items": [NUMBERS], "each": [10 * x for x in NUMBERS]}, case
    assert {state for _, _, state, _ in case["instances"]} == {"SUCCESS"}, case
    assert len(case["instances"]) == 1 + len(NUMBERS), case
    again = {f"each-{index + 1}" for _, index, _, attempt in case["instances"] if attempt > 1}
    assert {f"each-{x}" for x in NUMBERS} <= set(case["calls"]), case
    assert {word for word, times in case["calls"].items() if times > 1} <= again, case
    assert max(case["calls"].values()) <= 2, case


@pytest.mark.parametrize(
    ("kind", "first"), [("hosts-node", 1), ("hosts-kill", 4), ("hosts-without-links", 6)]
)
def test_a_job_that_elements_share_may_die_between_any_two_steps(
    folder: Path, kind: str, first: int
) -> None:
    cases = kill_at_each_step(kind, folder, first, 7)
    assert len(cases) > 4
    for case in cases:
        assert_complete(case)
        assert case["heals"] == 0, case
        assert case["left"] == [], case
    # Undisturbed, nothing runs again.
    assert {attempt for *_, attempt in cases[-1]["instances"]} == {1}


@pytest.mark.parametrize("leg", ["follow_up", "watchdog"])
def test_one_leg_alone_goes_on_after_the_death_of_a_job_that_elements_share(
    folder: Path, leg: str
) -> None:
    for case in kill_at_each_step("hosts-node", folder, 10, 20, one_leg(leg)):
        assert_complete(case)
        assert case["heals"] == 0, case


def test_the_last_job_of_a_wave_alone_needs_one_look_after_a_death(folder: Path) -> None:
    for case in kill_at_each_step("hosts-node", folder, 10, 20, one_leg("last_worker")):
        assert_complete(case)
        assert case["heals"] <= 2, case
