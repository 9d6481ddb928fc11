"""Which elements fit into a pilot."""

from __future__ import annotations

from datetime import timedelta

import pytest
from reflow.dispatch.pilots.fit import at_once, fits
from reflow.model.pilots import KEPT_MEMORY, Pilots
from reflow.model.resources import Resources

GIB = 2**30
HOUR = timedelta(hours=1)

PLAIN = Pilots(jobs=2)
LARGE = Pilots(jobs=2, cpus=8, mem="16G", gpus=2, time="01:00:00", queue="long", account="ab1")
WHOLE = Pilots(jobs=2, nodes="whole")


@pytest.mark.parametrize(
    ("pilots", "resources", "expected"),
    [
        (PLAIN, Resources(), True),
        (PLAIN, Resources(cpus=2), False),
        (PLAIN, Resources(mem=500 * GIB, time=100 * HOUR), True),
        (PLAIN, Resources(gpus=1), False),
        (PLAIN, Resources(nodes=2), False),
        (PLAIN, Resources(whole_nodes=True), False),
        (PLAIN, Resources(queue="long"), False),
        (PLAIN, Resources(account="ab1"), False),
        (PLAIN, Resources(options={"pond": {"qos": "high"}}), False),
        (PLAIN, Resources(options={"pond": {}, "lake": {"qos": "high"}}), True),
        (LARGE, Resources(cpus=8, gpus=2, queue="long", account="ab1"), True),
        (LARGE, Resources(cpus=9), False),
        (LARGE, Resources(gpus=3), False),
        (LARGE, Resources(mem=16 * GIB - KEPT_MEMORY), True),
        (LARGE, Resources(mem=16 * GIB - KEPT_MEMORY + 1), False),
        (LARGE, Resources(time=timedelta(minutes=58)), True),
        (LARGE, Resources(time=timedelta(minutes=58, seconds=1)), False),
        (LARGE, Resources(queue="short"), False),
        (LARGE, Resources(account="ab2"), False),
        (WHOLE, Resources(cpus=64, mem=500 * GIB), True),
        (WHOLE, Resources(gpus=1), False),
        (WHOLE, Resources(whole_nodes=True), False),
        (Pilots(jobs=2, nodes="whole", cpus=16), Resources(cpus=17), False),
        (Pilots(jobs=2, nodes="whole", mem="16G"), Resources(mem=16 * GIB), False),
    ],
)
def test_an_element_fits_a_pilot_that_has_what_it_asks_for(
    pilots: Pilots, resources: Resources, expected: bool
) -> None:
    assert fits(pilots, resources, "pond") is expected


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (Resources(), 8),
        (Resources(cpus=3), 2),
        (Resources(cpus=3, mem=3 * GIB), 2),
        # Of 16 GiB, some are kept.
        (Resources(mem=4 * GIB), 3),
        (Resources(gpus=1), 2),
        (Resources(cpus=16), 1),
    ],
)
def test_what_an_element_asks_for_most_of_says_how_many_a_pilot_runs_at_once(
    resources: Resources, expected: int
) -> None:
    assert at_once(LARGE, resources, LARGE.cpus) == expected
