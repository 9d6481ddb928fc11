"""Outages of the manifest database, which dispatchers outlive.

A store call that fails has written nothing. What a dispatcher had committed before is in the
database, and what workers have done is in the run directory, so nothing is lost: the dispatcher
waits, with a growing pause, and opens the run again from the database once that answers.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from reflow.errors import StoreError
from reflow.rundir.files import write_whole
from reflow.rundir.run_settings import RunSettings

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two tries: after the first failure, and at most."""

Done = TypeVar("Done")

log = logging.getLogger("reflow.dispatch")


class Outages:
    """Waits for the database in one dispatcher, and says so in the run directory."""

    def __init__(self, settings: RunSettings, who: str, longest: float | None = None) -> None:
        """Outlive outages of up to `longest` seconds; without it, as long as is configured.

        `who` names the dispatcher for `status`.
        """
        config = settings.config.dispatch
        self._longest = config.outage_hours * 3600 if longest is None else longest
        self._word = settings.layout.dispatch_trouble
        self._who = who
        self._since: float | None = None
        self._pause = FIRST_PAUSE

    @property
    def under_way(self) -> bool:
        """Whether the database could not be used when this was last tried."""
        return self._since is not None

    def outlive(self, work: Callable[[], Done]) -> Done:
        """Do some work, from its beginning each time that the database fails in it.

        Raises `StoreError` after an outage that is too long, and for what no waiting ends.
        """
        while True:
            try:
                return work()
            except StoreError as error:
                if error.lasting:
                    raise
                self._wait(error)

    def then(self, after_step: Callable[[], None]) -> Callable[[], None]:
        """Return what is to be called after each step: the outage is over, and `after_step`."""

        def both() -> None:
            self._end()
            after_step()

        return both

    def _end(self) -> None:
        if self._since is not None:
            log.warning("the database can be used again; the run goes on")
            self._since, self._pause = None, FIRST_PAUSE
            with suppress(OSError):
                self._word.unlink(missing_ok=True)

    def _wait(self, error: StoreError) -> None:
        """Wait until the next try. Raises the error where there is none."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        left = self._since + self._longest - now
        if left <= 0:
            raise error
        log.warning("%s. It is tried again", error)
        self._leave_word(error)
        time.sleep(min(self._pause, left))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _leave_word(self, error: StoreError) -> None:
        """Record for `status` what the run waits for, if that can be written."""
        message = f"{self._who} waits for the database: {error}. It is tried again"
        with suppress(OSError):
            write_whole(self._word, message.encode())
