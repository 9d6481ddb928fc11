from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from reflow import Run
from reflow.cli.progress import Progress, poll, watch
from reflow.report.screen import Screen

from tests.unit.report.statuses import RUN_ID, status, task


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


def at(done: int) -> dict[str, Any]:
    state = "SUCCESS" if done == 4 else "RUNNING"
    tasks = {"convert": task(state, 4, array=True, SUCCESS=done, RUNNING=4 - done)}
    return status(state, tasks)


def pipe() -> Screen:
    return Screen(file=io.StringIO(), highlight=False)


def terminal(height: int = 24) -> Screen:
    return Screen(file=io.StringIO(), force_terminal=True, width=80, height=height, highlight=False)


def written(console: Screen) -> str:
    return cast(io.StringIO, console.file).getvalue()


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


def test_without_a_terminal_each_change_is_a_line() -> None:
    console = pipe()
    with Progress(console, "Ctrl-C stops it") as progress:
        for done in (0, 1, 2, 4, 4):
            progress.show(at(done)["tasks"])
    lines = [line.split("  ")[1:] for line in written(console).splitlines()]
    assert lines == [["convert", "RUNNING"], ["convert", "SUCCESS", "4/4"]]


def test_an_array_whose_size_was_never_known_ends_without_numbers() -> None:
    console = pipe()
    with Progress(console, "") as progress:
        progress.show({"use": task("SKIPPED", None, array=True)})
    assert written(console).endswith("use  SKIPPED\n")


def test_on_a_terminal_the_table_keeps_itself_up_to_date() -> None:
    console = terminal()
    with Progress(console, "Ctrl-C stops it") as progress:
        for done in (0, 1):
            progress.show(at(done)["tasks"])
    assert "0/4" in written(console)
    assert "1/4" in written(console)
    assert "0.0 s  Ctrl-C stops it" in written(console)


@pytest.mark.parametrize("height", [6, 24])
def test_the_table_is_never_higher_than_the_terminal(height: int) -> None:
    console = terminal(height)
    tasks = {f"step{place}": task("PENDING") for place in range(100)}
    with Progress(console, "") as progress:
        progress.show(tasks)
        shown = written(console)
    assert len(shown.splitlines()) < height
    assert f"and {100 - shown.count('step')} more tasks" in shown
