from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from reflow.runs.watching.pace import Tally, Tasks, paces, time_left

from tests.unit.report.statuses import task


def mean(seconds: float | None) -> Callable[[str], float | None]:
    return lambda name: seconds


def array(size: int | None = 100, **counts: int) -> Tasks:
    return {"a": task("RUNNING", size, array=True, **counts)}


def tally(*seen: tuple[float, Tasks]) -> Tally:
    found = Tally()
    for now, tasks in seen:
        found.add(tasks, now)
    return found


def seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def test_the_rate_is_what_ended_between_looks() -> None:
    now = array(SUCCESS=30, RUNNING=5)
    found = paces(now, tally((0, array(SUCCESS=10)), (60, now)), mean(None))["a"]
    assert found.per_minute == 20
    assert seconds(found.left) == pytest.approx(70 * 3)


def test_only_the_last_minutes_count() -> None:
    seen = [(0.0, array(SUCCESS=0)), (1000.0, array(SUCCESS=50)), (1300.0, array(SUCCESS=55))]
    found = paces(array(SUCCESS=55, RUNNING=1), tally(*seen), mean(None))["a"]
    assert found.per_minute == pytest.approx(1)


def test_the_first_look_knows_the_rate_from_the_store() -> None:
    tasks = array(SUCCESS=50, RUNNING=5)
    found = Tally()
    found.begin(tasks, {"a": (40, 880.0)}, 1000.0)
    found.add(tasks, 1000.0)
    assert paces(tasks, found, mean(None))["a"].per_minute == pytest.approx(20)


def test_results_of_the_cache_are_no_progress() -> None:
    tasks = {"a": task("RUNNING", 100, array=True, SUCCESS=60, RUNNING=1) | {"cached": 60}}
    assert paces(tasks, tally((0, array()), (60, tasks)), mean(None))["a"].per_minute is None


def test_a_retry_begins_a_new_count() -> None:
    now = array(SUCCESS=22, RUNNING=5)
    seen = tally((0, array(SUCCESS=90)), (60, array(SUCCESS=10)), (120, now))
    assert paces(now, seen, mean(None))["a"].per_minute == 12


def test_without_a_rate_durations_and_what_runs_tell_the_end() -> None:
    tasks = array(RUNNING=10, SUBMITTED=90)
    assert seconds(paces(tasks, tally((0, tasks)), mean(60))["a"].left) == 95 / 10 * 60


@pytest.mark.parametrize(
    ("tasks", "known"),
    [
        (array(SUBMITTED=100), 60.0),
        (array(RUNNING=10), None),
        (array(None, RUNNING=10), 60.0),
    ],
    ids=["nothing runs", "no duration is known", "the size is not known"],
)
def test_no_end_is_told_that_cannot_be_known(tasks: Tasks, known: float | None) -> None:
    found = paces(tasks, tally((0, tasks)), mean(known))
    assert found["a"].left is None


@pytest.mark.parametrize(("later", "known"), [(10.0, True), (200.0, False)])
def test_between_two_elements_the_end_stays_known(later: float, known: bool) -> None:
    now = array(SUCCESS=50, SUBMITTED=50)
    seen = tally((0, array(SUCCESS=10)), (60, array(SUCCESS=49)), (60 + later, now))
    assert (paces(now, seen, mean(None))["a"].left is not None) is known
    if not known:
        return
    seen.add(now, 60 + later + 30)
    assert paces(now, seen, mean(None))["a"].left is None


def run_left(tasks: Tasks, upstream: dict[str, list[str]] | None, known: float) -> float | None:
    found = paces(tasks, tally((0, tasks)), mean(known))
    return seconds(time_left(tasks, found, upstream, mean(known)))


def test_a_run_takes_as_long_as_the_longest_way_through_its_tasks() -> None:
    tasks = {
        "a": task("RUNNING", RUNNING=1),
        "b": task("PENDING", PENDING=1),
        "c": task("PENDING", 10, array=True, PENDING=10),
        "d": task("PENDING", PENDING=1),
    }
    upstream = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    assert run_left(tasks, upstream, 60) == 30 + 10 * 60 + 60
    assert run_left(tasks, None, 60) is None


def test_a_run_with_a_list_of_unknown_size_has_no_known_end() -> None:
    tasks = {"a": task("RUNNING", RUNNING=1), "b": task("PENDING", None, array=True)}
    assert run_left(tasks, {"b": ["a"]}, 60) is None


def test_the_last_task_needs_no_graph() -> None:
    tasks = {"a": task("SUCCESS", SUCCESS=1), "b": task("RUNNING", RUNNING=1)}
    assert run_left(tasks, None, 60) == 30
