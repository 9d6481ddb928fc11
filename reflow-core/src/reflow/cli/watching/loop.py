"""The loop of a view: keys, looks, lines."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO

from reflow.cli.watching.commands import Commands
from reflow.cli.watching.poller import Poller
from reflow.cli.watching.terminal import Terminal
from reflow.dispatch.modes import mode_named
from reflow.model.records import RunRecord
from reflow.model.states import RunState
from reflow.report.screen import Screen
from reflow.report.status import typed
from reflow.report.watch.state import (
    Kind,
    Look,
    Quit,
    Request,
    State,
    Verb,
    begin,
    press,
    wanted,
    with_look,
)
from reflow.report.watch.view import Size, list_room, view
from reflow.run import Run
from reflow.runs.watching.glance import Glance, Wanted
from reflow.runs.watching.look import AllLooks, LogLooks, RunLooks
from reflow.stores.contract import Store

TICK = 1.0
"""Seconds after which times on the screen are drawn anew."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 2.0
"""Seconds that the end of the view waits for a look that is under way."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a view ended."""

    run: Glance | None
    """The last look at the run that was on its pages."""
    signal: int | None
    """The signal that ended it; None where a key did, or the run's end."""
    said: str
    """What the last command has done, or is doing."""


def can_fill(console: Screen) -> bool:
    """Tell whether a view can fill the terminal: there is one, for output and for keys."""
    return console.is_terminal and not console.is_dumb_terminal and sys.stdin.isatty()


class Eyes:
    """Looks at whatever a view wants to show; used by one thread."""

    def __init__(
        self,
        store: Store,
        open_run: Callable[[str], Run],
        listed: Callable[[], tuple[Sequence[RunRecord], bool]] | None,
        task: str | None,
    ) -> None:
        self._store, self._open, self._task = store, open_run, task
        self._all = None if listed is None else AllLooks(store, listed)
        self._run: RunLooks | None = None
        self._log: tuple[Wanted, LogLooks] | None = None

    def look(self, wanted: Wanted) -> Sequence[Look]:
        """Look at what is wanted. Raises `ReflowError`."""
        if wanted.run_id is None:
            assert self._all is not None
            return [self._all.look()]
        if self._run is None or self._run.record.run_id != wanted.run_id:
            self._run = RunLooks(self._store, wanted.run_id, self._task)
        run = self._run.look(wanted)
        if wanted.log is None:
            return [run]
        if self._log is None or self._log[0] != wanted:
            self._log = (wanted, LogLooks(self._open(wanted.run_id), wanted.log))
        return [run, self._log[1].look()]


class Loop:
    """Shows a view until its reader leaves, or the run that it began with has ended."""

    def __init__(self, console: Screen, eyes: Eyes, store: Store, run_id: str | None, command: str):
        """Begin with a run, or with all of them. `command` is what commands to type begin with."""
        self._console, self._eyes, self._store, self._command = console, eyes, store, command
        self._state = begin(run_id)
        self._ends_with_run = run_id is not None

    def show(self) -> Ended:
        """Show the view; return how it ended."""
        # What is printed meanwhile, such as a warning, would be written across the view.
        with redirect_stderr(StringIO()) as printed, Terminal(self._console) as terminal:
            poller = Poller(self._eyes.look, wanted(self._state), terminal.wake)
            commands = Commands(self._store, terminal.wake)
            poller.start()
            try:
                number = self._go_on(terminal, poller, commands)
            finally:
                poller.stop(_PATIENCE)
        sys.stderr.write(printed.getvalue())
        return Ended(self._state.run, number, self._state.said)

    def _go_on(self, terminal: Terminal, poller: Poller, commands: Commands) -> int | None:
        anew = True
        while True:
            size = Size(*terminal.size)
            terminal.draw(view(self._state, size, datetime.now(UTC)), anew=anew)
            keys, signals, is_there = terminal.wait(TICK)
            anew = signal.SIGWINCH in signals or "redraw" in keys
            for number in signals:
                if number in _ENDING:
                    return number
            if not is_there:
                return signal.SIGHUP
            if signal.SIGTSTP in signals:
                with poller.held(_PATIENCE):
                    terminal.suspend()
                anew = True
            for key in keys:
                if self._pressed(key, list_room(self._state, size), commands):
                    return None
            poller.want(wanted(self._state))
            if (said := commands.take()) is not None:
                self._state = replace(self._state, said=said)
                poller.look_again()
            if (found := poller.take()) is not None:
                looks, trouble = found
                self._state = replace(self._state, trouble=trouble)
                for look in looks:
                    self._state = with_look(self._state, look)
            if self._has_ended(commands):
                return None

    def _pressed(self, key: str, room: int, commands: Commands) -> bool:
        """Do what a key is for; return whether the view ends."""
        self._state, asked = press(self._state, key, room)
        if isinstance(asked, Request):
            if commands.is_busy:
                self._state = replace(self._state, said="wait for the last command to end")
            elif why := self._why_not(asked):
                self._state = replace(self._state, said=why)
            else:
                commands.start(asked)
        return isinstance(asked, Quit)

    def _why_not(self, asked: Request) -> str:
        """Return why a request cannot be carried out from here; empty where it can."""
        if asked.verb is not Verb.RETRY:
            return ""
        executor = self._executor_of(asked.run_id)
        if executor and mode_named(executor).ends_with_process:
            again = typed(self._command, "retry", asked.run_id)
            return f"a run in the foreground is retried where it is to run; type: {again}"
        return ""

    def _executor_of(self, run_id: str) -> str:
        state = self._state
        if state.run is not None and state.run.status["run"]["run_id"] == run_id:
            return str(state.run.status["run"]["executor"])
        rows = () if state.runs is None else state.runs.rows
        return next((row.record.executor for row in rows if row.record.run_id == run_id), "")

    def _has_ended(self, commands: Commands) -> bool:
        """Tell whether the run that the view began with is over, and its reader not elsewhere."""
        state: State = self._state
        return (
            self._ends_with_run
            and state.page.kind is Kind.RUN
            and state.question is None
            and not state.help
            and not commands.is_busy
            and state.run is not None
            and RunState(state.run.status["run"]["status"]).final
        )
