"""A table of tasks that keeps itself up to date, or lines where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.text import Text

from reflow.model.states import TaskState
from reflow.report.layout import GAP, count, duration
from reflow.report.pilots import pilot_lines
from reflow.report.screen import Screen
from reflow.report.status import done_of, fitting, job_lines, state_text, task_lines

if TYPE_CHECKING:
    from rich.live import Live

Tasks = Mapping[str, Mapping[str, Any]]


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

    def show(self, tasks: Tasks, pilots: Mapping[str, int] | None = None) -> None:
        """Show the current states of the tasks, and how many pilots run and wait."""
        if self._live is None:
            self._tell_changes(tasks)
        else:
            room = self._console.height - 4
            width = self._console.width
            jobs = [*pilot_lines(pilots, width=width), *job_lines(tasks, width=width)]
            jobs = jobs[: max(room // 3, 0)]
            shown = fitting(tasks, room - len(jobs))
            lines = [*task_lines(shown, width=width), *jobs]
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
                    line.append(f"{GAP}{done_of(task)}")
                self._console.put([line])
