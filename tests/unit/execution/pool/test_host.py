"""What a host takes and when it ends, with a pool that runs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reflow.execution.completion import prepare_counters
from reflow.execution.pool import host as host_module
from reflow.execution.pool import host_pool, served_wave
from reflow.execution.pool.host import Host
from reflow.execution.pool.protocol import Why
from reflow.model.resources import Resources
from reflow.permissions import touch
from reflow.rundir import claims
from reflow.rundir.claims import BY_CREATION, Claim, claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.packs import Pack, new_slots_file
from reflow.rundir.results import ResultReader, ResultRecord
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import InputRecord, WaveSpec, write_inputs

from tests.unit.execution.pool.scripted import Clock, ScriptedPool


class Scene:
    """A wave, its first host, and that host's pool."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.settings = RunSettings(
            run_id="r",
            workflow="tide",
            run_dir=folder,
            store="sqlite:///m.db",
            executor="site",
            python="python3",
            working_directory=folder,
            flow=None,
            parameters={},
            config_data={},
        )
        self.layout = self.settings.layout.wave(1)
        for made in (self.layout.claims, self.layout.results):
            made.mkdir(parents=True)
        for module in (host_module, host_pool, served_wave):
            monkeypatch.setattr(module, "time", self.clock)
        self._monkeypatch = monkeypatch
        self.made: list[Host] = []

    def host(
        self,
        size: int = 12,
        *,
        element: int = 0,
        hosts: int = 1,
        at_once: int = 1,
        block: int = 1,
        seconds: float = 10.0,
        given: float | None = None,
        need: float | None = None,
        mem: int | None = None,
        notify: bool = False,
        incarnation: str = "0",
        long_after: float | None = None,
    ) -> tuple[Host, ScriptedPool]:
        """Make a host with `given` seconds, whose elements `need` so many, and take `seconds`."""
        spec = WaveSpec(
            run_id="r",
            task="each",
            number=1,
            token="each-1",
            size=size,
            code="",
            common={},
            each=(),
            resources=Resources(time=None if need is None else timedelta(seconds=need), mem=mem),
            notify=notify,
            pack=Pack(hosts=hosts, at_once=at_once, block=block, time=given, long_after=long_after),
        )
        write_inputs(self.layout.inputs, [InputRecord(index, 1) for index in range(size)])
        if notify and not self.layout.counters.exists():
            prepare_counters(self.layout, spec.claims)
        pool = ScriptedPool(self.clock, seconds)

        def made(*given: Any, on_report: Callable[[int, int], None], **_: Any) -> ScriptedPool:
            pool.on_report, pool.slots = on_report, given[-1]
            return pool

        self._monkeypatch.setattr(host_pool, "WorkerPool", made)
        host = Host(self.settings, spec, me(element, incarnation))
        self.made.append(host)
        return host, pool

    def recorded(self) -> dict[int, ResultRecord]:
        return {record.position: record for record in ResultReader(self.layout).new()}


def me(element: int = 0, incarnation: str = "0") -> Claim:
    return Claim(
        native_id=f"7_{element}", incarnation=incarnation, host="node", pid=1, element=element
    )


def taken(pool: ScriptedPool) -> list[int]:
    return [position for added in pool.added for _, position in added]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    scene = Scene(tmp_path, monkeypatch)
    yield scene
    for host in scene.made:
        host.close()


# -- how much it takes ---------------------------------------------------------------------
def test_a_host_takes_its_own_share_first_and_then_what_others_have_left(scene: Scene) -> None:
    host, pool = scene.host(hosts=3, element=1)
    assert claim(scene.layout, 10, me(2))
    host.run()
    assert taken(pool)[:4] == [4, 5, 6, 7]
    assert sorted(taken(pool)[4:]) == [0, 1, 2, 3, 8, 9, 11]


@pytest.mark.parametrize(("at_once", "block"), [(1, 1), (3, 1), (2, 4)])
def test_of_long_elements_no_more_are_claimed_than_run(
    scene: Scene, at_once: int, block: int
) -> None:
    host, pool = scene.host(at_once=at_once, block=block, seconds=10.0)
    host.run()
    assert max(map(len, pool.added)) == max(at_once, block)


def test_of_short_elements_as_many_again_are_claimed_before_those_are_done(scene: Scene) -> None:
    host, pool = scene.host(at_once=2, seconds=0.1)
    host.run()
    assert [len(added) for added in pool.added] == [2, 4, 4, 2]


# -- time ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "need", "seconds", "expected"),
    [
        (None, None, 1000.0, 12),
        (None, 60.0, 1000.0, 12),
        # A minute, and half a minute beside it, must be left.
        (200.0, 60.0, 50.0, 3),
        (191.0, 60.0, 50.0, 3),
        (190.0, 60.0, 50.0, 2),
        # What has no limit of its own is begun until everything is interrupted.
        (200.0, None, 50.0, 4),
        (180.0, None, 50.0, 3),
        # The first is always begun.
        (180.0, 60.0, 120.0, 1),
        # Where the queue allows a job less than one element asks for, each has what is left.
        (60.0, 3600.0, 20.0, 2),
        (179.0, 60.0, 50.0, 3),
    ],
)
def test_nothing_is_begun_that_has_not_all_its_time_but_the_first_element(
    scene: Scene, given: float | None, need: float | None, seconds: float, expected: int
) -> None:
    host, pool = scene.host(given=given, need=need, seconds=seconds)
    host.run()
    assert taken(pool) == list(range(expected))
    assert pool.told == []


def test_what_runs_shortly_before_the_end_of_the_job_is_interrupted(scene: Scene) -> None:
    host, pool = scene.host(given=200.0, seconds=50.0)
    pool.deaf = True
    host.run()
    assert pool.told == [((1, 0), Why.LEAVING)]
    assert scene.clock.now == 1000 + 200
    (record,) = scene.recorded().values()
    assert record.interrupted


@pytest.mark.parametrize("limit", ["time", "mem"])
def test_an_element_that_has_too_much_is_told_alone(
    scene: Scene, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_pool, "has_more_memory", lambda pid, limit: pid == 1)
    host, pool = scene.host(
        size=3, at_once=3, need=60.0 if limit == "time" else None, mem=100, seconds=10.0
    )
    pool.deaf = True

    def turn(number: int) -> None:
        if number == 1 and limit == "time":
            pool.at[1, 1] -= 55
        pool.deaf = number == 1

    pool.before_round = turn
    host.run()
    assert {at for at, _ in pool.told} == {(1, 1)}
    assert not scene.recorded()[1].interrupted


# -- reasons to end ------------------------------------------------------------------------
def test_a_host_that_is_told_to_end_begins_nothing_more_and_has_what_runs_interrupted(
    scene: Scene,
) -> None:
    host, pool = scene.host(at_once=2)
    pool.deaf = True
    pool.before_round = lambda number: host.leave()
    host.run()
    assert taken(pool) == [0, 1]
    assert pool.told == [((1, 0), Why.LEAVING), ((1, 1), Why.LEAVING)]
    assert {position: each.interrupted for position, each in scene.recorded().items()} == {
        0: True,
        1: True,
    }


def test_a_host_ends_when_its_job_was_started_once_more(scene: Scene) -> None:
    host, pool = scene.host()
    pool.deaf = True
    pool.before_round = lambda number: touch(new_slots_file(scene.layout.hosts, me(0, "1")))
    host.run()
    assert pool.told == [((1, 0), Why.LEAVING)]


def test_files_of_earlier_selves_and_of_other_jobs_end_no_host(scene: Scene) -> None:
    scene.layout.hosts.mkdir()
    touch(new_slots_file(scene.layout.hosts, me(0, "0")))
    host, pool = scene.host(incarnation="1", seconds=3.0)
    pool.before_round = lambda number: touch(new_slots_file(scene.layout.hosts, me(3, str(number))))
    host.run()
    assert taken(pool) == list(range(12))


def test_a_host_ends_when_the_run_is_cancelled(scene: Scene) -> None:
    host, pool = scene.host()
    pool.deaf = True
    pool.before_round = lambda number: touch(scene.settings.layout.cancelled)
    host.run()
    assert taken(pool) == [0]
    assert pool.told == [((1, 0), Why.LEAVING)]


def test_what_was_claimed_of_a_wave_that_is_called_off_goes_on(scene: Scene) -> None:
    host, pool = scene.host(block=4)
    pool.before_round = lambda number: touch(scene.layout.called_off)
    host.run()
    assert taken(pool) == [0, 1, 2, 3]
    assert pool.told == []


def test_a_block_that_is_claimed_after_the_wave_was_called_off_is_not_begun(scene: Scene) -> None:
    host, pool = scene.host(block=4)
    touch(scene.layout.called_off)
    host.run()
    assert taken(pool) == []


# -- the end of the wave -------------------------------------------------------------------
@pytest.mark.parametrize("notify", [True, False])
def test_the_host_that_counts_the_last_block_knows_it(scene: Scene, notify: bool) -> None:
    host, _ = scene.host(block=5, notify=notify)
    host.run()
    assert host.counted_last is notify


def test_a_host_that_leaves_elements_is_not_the_last(scene: Scene) -> None:
    host, _ = scene.host(size=3, notify=True)
    assert claim(scene.layout, 2, me(9))
    host.run()
    assert not host.counted_last


def test_a_job_that_is_started_again_skips_what_has_a_result(scene: Scene) -> None:
    first, pool = scene.host(size=3, at_once=3, notify=True)
    first._pool._fill()
    pool.tell([(1, 1)], Why.MEMORY)
    first._pool._record_deaths()
    again, pool = scene.host(size=3, at_once=3, incarnation="1", notify=True)
    again.run()
    assert taken(pool) == [0, 2]
    assert again.counted_last


# -- claims that are being made ------------------------------------------------------------
@pytest.fixture
def waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited for claims, which are made by creating files."""
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        scene.clock.now += seconds

    monkeypatch.setattr(
        claims, "time", SimpleNamespace(monotonic=scene.clock.monotonic, sleep=sleep)
    )
    scene.settings = replace(scene.settings, claims=BY_CREATION)
    return waits


def decide(layout: WaveLayout, block: int) -> None:
    """Decide as a process does that dies before it makes its claim."""
    folder = layout.claim_block(block)
    folder.mkdir(exist_ok=True)
    touch(folder / f".{block}.0.taken")


def test_a_claim_that_another_job_is_about_to_make_is_not_waited_for(
    scene: Scene, waits: list[float]
) -> None:
    for block in (1, 2, 5):
        decide(scene.layout, block)
    host, pool = scene.host(hosts=3, element=1)
    host.run()
    assert sorted(taken(pool)) == [0, 3, 4, 6, 7, 8, 9, 10, 11]
    assert waits == []


def test_what_an_earlier_life_was_about_to_claim_is_waited_for_once_and_last(
    scene: Scene, waits: list[float]
) -> None:
    for block in (1, 2, 5):
        decide(scene.layout, block)
    scene.layout.hosts.mkdir()
    touch(new_slots_file(scene.layout.hosts, me(0, "0")))
    host, pool = scene.host(incarnation="1", seconds=1.0)
    begun: list[int] = []

    def turn(number: int) -> None:
        begun[:] = taken(pool)
        if len(begun) == 9:
            # The earlier life was only slow.
            name = scene.layout.claim_block(2) / "2.0"
            name.write_text(json.dumps(asdict(me(0, "0"))))

    pool.before_round = turn
    host.run()
    assert sorted(taken(pool)[:9]) == [0, 3, 4, 6, 7, 8, 9, 10, 11]
    assert taken(pool)[9:] == [2]
    assert sum(waits) <= claims.CLAIM_APPEARS_WITHIN + 1


# -- long elements -------------------------------------------------------------------------
@pytest.fixture
def dispatches(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rounds in which a host has started a dispatch step."""
    rounds: list[int] = []

    def start(settings: RunSettings) -> Any:
        rounds.append(int(scene.clock.now) - 1000)
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr(host_module, "start_dispatch", start)
    return rounds


def test_elements_of_unknown_duration_that_take_long_are_told_of_once_while_they_run(
    scene: Scene, dispatches: list[int]
) -> None:
    host, pool = scene.host(at_once=2, seconds=25.0, notify=True, long_after=60.0)
    pool.deaf = True

    def turn(number: int) -> None:
        pool.deaf = number < 5

    pool.before_round = turn
    host.run()
    assert dispatches == [75]
    assert scene.layout.long.exists()


@pytest.mark.parametrize(
    "given",
    [
        {"long_after": None},
        {"long_after": 60.0, "seconds": 50.0, "at_once": 2},
        {"long_after": 60.0, "notify": False},
        # All is claimed by then.
        {"long_after": 60.0, "size": 2, "at_once": 2},
    ],
    ids=["known", "short", "quiet", "claimed"],
)
def test_no_dispatch_step_is_taken_for_nothing(
    scene: Scene, dispatches: list[int], given: dict[str, Any]
) -> None:
    host, _ = scene.host(**{"seconds": 100.0, "notify": True, **given})
    host.run()
    assert dispatches == []


def test_of_several_hosts_with_long_elements_one_tells(scene: Scene, dispatches: list[int]) -> None:
    for element in range(3):
        host, _ = scene.host(
            hosts=3, element=element, seconds=100.0, notify=True, long_after=60.0, size=300
        )
        host._pool._fill()
        scene.clock.now += 100
        host._look()
    assert dispatches == [100]
