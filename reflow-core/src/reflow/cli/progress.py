"""Following a run: a table that keeps itself up to date, or lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from reflow.cli.program import INTERRUPTED, OK, RUN_FAILED
from reflow.errors import NotReadyError
from reflow.model.states import RunState, TaskState
from reflow.report.layout import GAP, count, duration, near
from reflow.report.screen import Screen, screen
from reflow.report.status import (
    fitting,
    state_text,
    status_lines,
    task_lines,
    typed,
)

if TYPE_CHECKING:
    from rich.live import Live

    from reflow.run import Run

Tasks = Mapping[str, Mapping[str, Any]]

_SHORTEST_WAIT = 1.0
_LONGEST_WAIT = 15.0
"""Longest pause between two status calls, in seconds; each may ask the scheduler."""


_BAD_ENDS = (RunState.FAILED, RunState.CANCELLED)


STOPS_THE_RUN = "Ctrl-C stops the run; retry goes on from there"
STOPS_WATCHING = "Ctrl-C stops watching; the run goes on"
STOPS_FOLLOWING = "Ctrl-C stops following; jobs go on, and follow goes on from there"


class Progress(AbstractContextManager["Progress"]):
    """A display of the states of tasks, updated on request."""

    def __init__(self, console: Screen, hint: str) -> None:
        """Start the display; on a terminal, `hint` below the table tells what Ctrl-C does."""
        self._console = console
        self._hint = hint
        self._began = time.monotonic()
        self._live: Live | None = None
        self._told: dict[str, str] = {}

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            from rich.live import Live

            # Without a refreshing thread: processes are forked meanwhile.
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """Take the table off the screen while something else is printed."""
        if self._live is not None:
            self._live.stop()
        yield
        if self._live is not None:
            self._live.start()

    @property
    def unread(self) -> bool:
        """Whether the reader of the output has left."""
        return self._console.quiet

    def show(self, tasks: Tasks) -> None:
        """Show the current states of the tasks."""
        if self._live is None:
            self._tell_changes(tasks)
        else:
            shown = fitting(tasks, self._console.height - 4)
            lines = task_lines(shown, width=self._console.width)
            if hidden := len(tasks) - len(shown):
                lines.append(Text(f"and {count(hidden, 'more task')}", "dim"))
            elapsed = duration(timedelta(seconds=round(time.monotonic() - self._began)))
            lines.append(Text(f"{elapsed}{GAP}{self._hint}", "dim"))
            self._live.update(Group(*lines), refresh=True)

    def _tell_changes(self, tasks: Tasks) -> None:
        for name, task in tasks.items():
            state = TaskState(task["state"])
            if state != self._told.get(name) and (state.final or state is TaskState.RUNNING):
                self._told[name] = state
                line = Text(f"{datetime.now():%H:%M:%S}{GAP}{name}{GAP}")
                line.append_text(state_text(state))
                if state.final and task["array"] and task["size"] is not None:
                    done = task["counts"].get(TaskState.SUCCESS, 0)
                    line.append(f"{GAP}{done}/{task['size']}")
                self._console.put([line])


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
        progress.show(status["tasks"])
        if RunState(status["run"]["status"]).final or progress.unread:
            return status
        pause = _SHORTEST_WAIT if status["tasks"] != before else min(pause * 1.5, _LONGEST_WAIT)
        before = status["tasks"]
        sleep(pause)
