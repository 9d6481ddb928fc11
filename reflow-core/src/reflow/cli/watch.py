"""Following a run until it has ended, and the exit code of that end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from reflow.cli.program import INTERRUPTED, OK, RUN_FAILED
from reflow.errors import NotReadyError
from reflow.model.states import RunState
from reflow.report.layout import near
from reflow.report.progress import Progress
from reflow.report.screen import Screen, screen
from reflow.report.status import status_lines, typed

if TYPE_CHECKING:
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
        again = typed(command, "status", run.run_id, "--watch")
        screen(stderr=True).say(f"{run.run_id} goes on by itself. Look again with: {again}")
        return INTERRUPTED
    console.put(status_lines(status, errors=errors, width=console.width, command=command))
    return exit_code(status)


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
