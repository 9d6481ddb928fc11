from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from reflow import Run
from reflow.cli.watch import poll, watch
from reflow.report.progress import Progress

from tests.unit.report.statuses import RUN_ID, at, pipe, written


class Asked:
    """Stands for a run whose status is asked for again and again; the last stays."""

    run_id = RUN_ID
    run_dir = Path("/scratch/demo")

    def __init__(self, statuses: Iterable[dict[str, Any]]) -> None:
        self._statuses = list(statuses)
        self.times = 0

    def status(self, *, as_dict: bool, task: str | None) -> dict[str, Any]:
        self.times += 1
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]


def pauses(*statuses: dict[str, Any]) -> list[float]:
    slept: list[float] = []
    run = cast(Run, Asked(statuses))
    with Progress(pipe(), "") as progress:
        poll(run, progress, None, slept.append)
    return slept


def test_a_run_that_does_not_move_is_asked_ever_more_seldom() -> None:
    slept = pauses(*[at(0)] * 12, at(4))
    assert slept[0] == 1.0
    assert slept == sorted(slept)
    assert slept[-1] == 15.0


def test_a_run_that_moves_is_asked_often() -> None:
    assert pauses(at(0), at(0), at(1), at(2), at(4)) == [1.0, 1.5, 1.0, 1.0]


def test_nobody_is_asked_on_behalf_of_a_reader_that_left() -> None:
    run = Asked([at(0)])
    console = pipe()
    console.quiet = True
    with Progress(console, "") as progress:
        poll(cast(Run, run), progress, None, lambda seconds: None)
    assert run.times == 1


def test_watching_a_run_that_ended_shows_it_at_once() -> None:
    console = pipe()
    assert watch(cast(Run, Asked([at(4)])), console, "reflow") == 0
    assert f"{RUN_ID}  SUCCESS" in written(console)
