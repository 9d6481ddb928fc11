"""What one dispatcher goes through: outages that it waits for, tries, and what `status` says of it.

The failure policy decides; this keeps what it decides by, and carries out the waiting. A store call
that fails has written nothing. What a dispatcher had committed before is in the database, and what
workers have done is in the run directory, so nothing is lost: the dispatcher waits, with a growing
pause, and opens the run again from the database once that answers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property
from typing import TypeVar

from reflow.errors import StoreError
from reflow.permissions import open_file
from reflow.rundir.files import open_regular, read_bytes, write_whole
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings
from reflow.runs.failure_policy import (
    LONGEST_TRYING,
    MOST_TRIES,
    Action,
    Decision,
    Role,
    decide,
    patience_of,
)

COUNTING = (Role.SUPERVISOR, Role.DISPATCH_JOB)
"""Those who look after a run without readable data, a bounded number of times."""

Done = TypeVar("Done")

log = logging.getLogger("reflow.dispatch")


class Word:
    """What `status` says that a run's dispatchers could not use: a file of the run directory."""

    def __init__(self, layout: RunLayout) -> None:
        self._file = layout.dispatch_trouble

    def leave(self, text: str) -> None:
        """Record it, in place of what was said before. Raises `OSError`."""
        write_whole(self._file, text.encode())

    def withdraw(self) -> None:
        """Say nothing from now on. Raises `OSError`."""
        self._file.unlink(missing_ok=True)

    def read(self) -> str:
        """Return it; empty where there is none. Raises `OSError`."""
        try:
            return read_bytes(self._file).decode(errors="replace")
        except FileNotFoundError:
            return ""


class Tries:
    """The tries since the last job of a run ended, recorded in a file with a line for each."""

    def __init__(self, layout: RunLayout) -> None:
        """Read the tries of other dispatchers."""
        self._file = layout.tries
        self._times: list[float] = []
        # The file may be damaged, or not be a file at all.
        with suppress(OSError, ValueError), open_regular(self._file) as file:
            self._times = [float(line) for line in file]

    def add(self) -> None:
        """Count one more try, for other dispatchers too where that can be written."""
        self._times.append(time.time())
        with suppress(OSError), open_file(self._file, "a") as file:
            file.write(f"{self._times[-1]}\n")

    def forget(self) -> None:
        """Begin anew. Raises `OSError`."""
        self._times.clear()
        self._file.unlink(missing_ok=True)

    @property
    def used_up(self) -> bool:
        """Whether all tries are used up."""
        times = self._times
        return len(times) >= MOST_TRIES or (bool(times) and times[-1] - times[0] >= LONGEST_TRYING)


class Troubles:
    """The troubles of one dispatcher."""

    def __init__(self, settings: RunSettings, role: Role) -> None:
        self.role = role
        self.word = Word(settings.layout)
        self._layout = settings.layout
        self._patience = patience_of(role, settings.config.dispatch)
        self._away_since: float | None = None

    @cached_property
    def tries(self) -> Tries:
        """The tries of a run without readable data; read when that is found, under the lease."""
        return Tries(self._layout)

    @property
    def in_outage(self) -> bool:
        """Whether the database could not be used when this was last tried."""
        return self._away_since is not None

    def decide(self, error: BaseException) -> Decision:
        """Return what the failure policy says now."""
        since = self._away_since
        return decide(
            error,
            self.role,
            outage=0.0 if since is None else time.monotonic() - since,
            patience=self._patience,
            folder_is_there=self._layout.root.is_dir(),
        )

    def outlive(self, work: Callable[[], Done]) -> Done:
        """Do some work, from its beginning each time that the database fails in it.

        Raises `StoreError` after an outage that is too long, and for what no waiting ends.
        """
        while True:
            try:
                return work()
            except StoreError as error:
                decision = self.decide(error)
                if decision.action is not Action.WAIT:
                    raise
                if self._away_since is None:
                    self._away_since = time.monotonic()
                log.warning("%s. It is tried again", error)
            with suppress(OSError):
                self.word.leave(decision.word)
            time.sleep(decision.pause)

    def then(self, after_step: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """Return what is to be called after each step: it ends troubles, and calls `after_step`."""
        end_tries = cache(self._end_tries)

        def both() -> None:
            self._end_outage()
            end_tries()
            after_step()

        return both

    def _end_outage(self) -> None:
        if self._away_since is not None:
            log.warning("the database can be used again; the run goes on")
            self._away_since = None
            with suppress(OSError):
                self.word.withdraw()

    def _end_tries(self) -> None:
        """Forget what this and other dispatchers could not use. Raises `OSError`."""
        if self.role in COUNTING:
            self.tries.forget()
            self.word.withdraw()
