"""What is proposed for tasks by what their elements have used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reflow.model.resources import Resources, parse_memory, parse_time
from reflow.model.states import FailureCause
from reflow.model.tasks import TaskSpec
from reflow.runs.tuning.figures import GIB, MIB, percentile, round_memory, round_time
from reflow.runs.tuning.history import TaskHistory, Try
from reflow.runs.tuning.proposals import FEWEST, Proposal, propose
from reflow.runs.tuning.savings import savings

SPEC = TaskSpec(name="align", function=print, array=True)
NOW = Resources(cpus=4, mem=8 * GIB, time=timedelta(hours=2))


def used(
    memory: float = 1.0, minutes: float = 10.0, cpus: float = 1.0, index: int = 0, **more: Any
) -> Try:
    """A try that succeeded, with so many gigabytes and minutes."""
    given: dict[str, Any] = {
        "run": "r",
        "index": index,
        "succeeded": True,
        "cause": None,
        "seconds": minutes * 60,
        "memory": round(memory * GIB),
        "cpu_seconds": minutes * 60 * cpus,
        "asked": NOW,
    }
    return Try(**{**given, **more})


def ran_out(cause: FailureCause, asked: Resources = NOW, index: int = 0) -> Try:
    return replace(used(index=index), succeeded=False, cause=cause, memory=None, asked=asked)


def proposal(*tries: Try, now: Resources = NOW, **more: Any) -> Proposal:
    given: dict[str, Any] = {"longest": None, "shares": True, **more}
    return propose(SPEC, now, TaskHistory(tries=list(tries), most_elements=1000), **given)


def values(proposed: Proposal) -> dict[str, str | int]:
    return {change.option: change.proposed for change in proposed.changes}


MANY = [used(index=index) for index in range(100)]


def test_what_most_used_and_a_margin_is_proposed() -> None:
    assert values(proposal(*MANY)) == {"mem": "1500M", "time": "00:15:00", "cpus": 2}


def test_a_few_large_elements_do_not_raise_the_margin_but_are_enough_for() -> None:
    found = values(proposal(*MANY, used(memory=2.4, minutes=29)))
    assert (found["mem"], found["time"]) == ("2500M", "00:30:00")


@pytest.mark.parametrize("count", range(FEWEST))
def test_too_little_history_says_so_and_proposes_nothing(count: int) -> None:
    found = proposal(*MANY[:count])
    assert found.changes == ()
    assert found.reason == f"too little history: {count} of {FEWEST} elements"


def test_what_fits_is_left_alone() -> None:
    now = Resources(cpus=1, mem=1500 * MIB, time=timedelta(minutes=16))
    found = proposal(*MANY, now=now)
    assert found.changes == ()
    assert found.reason == "fits: what it asks for is what it uses"


def test_what_is_left_to_the_site_is_asked_for() -> None:
    found = proposal(*MANY, now=Resources())
    assert [(each.option, each.now) for each in found.changes] == [("mem", None), ("time", None)]


def test_what_never_had_enough_is_given_twice_what_it_had() -> None:
    dead = [ran_out(FailureCause.MEMORY, index=500), ran_out(FailureCause.WALLTIME, index=501)]
    found = proposal(*MANY, *dead)
    assert values(found) == {"mem": "16G", "time": "04:00:00", "cpus": 2}
    assert [each.why for each in found.changes][:2] == [
        "1 ran out of memory with 8G",
        "1 ran out of time after 02:00:00",
    ]


def test_what_succeeded_in_the_end_counts_by_what_it_used() -> None:
    first = ran_out(FailureCause.MEMORY, replace(NOW, mem=GIB // 2), index=3)
    assert values(proposal(*MANY, first))["mem"] == "1500M"


def test_time_is_capped_by_the_queue_which_is_said() -> None:
    found = proposal(*MANY, used(minutes=180), longest=timedelta(hours=1, minutes=30))
    [time] = [each for each in found.changes if each.option == "time"]
    assert time.proposed == "01:30:00"
    assert time.why.endswith("the queue allows no more")


def test_many_short_elements_are_to_share_jobs_unless_that_is_decided() -> None:
    short = [used(minutes=0.05, index=index) for index in range(100)]
    assert values(proposal(*short, shares=False))["per_job"] == "auto"
    for decided in (True, None):
        assert "per_job" not in values(proposal(*short, shares=decided))
    assert "per_job" not in values(proposal(*MANY, shares=False))


def test_cpus_of_elements_that_take_no_time_say_nothing() -> None:
    short = [used(minutes=0.01, index=index) for index in range(100)]
    assert "cpus" not in values(proposal(*short))


def test_more_cpus_are_never_proposed() -> None:
    busy = [used(cpus=3.9, index=index) for index in range(100)]
    assert "cpus" not in values(proposal(*busy))


def test_what_was_not_measured_gives_no_proposal() -> None:
    blind = [replace(each, memory=None, cpu_seconds=None) for each in MANY]
    assert list(values(proposal(*blind))) == ["time"]


@given(
    st.lists(
        st.tuples(st.floats(0.01, 200), st.floats(0.01, 5000), st.floats(0.1, 4)),
        min_size=FEWEST,
        max_size=40,
    )
)
def test_nothing_that_succeeded_fails_with_a_proposal(
    uses: list[tuple[float, float, float]],
) -> None:
    tries = [used(*each, index=index) for index, each in enumerate(uses)]
    now = replace(NOW, mem=300 * GIB, time=timedelta(days=9))
    history = TaskHistory(tries=tries)
    assert savings(now, proposal(*tries, now=now), history).would_fail == 0


# -- what it would have saved ------------------------------------------------------------------


def test_savings_count_what_succeeded_and_every_failure_honestly() -> None:
    small, large = replace(NOW, mem=GIB), replace(NOW, mem=8 * GIB)
    tries = [
        *MANY,
        ran_out(FailureCause.MEMORY, small, index=1),
        ran_out(FailureCause.MEMORY, large, index=2),
        replace(ran_out(FailureCause.MEMORY), cause=FailureCause.ERROR),
    ]
    found = savings(NOW, proposal(*MANY), TaskHistory(tries=tries))
    assert (found.tries, found.would_fail, found.had_less) == (103, 1, 1)
    hours = 100 * 10 / 60
    assert found.now.core_hours == pytest.approx(hours * 4)
    assert found.proposed.core_hours == pytest.approx(hours * 2)
    assert found.used.core_hours == pytest.approx(hours)
    assert found.now.memory_hours == pytest.approx(hours * 8)
    assert found.proposed.memory_hours == pytest.approx(hours * 1500 / 1024)
    assert found.used.memory_hours == pytest.approx(hours)


def test_what_a_capped_time_cuts_off_is_counted() -> None:
    found = proposal(*MANY, used(minutes=180), longest=timedelta(hours=1))
    assert savings(NOW, found, TaskHistory(tries=[*MANY, used(minutes=180)])).would_fail == 1


# -- figures -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (1, "300M"),
        (301 * MIB, "400M"),
        (901 * MIB, "1G"),
        (GIB + 1, "1500M"),
        (1501 * MIB, "2G"),
        (2.1 * GIB, "2500M"),
        (2600 * MIB, "3G"),
        (7 * GIB, "8G"),
        (33 * GIB, "40G"),
        (129 * GIB, "160G"),
    ],
)
def test_memory_is_rounded_to_what_a_person_would_write(size: float, written: str) -> None:
    assert round_memory(size) == parse_memory(written)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.1, "00:02:00"),
        (121, "00:03:00"),
        (601, "00:15:00"),
        (3601, "01:15:00"),
        (4 * 3600 + 1, "05:00:00"),
        (12 * 3600 + 1, "18:00:00"),
        (49 * 3600, "3-00:00:00"),
    ],
)
def test_time_is_rounded_to_what_a_person_would_write(seconds: float, written: str) -> None:
    assert round_time(seconds) == parse_time(written)


@given(st.floats(0.001, 10**6))
def test_rounding_never_goes_down(number: float) -> None:
    assert round_memory(number * MIB) >= number * MIB
    assert round_time(number).total_seconds() >= number


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([5.0, 1.0, 3.0], 0.95) == 5.0
    assert percentile([float(number) for number in range(1, 101)], 0.95) == 95.0
    assert percentile([2.0], 0.5) == 2.0
