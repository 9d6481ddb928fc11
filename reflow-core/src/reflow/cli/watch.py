"""Following a run until it has ended, and the exit code of that end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from reflow.cli.program import INTERRUPTED, OK, RUN_FAILED, SIGNALS
from reflow.errors import NotReadyError
from reflow.model.states import RunState
from reflow.report.layout import near
from reflow.report.progress import Progress
from reflow.report.screen import Screen, screen
from reflow.report.status import run_lines, status_lines, task_lines, typed

if TYPE_CHECKING:
    from reflow.cli.watching.loop import Ended
    from reflow.run import Run

_SHORTEST_WAIT = 1.0
_LONGEST_WAIT = 15.0
"""Longest pause between two status calls, in seconds; each may ask the scheduler."""

_BAD_ENDS = (RunState.FAILED, RunState.CANCELLED)

STOPS_THE_RUN = "Ctrl-C stops the run; retry goes on from there"
STOPS_WATCHING = "Ctrl-C stops watching; the run goes on"
STOPS_FOLLOWING = "Ctrl-C stops following; jobs go on, and follow goes on from there"


def watch(
    run: Run, console: Screen, command: str, *, task: str | None = None, errors: bool = False
) -> int:
    """Show a run until it has ended, and its end; return the exit code of that end.

    When interrupted, print how to come back: the run itself goes on.
    """
    console.say(f"{run.run_id} in {near(run.run_dir)}")
    try:
        with Progress(console, STOPS_WATCHING) as progress:
            status = poll(run, progress, task)
    except KeyboardInterrupt:
        say_goes_on(run, command)
        return INTERRUPTED
    console.put(status_lines(status, errors=errors, width=console.width, command=command))
    return exit_code(status)


def watch_in_view(
    run: Run, console: Screen, command: str, *, task: str | None = None, errors: bool = False
) -> int:
    """Show a run in a view that fills the terminal, until it has ended or its reader leaves.

    Then print how the run stands, and how to come back where it goes on; return the exit code of
    its end. Where there is no terminal to fill, `watch` it.
    """
    from reflow.cli.watching.loop import Eyes, Loop, can_fill

    if not can_fill(console):
        return watch(run, console, command, task=task, errors=errors)
    eyes = Eyes(run.store, lambda run_id: run, None, task)
    ended = Loop(console, eyes, run.store, run.run_id, command).show()
    return _after(run, console, command, ended, task=task, errors=errors)


def _after(
    run: Run, console: Screen, command: str, ended: Ended, *, task: str | None, errors: bool
) -> int:
    """Print in the normal screen how the run stood at last; return the exit code."""
    from reflow.runs.status import status_of

    if ended.signal not in (None, signal.SIGINT):
        return SIGNALS + int(ended.signal or 0)
    over = ended.run is not None and RunState(ended.run.status["run"]["status"]).final
    status = status_of(run.store, run.run_id, task=task) if over else None
    width = console.width
    if status is not None:
        console.put(status_lines(status, errors=errors, width=width, command=command))
    elif ended.run is not None:
        console.put(run_lines(ended.run.status["run"], width=width))
        console.put(task_lines(ended.run.status["tasks"], width=width))
    if ended.said:
        console.say(ended.said)
    if status is not None:
        return exit_code(status)
    say_goes_on(run, command)
    return INTERRUPTED


def say_goes_on(run: Run, command: str) -> None:
    """Print how to look again at a run that goes on without its reader."""
    again = typed(command, "status", run.run_id, "--watch")
    screen(stderr=True).say(f"{run.run_id} goes on by itself. Look again with: {again}")


def follow(run: Run, console: Screen, command: str) -> int:
    """Dispatch a run from this process until it has ended; return the exit code of its end.

    A run that another process dispatches is only watched. When interrupted, print how to come
    back: the run's jobs go on, but no further ones are submitted until then.
    """
    try:
        with Progress(console, STOPS_FOLLOWING) as progress:
            run.follow(progress.show)
    except NotReadyError:
        return watch(run, console, command)
    except KeyboardInterrupt:
        again = typed(command, "follow", run.run_id)
        screen(stderr=True).say(f"{run.run_id}: what is submitted goes on. Go on with: {again}")
        return INTERRUPTED
    status = run.status(as_dict=True)
    console.put(status_lines(status, errors=False, width=console.width, command=command))
    return exit_code(status)


def say_stopped(run: Run, command: str) -> None:
    """Print how to continue a run that was stopped in the process where it ran."""
    again = typed(command, "retry", run.run_id)
    screen(stderr=True).say(f"stopped; what had finished is kept. Go on with: {again}")


def exit_code(status: Mapping[str, Any]) -> int:
    """Return the exit code of a command that has waited for the run."""
    return RUN_FAILED if RunState(status["run"]["status"]) in _BAD_ENDS else OK


def poll(
    run: Run,
    progress: Progress,
    task: str | None,
    sleep: Callable[[float], None] = time.sleep,
) -> Mapping[str, Any]:
    """Show a run until it has ended or the reader has left; return its last status.

    It asks often while something changes and seldom while nothing does.
    """
    pause, before = _SHORTEST_WAIT, None
    while True:
        status = run.status(as_dict=True, task=task)
        progress.show(status["tasks"], status.get("pilots"))
        if RunState(status["run"]["status"]).final or progress.unread:
            return status
        pause = _SHORTEST_WAIT if status["tasks"] != before else min(pause * 1.5, _LONGEST_WAIT)
        before = status["tasks"]
        sleep(pause)
