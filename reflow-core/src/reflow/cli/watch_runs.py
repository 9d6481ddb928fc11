"""Watching many runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.text import Text

from reflow.cli.program import INTERRUPTED, OK, SIGNALS
from reflow.cli.source import Runs
from reflow.cli.watching.loop import Eyes, Loop, can_fill
from reflow.report.layout import GAP
from reflow.report.listing import runs_lines
from reflow.report.screen import Screen
from reflow.report.status import state_text
from reflow.runs.recover import end_abandoned

if TYPE_CHECKING:
    from reflow.model.records import RunRecord
    from reflow.model.states import RunState

EVERY = 5.0
"""Seconds between two looks at the runs where there is no terminal to fill."""


def watch_runs(
    source: Runs, console: Screen, listed: Callable[[], list[RunRecord]], most: int | None
) -> int:
    """Show runs, at most `most` of those listed, until the reader leaves; return the exit code.

    Where there is no terminal to fill, print each change of a run's state as a line, until no run
    goes on.
    """

    def shown() -> tuple[Sequence[RunRecord], bool]:
        found = listed()
        return found[:most], most is not None and len(found) > most

    if not can_fill(console):
        return _print_changes(source, console, shown)
    eyes = Eyes(source.store, source.open, shown, None)
    ended = Loop(console, eyes, source.store, None, source.command).show()
    if ended.signal not in (None, signal.SIGINT):
        return SIGNALS + int(ended.signal or 0)
    records, _ = shown()
    console.put(runs_lines(records, width=console.width) if records else [Text("no runs")])
    if ended.said:
        console.say(ended.said)
    return OK if ended.signal is None else INTERRUPTED


def _print_changes(
    source: Runs,
    console: Screen,
    shown: Callable[[], tuple[Sequence[RunRecord], bool]],
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    told: dict[str, RunState] = {}
    try:
        while True:
            for record in shown()[0]:
                end_abandoned(source.store, record)
            records, _ = shown()
            # The oldest first, as what comes later is printed below.
            for record in reversed(records):
                if told.get(record.run_id) != record.state:
                    told[record.run_id] = record.state
                    line = Text(f"{datetime.now():%H:%M:%S}{GAP}{record.run_id}{GAP}")
                    console.put([line.append_text(state_text(record.state))])
            if console.quiet or all(record.state.final for record in records):
                return OK
            sleep(EVERY)
    except KeyboardInterrupt:
        return INTERRUPTED
