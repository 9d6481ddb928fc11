"""What fits beside what on one machine, and the variables that say so."""

from __future__ import annotations

import pytest
from reflow.executors.seats import THREAD_VARIABLES, Seats, thread_variables, usable_gpus
from reflow.model.resources import Resources


def test_elements_take_the_cpus_that_they_ask_for() -> None:
    seats = Seats(4, 0)
    assert seats.room(Resources(), []) == 4
    assert seats.room(Resources(cpus=2), [(Resources(), 1)]) == 1
    assert seats.room(Resources(), [(Resources(cpus=2), 2)]) == 0


def test_who_asks_for_more_than_there_is_takes_all_of_it() -> None:
    seats = Seats(4, 2)
    assert seats.room(Resources(cpus=64), []) == 1
    assert seats.room(Resources(gpus=8), []) == 1
    assert seats.room(Resources(), [(Resources(cpus=64), 1)]) == 0


def test_gpus_are_counted_beside_cpus() -> None:
    seats = Seats(8, 3)
    assert seats.room(Resources(gpus=1), [(Resources(gpus=1), 2)]) == 1
    assert seats.room(Resources(gpus=2), [(Resources(gpus=1), 2)]) == 0
    assert seats.room(Resources(), [(Resources(gpus=1), 3)]) == 5


def test_where_there_are_no_gpus_nobody_waits_for_one() -> None:
    assert Seats(4, 0).room(Resources(gpus=1), []) == 4


def test_threads_follow_cpus_unless_somebody_has_said_how_many() -> None:
    assert thread_variables(3, {}) == dict.fromkeys(THREAD_VARIABLES, "3")
    assert thread_variables(3, {"OMP_NUM_THREADS": "1"}) == {}
    own = thread_variables(3, {"MKL_NUM_THREADS": "1"})
    assert own["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in own


@pytest.mark.parametrize(
    ("said", "configured", "found"),
    [
        ("0,2", None, ["0", "2"]),
        ("GPU-1a", 4, ["GPU-1a"]),
        ("", 4, []),
        ("-1", 4, []),
        (None, 2, ["0", "1"]),
    ],
)
def test_gpus_are_those_that_the_environment_or_the_configuration_names(
    monkeypatch: pytest.MonkeyPatch, said: str | None, configured: int | None, found: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if said is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert usable_gpus(configured) == found


GIB = 2**30


@pytest.mark.parametrize(
    ("wants", "running", "expected"),
    [
        (Resources(mem=4 * GIB), [], 2),
        (Resources(mem=4 * GIB), [(Resources(mem=6 * GIB), 1)], 0),
        (Resources(mem=2 * GIB), [(Resources(mem=4 * GIB), 1)], 2),
        # Without a number, an element has the part of the memory that its cpus are of all.
        (Resources(), [], 4),
        (Resources(), [(Resources(mem=5 * GIB), 1)], 1),
        (Resources(cpus=2), [(Resources(mem=5 * GIB), 1)], 0),
        (Resources(mem=4 * GIB), [(Resources(), 3)], 0),
        # What asks for more than there is takes all.
        (Resources(mem=99 * GIB), [], 1),
    ],
)
def test_memory_is_counted_beside_cpus(
    wants: Resources, running: list[tuple[Resources, int]], expected: int
) -> None:
    assert Seats(4, 0, 8 * GIB).room(wants, running) == expected


def test_where_memory_is_not_counted_nobody_waits_for_it() -> None:
    assert Seats(4, 0).room(Resources(mem=900 * GIB), [(Resources(mem=900 * GIB), 3)]) == 1


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), True),
        (Resources(mem=2 * GIB), True),
        (Resources(mem=2 * GIB + 1), False),
        (Resources(cpus=2), False),
        (Resources(gpus=1), False),
    ],
)
def test_an_element_is_small_of_which_each_cpu_can_run_one(
    resources: Resources, expected: bool
) -> None:
    assert Seats(4, 1, 8 * GIB).is_small(resources) is expected
