"""Which positions a pool hands to its workers, and which wait for room; no worker is started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reflow.execution.pool import workers
from reflow.execution.pool.protocol import pack
from reflow.execution.pool.workers import PATIENCE, WorkerPool
from reflow.executors.seats import Seats
from reflow.model.resources import Resources
from reflow.rundir.run_settings import RunSettings

from tests.unit.execution.pool.scripted import Clock

SMALL, LARGE = Resources(), Resources(cpus=4)


class Pool(WorkerPool):
    """A pool that has places for workers, and no worker."""

    def done(self, number: int, *positions: int) -> None:
        """Report positions, as workers would."""
        os.write(self._reports_write, pack([(number, position) for position in positions]))
        self.wait(0)

    def out(self, number: int) -> list[int]:
        """What the workers were handed of a wave."""
        return sorted(self.waves[number].out)


Pools = Callable[..., Pool]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(workers, "time", clock)
    return clock


@pytest.fixture
def pool(tmp_path: Path, clock: Clock) -> Iterator[Pools]:
    settings = RunSettings(
        run_id="r",
        workflow="tide",
        run_dir=tmp_path,
        store="sqlite:///m.db",
        executor="site",
        python="python3",
        working_directory=tmp_path,
        flow=None,
        parameters={},
    )
    made: list[Pool] = []

    def make(cpus: int = 4, mem: int | None = None, gpus: int = 0) -> Pool:
        slots = os.open(tmp_path / f"slots-{len(made)}", os.O_RDWR | os.O_CREAT)
        made.append(Pool(settings, 0, Seats(cpus, gpus, mem), ["0", "1"][:gpus], slots))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_no_more_is_handed_out_than_there_is_room_for(pool: Pools) -> None:
    one = pool(cpus=5)
    one.add(1, range(3), Resources(cpus=2))
    assert one.out(1) == [0, 1]
    one.add(2, range(3), SMALL)
    assert one.out(2) == [0]
    one.done(1, 0)
    assert one.out(1) == [1, 2]
    assert one.out(2) == [0]


def test_memory_is_room_too(pool: Pools) -> None:
    one = pool(mem=8 * 2**30)
    one.add(1, range(3), Resources(mem=3 * 2**30))
    assert one.out(1) == [0, 1]


def test_devices_are_room_too(pool: Pools) -> None:
    one = pool(gpus=2)
    one.add(1, range(4), Resources(gpus=1))
    assert one.out(1) == [0, 1]


def test_no_more_of_a_wave_is_handed_out_than_may_run_at_once(pool: Pools) -> None:
    one = pool()
    one.add(1, range(4), SMALL, 2)
    assert one.out(1) == [0, 1]
    one.done(1, 1)
    assert one.out(1) == [0, 2]
    # A permit more, and one less.
    one.add(1, [], SMALL, 3)
    assert one.out(1) == [0, 2, 3]


@pytest.mark.parametrize(("small", "large"), [(1, 2), (2, 1)])
def test_large_elements_get_the_next_seats_once_they_have_waited_long(
    pool: Pools, clock: Clock, small: int, large: int
) -> None:
    one = pool()
    # Waves are fed in the order in which they were opened.
    for number in (1, 2):
        one.add(number, [], SMALL if number == small else LARGE)
    one.add(small, range(4), SMALL)
    one.add(large, [7], LARGE)
    one.add(small, range(10, 200), SMALL)

    began = clock.now
    while not one.out(large):
        assert clock.now < began + PATIENCE + 10
        assert len(one.out(small)) == 4 or clock.now > began + PATIENCE
        clock.now += 1
        one.done(small, one.out(small)[0])
    assert clock.now > began + PATIENCE
    assert one.out(small) == []

    # After that the small ones go on.
    one.done(large, 7)
    assert one.out(small) != []


def test_a_wave_that_may_run_no_more_at_once_keeps_no_seats_from_others(
    pool: Pools, clock: Clock
) -> None:
    one = pool()
    one.add(1, range(4), Resources(cpus=2), 1)
    one.add(2, range(10, 20), SMALL)
    assert (one.out(1), one.out(2)) == ([0], [10, 11])
    clock.now += 2 * PATIENCE
    one.done(2, 10)
    assert one.out(2) == [11, 12]


def test_what_was_just_added_has_not_waited_for_long(pool: Pools, clock: Clock) -> None:
    one = pool()
    one.add(1, [0], LARGE)
    one.done(1, 0)
    one.add(2, range(10, 14), SMALL)
    clock.now += 2 * PATIENCE
    one.add(1, [1], LARGE)
    one.add(2, [14], SMALL)
    one.done(2, 10)
    assert one.out(2) == [11, 12, 13, 14]
