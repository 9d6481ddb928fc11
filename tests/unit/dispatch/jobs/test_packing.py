"""How many jobs elements share, and what each of these asks for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from reflow.config.schema import ResourceDefaults
from reflow.dispatch.jobs.packing import (
    HOST_MEMORY,
    LONG,
    MOST_JOBS,
    Packing,
    job_resources,
    within,
)
from reflow.dispatch.modes import BY_DISPATCH_JOBS, FOREGROUND, SUPERVISED, RunMode
from reflow.model.durations import Durations
from reflow.model.resources import Resources
from reflow.model.tasks import TaskSpec
from reflow.rundir.packs import Pack

MINUTE = timedelta(minutes=1)


def task(**given: Any) -> TaskSpec:
    return TaskSpec(name="each", function=print, **{"array": True, **given})


def packing(
    spec: TaskSpec,
    defaults: ResourceDefaults | None = None,
    mode: RunMode = BY_DISPATCH_JOBS,
    *,
    mean: float | None = None,
    cpus: int | None = None,
) -> Packing:
    known = None if mean is None else Durations(mean, 2 * mean)
    return Packing(spec, defaults or ResourceDefaults(), mode, cpus, lambda: known)


def pack(spec: TaskSpec, size: int, most: int = 10_000, **given: Any) -> Pack:
    found = packing(spec, **given).pack(size, most, MINUTE)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("spec", "mode"),
    [
        (task(), BY_DISPATCH_JOBS),
        (task(per_job=1), BY_DISPATCH_JOBS),
        (task(per_job="auto", resources=Resources(nodes=2)), BY_DISPATCH_JOBS),
        (task(per_job="auto"), FOREGROUND),
        (TaskSpec(name="one", function=print), SUPERVISED),
    ],
)
def test_elements_have_jobs_of_their_own_where_nobody_says_else(
    spec: TaskSpec, mode: RunMode
) -> None:
    assert packing(spec, mode=mode).pack(100, 1000, MINUTE) is None
    assert packing(spec, mode=mode).elements_in(7) == 7


def test_as_many_elements_as_the_user_says_share_a_job() -> None:
    assert pack(task(per_job=50), 2000).hosts == 40
    assert pack(task(per_job=50), 2001).hosts == 41
    assert pack(task(per_job=50), 49).hosts == 1
    assert packing(task(per_job=50)).elements_in(3) == 150


@pytest.mark.parametrize(
    ("spec", "defaults"),
    [
        (task(at_once=4), ResourceDefaults()),
        (task(), ResourceDefaults(per_job="auto")),
        (task(per_job="auto"), ResourceDefaults(per_job=7)),
    ],
)
def test_auto_is_asked_for_by_the_task_or_by_default(
    spec: TaskSpec, defaults: ResourceDefaults
) -> None:
    found = packing(spec, defaults).pack(10_000, 10_000, MINUTE)
    assert found is not None
    assert found.hosts == MOST_JOBS


def test_what_a_task_says_comes_before_the_defaults() -> None:
    assert packing(task(per_job=5), ResourceDefaults(per_job=7)).elements_in(1) == 5


def test_on_one_machine_elements_share_jobs_unless_the_user_says_else() -> None:
    found = packing(task(), mode=SUPERVISED, cpus=8).pack(2000, 2000, MINUTE)
    assert found is not None
    assert found.hosts == 8
    assert not found.limited
    assert packing(task(per_job=1), mode=SUPERVISED, cpus=8).pack(2000, 2000, MINUTE) is None


@pytest.mark.parametrize(
    ("mean", "size", "hosts"),
    [
        (0.05, 2000, 20),
        (0.001, 1000, 8),
        (0.001, 4, 4),
        (1.0, 1000, MOST_JOBS),
        (50.0, 10_000, 834),
    ],
)
def test_short_elements_share_as_few_jobs_as_their_work_is_worth(
    mean: float, size: int, hosts: int
) -> None:
    found = packing(task(per_job="auto"), mean=mean).pack(size, 10_000, MINUTE)
    assert (size if found is None else found.hosts) == hosts


def test_long_elements_lose_no_parallelism() -> None:
    assert packing(task(per_job="auto"), mean=LONG).pack(500, 1000, MINUTE) is None
    assert pack(task(at_once=4), 500, mean=LONG).hosts == 125


def test_no_more_jobs_are_asked_for_than_there_may_be() -> None:
    assert pack(task(per_job="auto"), 10_000, most=10).hosts == 10
    assert pack(task(per_job="auto", at_once=2, array_parallelism=6), 10_000).hosts == 3
    assert pack(task(per_job="auto", array_parallelism=5, at_once=50), 1000).at_once == 5


@pytest.mark.parametrize("mean", [None, 0.01, 0.5, 3.0, 59.0])
@pytest.mark.parametrize("size", [2, 3, 64, 1000, 12_345])
@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_every_position_is_in_one_block_and_every_block_in_one_share(
    mean: float | None, size: int, at_once: int
) -> None:
    found = packing(task(per_job="auto", at_once=at_once), mean=mean).pack(size, size, None)
    if found is None:
        assert at_once == 1
        return
    blocks = [block for host in range(found.hosts) for block in found.share(host, size)]
    assert blocks == list(range(found.blocks(size)))
    positions = [position for block in blocks for position in found.positions(block, size)]
    assert positions == list(range(size))
    assert all(found.block_of(position) < found.blocks(size) for position in positions)
    assert 1 <= found.at_once <= at_once


def test_a_job_asks_for_what_its_elements_need_together() -> None:
    resources = Resources(cpus=2, mem=1000, gpus=1, time=MINUTE, queue="short")
    found = pack(task(per_job=8, at_once=4), 80)
    asked = job_resources(resources, found)
    assert (asked.cpus, asked.mem, asked.gpus, asked.queue) == (8, 4000 + HOST_MEMORY, 4, "short")
    assert asked.time == 2 * MINUTE + timedelta(minutes=2)


def test_the_time_of_a_job_follows_from_what_is_expected() -> None:
    unknown = pack(task(per_job="auto"), 10_000)
    assert unknown.time == 60 + 120
    known = pack(task(per_job="auto"), 10_000, mean=30.0)
    share = -(-10_000 // known.hosts)
    assert known.time == pytest.approx(2 * share * 30.0 + 120)
    assert packing(task(per_job=5)).pack(100, 100, None) == Pack(hosts=20, at_once=1, block=1)


@pytest.mark.parametrize(
    ("given", "size", "known", "expected"),
    [
        ({"per_job": "auto"}, 2000, {}, LONG),
        ({"per_job": "auto", "at_once": 8}, 2000, {}, LONG),
        # Long ones would not get more jobs.
        ({"per_job": "auto", "at_once": 8}, 8 * MOST_JOBS, {}, None),
        ({"per_job": "auto", "array_parallelism": MOST_JOBS}, 2000, {}, None),
        ({"per_job": "auto"}, 2000, {"cpus": 16}, None),
        ({"per_job": "auto"}, 2000, {"most": 10}, None),
        # It is known, or said, how many share a job.
        ({"per_job": "auto"}, 2000, {"mean": 1.0}, None),
        ({"per_job": 50}, 2000, {}, None),
    ],
)
def test_only_where_nothing_is_known_do_hosts_look_whether_elements_are_long(
    given: dict[str, Any], size: int, known: dict[str, Any], expected: float | None
) -> None:
    assert pack(task(**given), size, **known).long_after == expected


def test_of_unknown_elements_sixty_four_jobs_are_asked_for_at_most() -> None:
    assert pack(task(per_job="auto"), 100_000).hosts == MOST_JOBS == 64


def test_elements_that_a_host_has_found_long_have_jobs_of_their_own() -> None:
    assert packing(task(per_job="auto"), mean=LONG).pack(2000, 10_000, MINUTE) is None
    assert pack(task(per_job="auto", at_once=8), 2000, mean=LONG).hosts == 250


@pytest.mark.parametrize("spec", [task(per_job="auto"), task(per_job=50)])
@pytest.mark.parametrize(
    ("longest", "expected"), [(None, None), (100 * MINUTE, None), (2 * MINUTE, 2 * MINUTE)]
)
def test_a_job_asks_for_no_more_time_than_its_queue_allows(
    spec: TaskSpec, longest: timedelta | None, expected: timedelta | None
) -> None:
    asked = pack(spec, 200)
    found = within(asked, longest)
    assert found.time == (asked.time if expected is None else expected.total_seconds())
    assert (found.hosts, found.at_once, found.block) == (asked.hosts, asked.at_once, asked.block)


def test_a_job_without_a_limit_of_its_own_is_left_to_the_queue() -> None:
    assert within(Pack(hosts=2, at_once=1, block=1), MINUTE).time is None


@pytest.mark.parametrize(("given", "short"), [(None, False), (180.0, False), (179.0, True)])
def test_a_job_is_too_short_for_elements_that_ask_for_more_than_it_has(
    given: float | None, short: bool
) -> None:
    assert Pack(hosts=1, at_once=1, block=1, time=given).is_too_short_for(MINUTE) is short
