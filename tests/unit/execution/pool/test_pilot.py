"""What a pilot takes, when it looks, when it has a step taken, and when it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from reflow.execution.completion import prepare_counters
from reflow.execution.pool import host_pool, served_wave
from reflow.execution.pool import pilot as pilot_module
from reflow.execution.pool.open_waves import cancelled, closed, opened, tell, tell_end
from reflow.execution.pool.pilot import Pilot, main
from reflow.execution.pool.pilot_files import SILENT_AFTER, has_ended, mark_left, pilot_files
from reflow.execution.pool.protocol import Why
from reflow.fingerprint.files import fresh
from reflow.model.pilots import Pilots
from reflow.model.resources import Resources
from reflow.permissions import touch
from reflow.rundir.claims import Claim, claim
from reflow.rundir.layout import WaveLayout
from reflow.rundir.packs import Pack, new_slots_file
from reflow.rundir.results import ResultReader
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import InputRecord, WaveSpec, write_inputs

from tests.unit.execution.pool.scripted import Clock, ScriptedPool

SUBMISSION = 9


class Steps:
    """A dispatch process that takes no step, and answers when it is told to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.asked_at: list[float] = []
        """Seconds after the pilot's begin."""
        self.answers: int | None = None
        self.answered = False
        self.due_at: float | None = None
        self.waited = self.closed = self.is_lost = False

    def ask(self) -> None:
        self.asked_at.append(round(self._clock.now - 1000, 1))
        self.due_at = None

    def has_answered(self) -> bool:
        answered, self.answered = self.answered, False
        return answered

    @property
    def is_due(self) -> bool:
        return self.due_at is not None and self._clock.now >= self.due_at

    def wait(self, seconds: float) -> None:
        self.waited = True

    def close(self, seconds: float) -> None:
        self.closed = True


class Scene:
    """A run with pilots, one of which is here."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.made: list[Pilot] = []
        self.steps = Steps(self.clock)
        self.pool: ScriptedPool
        self.settings: RunSettings
        for module in (pilot_module, host_pool, served_wave):
            monkeypatch.setattr(module, "time", self.clock)
        monkeypatch.setattr(pilot_module, "DispatchProcess", lambda settings: self.steps)

    def pilot(
        self,
        incarnation: str = "0",
        *,
        seconds: float = 10.0,
        **given: Any,
    ) -> Pilot:
        """Make a pilot whose elements take so long."""
        self.settings = RunSettings(
            run_id="r",
            workflow="tide",
            run_dir=self.folder,
            store="sqlite:///m.db",
            executor="site",
            python="python3",
            working_directory=self.folder,
            flow=None,
            parameters={},
            pilots=Pilots(jobs=2, **{"cpus": 2, "idle": timedelta(hours=2), **given}),
        )
        self.settings.layout.pilots(SUBMISSION).mkdir(parents=True, exist_ok=True)
        self.pool = ScriptedPool(self.clock, seconds)
        # It has nothing to do until somebody tells it to end.
        self.pool.before_round = self.ends_after(10_000.0)

        def made(*given: Any, on_report: Callable[[int, int], None], **_: Any) -> ScriptedPool:
            self.pool.on_report, self.pool.slots = on_report, given[-1]
            return self.pool

        self._monkeypatch.setattr(host_pool, "WorkerPool", made)
        pilot = Pilot(self.settings, me(incarnation), SUBMISSION, 1)
        self.made.append(pilot)
        return pilot

    def ends_after(
        self, seconds: float, then: Callable[[int], None] = lambda number: None
    ) -> Callable[[int], None]:
        """Have the run be over after so many seconds."""

        def turn(number: int) -> None:
            then(number)
            if self.clock.now >= 1000 + seconds:
                self.tell("end")

        return turn

    def tell(self, *words: str) -> None:
        tell(self.settings.layout.open_waves, 1, words)

    def wave(
        self, number: int, size: int, resources: Resources | None = None, **pack: Any
    ) -> WaveLayout:
        """Write a wave and open it."""
        layout = self.settings.layout.wave(number)
        for made in (layout.claims, layout.results):
            made.mkdir(parents=True)
        given = None if self.settings.pilots is None else self.settings.pilots.time
        spec = WaveSpec(
            run_id="r",
            task="each",
            number=number,
            token=f"each-{number}",
            size=size,
            code="",
            common={},
            each=(),
            resources=resources or Resources(),
            notify=True,
            pack=Pack(
                **{
                    "hosts": 0,
                    "at_once": 1,
                    "block": 1,
                    "open": True,
                    "time": None if given is None else given.total_seconds(),
                    **pack,
                }
            ),
        )
        spec.write(layout)
        write_inputs(layout.inputs, [InputRecord(index, 1) for index in range(size)])
        prepare_counters(layout, spec.claims)
        self.tell(opened(number))
        return layout

    @property
    def taken(self) -> list[tuple[int, int]]:
        return [at for added in self.pool.added for at in added]

    @property
    def has_left(self) -> bool:
        (file,) = (each for each in pilot_files(self.settings.layout.hosts) if each.element == 1)
        return file.has_left

    @property
    def seconds(self) -> float:
        return self.clock.now - 1000


def me(incarnation: str = "0", job: int = 1) -> Claim:
    return Claim(native_id=f"79_{job}", incarnation=incarnation, host="node", pid=job, element=job)


def other_pilot(scene: Scene, job: int = 2, incarnation: str = "0") -> Path:
    file = new_slots_file(scene.settings.layout.hosts, me(incarnation, job), SUBMISSION, job)
    touch(file)
    return file


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    scene = Scene(tmp_path, monkeypatch)
    yield scene
    for pilot in scene.made:
        if not scene.steps.closed:
            pilot.close()


# -- what it takes -------------------------------------------------------------------------
def test_a_pilot_runs_all_waves_in_the_order_in_which_they_were_opened(scene: Scene) -> None:
    pilot = scene.pilot()
    scene.wave(7, 3)
    scene.wave(3, 2)
    scene.pool.before_round = scene.ends_after(60)
    pilot.run()
    assert [number for number, _ in scene.taken] == [7, 7, 7, 3, 3]


def test_a_wave_that_is_opened_later_is_taken_up_while_the_pilot_waits(scene: Scene) -> None:
    pilot = scene.pilot()

    def turn(number: int) -> None:
        if scene.seconds > 5 and not scene.settings.layout.wave(4).directory.exists():
            scene.wave(4, 2)

    scene.pool.before_round = scene.ends_after(60, turn)
    pilot.run()
    assert sorted(scene.taken) == [(4, 0), (4, 1)]


def test_what_others_have_claimed_is_theirs(scene: Scene) -> None:
    pilot = scene.pilot()
    layout = scene.wave(4, 6, block=2)
    assert claim(layout, 1, me(job=2))
    scene.pool.before_round = scene.ends_after(60)
    pilot.run()
    assert sorted(scene.taken) == [(4, 0), (4, 1), (4, 4), (4, 5)]


@pytest.mark.parametrize("told", [[], [opened(4)], [closed(4)]])
def test_a_wave_is_taken_up_once_whatever_is_told_again(scene: Scene, told: list[str]) -> None:
    pilot = scene.pilot()
    scene.wave(4, 4)
    scene.pool.before_round = scene.ends_after(
        60, lambda number: scene.tell(*told) if number == 1 else None
    )
    pilot.run()
    assert sorted(scene.taken) == [(4, position) for position in range(4)]


def test_a_wave_that_is_called_off_is_left_alone(scene: Scene) -> None:
    pilot = scene.pilot()
    touch(scene.wave(4, 4).called_off)
    scene.pool.before_round = scene.ends_after(60)
    pilot.run()
    assert scene.taken == []


def test_large_and_small_elements_of_two_waves_run_beside_each_other(scene: Scene) -> None:
    pilot = scene.pilot(cpus=4)
    scene.wave(4, 3, Resources(cpus=3))
    scene.wave(5, 6)
    scene.pool.before_round = scene.ends_after(100)
    pilot.run()
    assert len(scene.taken) == 9
    # Of each wave no more is claimed than may begin soon: what it has, no other pilot can run.
    assert all(len(added) <= 4 for added in scene.pool.added)


def test_what_the_pilot_cannot_hold_is_left_and_said(scene: Scene) -> None:
    pilot = scene.pilot()
    layout = scene.wave(4, 2, Resources(cpus=3))
    scene.wave(5, 1)
    scene.pool.before_round = scene.ends_after(20)
    pilot.run()
    assert scene.taken == [(5, 0)]
    assert layout.too_large.exists()
    assert scene.steps.asked_at[0] == 0.0


def test_an_element_that_is_cancelled_ends_alone(scene: Scene) -> None:
    pilot = scene.pilot(cpus=2)
    scene.wave(4, 2)
    scene.wave(5, 2)
    scene.pool.deaf = True

    def turn(number: int) -> None:
        if number == 1:
            scene.tell(cancelled(4))
        scene.pool.deaf = scene.seconds < 30

    scene.pool.before_round = scene.ends_after(120, turn)
    pilot.run()
    assert sorted(scene.pool.told) == [((4, 0), Why.CANCELLED), ((4, 1), Why.CANCELLED)]
    assert sorted(scene.taken)[2:] == [(5, 0), (5, 1)]


def test_a_pilot_tells_of_a_cancelled_wave_once_nothing_of_it_is_left_here(scene: Scene) -> None:
    pilot = scene.pilot(seconds=1.0)
    scene.wave(4, 2)
    scene.wave(5, 2)
    scene.pool.deaf = True
    (slots,) = (file.path for file in pilot_files(scene.settings.layout.hosts))
    told: list[tuple[bool, bool]] = []
    # Elements that ignore what they are told.
    scene.pool.tell = lambda *given, **named: None  # type: ignore[method-assign]

    def turn(number: int) -> None:
        if number == 2:
            scene.tell(cancelled(4), cancelled(9))
        scene.pool.deaf = scene.seconds < 30
        told.append((has_ended(slots, 4), has_ended(slots, 9)))

    scene.pool.before_round = scene.ends_after(60, turn)
    pilot.run()
    assert told[0] == (False, False)
    # Of one of them it never had anything.
    assert told[20] == (False, True)
    assert told[-1] == (True, True)
    assert not has_ended(slots, 5)
    # The next attempt need not wait for another reason to look.
    assert scene.steps.asked_at[0] < 40


def test_a_wave_that_was_cancelled_is_not_taken_up_though_it_is_told_again(scene: Scene) -> None:
    pilot = scene.pilot()
    scene.wave(4, 2)
    scene.tell(cancelled(4))
    scene.pool.before_round = scene.ends_after(
        20, lambda number: scene.tell(opened(4)) if number == 3 else None
    )
    pilot.run()
    assert scene.taken == []


# -- looks ---------------------------------------------------------------------------------
@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the file system was asked."""
    asked: list[str] = []

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*given: Any, **named: Any) -> Any:
            asked.append(name)
            return real(*given, **named)

        monkeypatch.setattr(owner, name, call)

    for owner, name in (
        (fresh, "asked"),
        (Path, "exists"),
        (Path, "iterdir"),
        (os, "scandir"),
        (os, "utime"),
    ):
        counted(owner, name)
    return asked


@pytest.mark.parametrize("is_open", [True, False])
def test_a_pilot_without_work_asks_the_file_system_twice_a_second_at_most(
    scene: Scene, questions: list[str], is_open: bool
) -> None:
    pilot = scene.pilot()
    if is_open:
        assert claim(scene.wave(4, 1), 0, me(job=2))
    scene.pool.before_round = scene.ends_after(600)
    questions.clear()
    pilot.run()
    assert scene.seconds >= 600
    assert len(questions) <= 2 * scene.seconds


def test_a_pilot_that_has_enough_to_do_does_not_look_for_more(
    scene: Scene, questions: list[str]
) -> None:
    pilot = scene.pilot(seconds=0.5)
    scene.wave(4, 10)
    scene.pool.deaf = True

    def turn(number: int) -> None:
        if number == 1:
            questions.clear()
        if scene.seconds > 20:
            pilot.leave()

    scene.pool.before_round = turn
    pilot.run()
    # Whether it is to end, and that it lives.
    assert len(questions) <= scene.seconds + 5


def test_a_pilot_gives_signs_of_life_while_it_works_and_while_it_waits(scene: Scene) -> None:
    pilot = scene.pilot(seconds=40.0)
    scene.wave(4, 2)
    (file,) = scene.settings.layout.hosts.iterdir()
    signs: list[float] = []

    def turn(number: int) -> None:
        if file.stat().st_mtime > 1e6:
            signs.append(scene.seconds)
            os.utime(file, (1, 1))

    scene.pool.before_round = scene.ends_after(600, turn)
    pilot.run()
    assert signs[0] == 0.0
    waits = [later - sooner for sooner, later in pairwise(signs)]
    assert max(waits) < SILENT_AFTER / 2
    assert min(waits) > 20


# -- steps ---------------------------------------------------------------------------------
def test_the_pilot_that_finishes_a_wave_has_a_step_taken_at_once(scene: Scene) -> None:
    pilot = scene.pilot(seconds=10.0)
    scene.wave(4, 4)
    scene.pool.before_round = scene.ends_after(29)
    pilot.run()
    assert scene.steps.asked_at == [20.0]


def test_a_pilot_that_leaves_elements_to_others_has_no_step_taken(scene: Scene) -> None:
    pilot = scene.pilot(seconds=10.0)
    layout = scene.wave(4, 4)
    assert claim(layout, 3, me(job=2))
    scene.pool.before_round = scene.ends_after(29)
    pilot.run()
    assert scene.steps.asked_at == []


def test_where_a_step_was_taken_the_pilot_looks_at_once(scene: Scene) -> None:
    pilot = scene.pilot(seconds=0.1)
    looks: list[float] = []
    real = pilot._open.look

    def look() -> None:
        looks.append(scene.seconds)
        real()

    pilot._open.look = look  # type: ignore[method-assign]

    def turn(number: int) -> None:
        if number == 1:
            scene.clock.now += 0.01
            scene.steps.answered = True

    scene.pool.before_round = scene.ends_after(0.5, turn)
    scene.steps.answers = 77
    pilot.run()
    assert scene.pool.wakes_on == 77
    assert min(later - sooner for sooner, later in pairwise(looks)) < 0.65


def test_what_a_step_said_is_due_has_another_one_taken_when_it_is(scene: Scene) -> None:
    pilot = scene.pilot()
    scene.steps.due_at = 1012.0
    scene.pool.before_round = scene.ends_after(20)
    pilot.run()
    (asked,) = scene.steps.asked_at
    assert 12 <= asked < 13


def test_while_waves_are_open_and_nothing_is_to_be_had_steps_are_taken_ever_more_seldom(
    scene: Scene,
) -> None:
    pilot = scene.pilot()
    assert claim(scene.wave(4, 1), 0, me(job=2))
    scene.pool.before_round = scene.ends_after(1200)
    pilot.run()
    waits = [0.0, *scene.steps.asked_at]
    between = [later - sooner for sooner, later in pairwise(waits)]
    for found, expected in zip(between, [30, 60, 120, 240, 300, 300], strict=False):
        assert expected <= found <= expected + 1
    assert len(between) == 6


def test_where_nothing_is_open_no_steps_are_taken(scene: Scene) -> None:
    pilot = scene.pilot()
    scene.tell(opened(4), closed(4))
    scene.pool.before_round = scene.ends_after(1200)
    pilot.run()
    assert scene.steps.asked_at == []


def test_after_work_a_pilot_asks_soon_again(scene: Scene) -> None:
    pilot = scene.pilot(seconds=10.0)
    assert claim(scene.wave(4, 1), 0, me(job=2))

    def turn(number: int) -> None:
        if scene.seconds > 100 and not scene.settings.layout.wave(5).directory.exists():
            assert claim(scene.wave(5, 2), 0, me(job=2))

    scene.pool.before_round = scene.ends_after(160, turn)
    pilot.run()
    first, second, third = scene.steps.asked_at
    assert (30 <= first <= 31, 90 <= second <= 91) == (True, True)
    assert 140 <= third <= 142


def test_a_pilot_that_falls_silent_has_one_step_taken_by_each_that_sees_it(scene: Scene) -> None:
    pilot = scene.pilot(seconds=400.0)
    scene.wave(4, 2)
    silent = [other_pilot(scene, 2), other_pilot(scene, 3)]
    gone = other_pilot(scene, 4)
    mark_left(gone)
    for file in (*silent, gone):
        then = file.stat().st_mtime - SILENT_AFTER - 10
        os.utime(file, (then, then))
    scene.pool.seconds = 35.0
    scene.pool.deaf = True

    def turn(number: int) -> None:
        if number == 4:
            file = other_pilot(scene, 5)
            os.utime(file, (1, 1))
        scene.pool.deaf = scene.seconds < 300

    scene.pool.before_round = scene.ends_after(340, turn)
    pilot.run()
    early = [asked for asked in scene.steps.asked_at if asked < 300]
    assert early == [35.0, 140.0]


# -- ends ----------------------------------------------------------------------------------
def test_a_pilot_ends_with_the_run(scene: Scene) -> None:
    pilot = scene.pilot()
    scene.pool.before_round = scene.ends_after(30)
    pilot.run()
    assert scene.seconds < 32
    pilot.close()
    assert scene.has_left
    assert scene.steps.asked_at == []


def test_a_pilot_without_work_ends_after_a_while(scene: Scene) -> None:
    pilot = scene.pilot(seconds=50.0, idle=timedelta(minutes=5))
    scene.wave(4, 2)
    pilot.run()
    assert 350 <= scene.seconds <= 352


@pytest.mark.parametrize(
    ("need", "ends_at"),
    # What has no time of its own is begun until all is interrupted.
    [(timedelta(minutes=5), 300), (None, 570)],
)
def test_a_pilot_ends_that_has_no_time_left_for_what_is_open(
    scene: Scene, need: timedelta | None, ends_at: float
) -> None:
    pilot = scene.pilot(seconds=50.0, cpus=1, time=timedelta(minutes=10))
    scene.wave(4, 100, Resources(time=need))
    pilot.run()
    assert ends_at - 50 <= scene.seconds <= ends_at + 50
    assert scene.pool.told == []
    pilot.close()
    # Others are to take what is left, or to be submitted for that.
    assert len(scene.steps.asked_at) == 1
    assert scene.steps.waited


def test_the_first_element_is_begun_however_much_time_it_asks_for(scene: Scene) -> None:
    pilot = scene.pilot(seconds=50.0, cpus=1, time=timedelta(minutes=10))
    scene.wave(4, 3, Resources(time=timedelta(minutes=9, seconds=45)), time=3600.0)
    pilot.run()
    assert len(scene.taken) == 1


def cancel_run(scene: Scene, pilot: Pilot) -> None:
    touch(scene.settings.layout.cancelled)


def end_run(scene: Scene, pilot: Pilot) -> None:
    tell_end(scene.settings.layout.open_waves, 1)


def succeed(scene: Scene, pilot: Pilot) -> None:
    other_pilot(scene, 1, "1")


@pytest.mark.parametrize(
    "reason",
    [cancel_run, end_run, succeed, lambda scene, pilot: pilot.leave()],
    ids=["cancelled", "ended", "started once more", "signal"],
)
def test_a_pilot_that_has_a_reason_to_end_begins_nothing_and_has_what_runs_interrupted(
    scene: Scene, reason: Callable[[Scene, Pilot], None]
) -> None:
    pilot = scene.pilot(seconds=1.0)
    layout = scene.wave(4, 10)
    scene.pool.deaf = True
    scene.pool.before_round = lambda number: reason(scene, pilot) if number == 2 else None
    pilot.run()
    assert len(scene.taken) == 2
    assert scene.pool.told == [(at, Why.LEAVING) for at in scene.taken]
    assert scene.seconds <= 10
    results = {record.position: record.interrupted for record in ResultReader(layout).new()}
    assert results == {position: True for _, position in scene.taken}


def test_what_runs_shortly_before_the_end_of_the_job_is_interrupted(scene: Scene) -> None:
    pilot = scene.pilot(seconds=5.0, time=timedelta(minutes=10))
    scene.wave(4, 10)
    scene.pool.deaf = True
    pilot.run()
    assert {why for _, why in scene.pool.told} == {Why.LEAVING}
    assert 570 <= scene.seconds < 600


def test_a_pilot_that_leaves_open_work_has_a_step_taken_last_and_says_that_it_left_first(
    scene: Scene,
) -> None:
    pilot = scene.pilot(seconds=1.0)
    scene.wave(4, 10)
    scene.pool.before_round = lambda number: pilot.leave()
    pilot.run()
    had_left: list[bool] = []
    ask = scene.steps.ask

    def asked() -> None:
        had_left.append(scene.has_left)
        ask()

    scene.steps.ask = asked  # type: ignore[method-assign]
    pilot.close()
    # The step finds by that mark what is to run elsewhere.
    assert had_left == [True]
    assert scene.steps.closed


def test_a_pilot_that_is_started_once_more_tells_that_its_earlier_life_is_over(
    scene: Scene,
) -> None:
    scene.pilot("0")
    scene.pilot("1")
    gone = {file.incarnation: file.is_gone for file in pilot_files(scene.settings.layout.hosts)}
    assert gone == {"0": True, "1": False}


def test_a_pilot_that_begins_late_does_not_take_a_later_life_of_its_job_for_over(
    scene: Scene,
) -> None:
    scene.pilot("10")
    scene.pilot("9")
    gone = {file.incarnation: file.is_gone for file in pilot_files(scene.settings.layout.hosts)}
    assert gone == {"9": False, "10": False}


@pytest.mark.parametrize("size", [1, 0])
def test_a_pilot_says_when_it_has_run_its_first_element(scene: Scene, size: int) -> None:
    pilot = scene.pilot()
    if size:
        scene.wave(4, size)
    scene.pool.before_round = scene.ends_after(20)
    pilot.run()
    assert scene.settings.layout.pilots_worked(SUBMISSION).exists() is (size > 0)


@pytest.mark.parametrize("mark", ["cancelled", "ended"])
def test_a_pilot_that_begins_after_the_run_is_over_does_nothing(scene: Scene, mark: str) -> None:
    scene.pilot()
    before = signal.getsignal(signal.SIGTERM)
    scene.settings.write()
    touch(getattr(scene.settings.layout, mark))
    assert main([str(scene.folder), "r", str(SUBMISSION), "0"]) == 0
    assert len(list(pilot_files(scene.settings.layout.hosts))) == 1
    assert signal.getsignal(signal.SIGTERM) is before
