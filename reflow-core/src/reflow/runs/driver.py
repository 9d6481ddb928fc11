"""The driver: takes the dispatch steps of a run until it has ended, or is left to another.

There is one loop, `drive`. How long it stays, and how often it looks, is a small class for each way
of dispatching. What ends the loop before that is an exception, for which the failure policy has the
answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from reflow.dispatch.dispatcher import Dispatcher

LONGEST_WAIT = 0.5
"""Seconds after which a dispatcher that stays looks for what users have asked."""
LONGEST_HOLD = 10.0
"""Seconds that a command waits for jobs to end whose elements are to be tried again."""
LONGEST_STAY = 120.0
"""Seconds that a dispatch job waits inside grace periods before it leaves that to the next."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two looks of `reflow follow`: right after something happened, and at most."""


class PausePolicy(Protocol):
    """How long a dispatcher stays, and what it arranges before it may be lost."""

    def prepare(self, dispatcher: Dispatcher) -> None:
        """Arrange, before a step, that the run goes on if this process dies in it."""
        ...

    def pause(self, dispatcher: Dispatcher) -> float | None:
        """Return the seconds until the next step; None to leave the run to another dispatcher."""
        ...


class UntilEnd:
    """Stay until the run has ended: in the calling process, or as a supervisor."""

    def prepare(self, dispatcher: Dispatcher) -> None:
        """Arrange nothing: a run of this kind has no dispatch jobs."""

    def pause(self, dispatcher: Dispatcher) -> float:
        """Return the seconds until something is due, or a user may have asked for something."""
        return _due_within(dispatcher, LONGEST_WAIT)


class Following:
    """Stay until the run has ended, beside jobs that another machine runs: `reflow follow`."""

    def __init__(self) -> None:
        self._pause = FIRST_PAUSE

    def prepare(self, dispatcher: Dispatcher) -> None:
        """Arrange nothing: the user who follows is there."""

    def pause(self, dispatcher: Dispatcher) -> float:
        """Return a pause that grows while nothing happens."""
        self._pause = FIRST_PAUSE if dispatcher.moved else min(LONGEST_PAUSE, 1.5 * self._pause)
        return min(self._pause, dispatcher.look_again_in or self._pause)


class Command:
    """Do what can be done now, and leave the rest to dispatch jobs: `submit`, `status`, `retry`."""

    def __init__(self) -> None:
        self._until = time.monotonic() + LONGEST_HOLD

    def prepare(self, dispatcher: Dispatcher) -> None:
        """See that a watchdog lies ahead as soon as the run has jobs."""
        dispatcher.arm_before_jobs()

    def pause(self, dispatcher: Dispatcher) -> float | None:
        """Wait only for the end of earlier attempts, and not for long.

        A scheduler that cannot be used now does not tell of it either.
        """
        if dispatcher.has_more:
            return 0.0
        wanted = dispatcher.held_back and not dispatcher.trouble and time.monotonic() < self._until
        return _due_within(dispatcher, LONGEST_WAIT) if wanted else None


class DispatchJob:
    """Do what can be done now, and stay for what is due soon: a job costs more than a pause."""

    def __init__(self) -> None:
        self._until = time.monotonic() + LONGEST_STAY

    def prepare(self, dispatcher: Dispatcher) -> None:
        """See that a watchdog lies ahead."""
        dispatcher.arm_watchdog()

    def pause(self, dispatcher: Dispatcher) -> float | None:
        """Return the seconds until something is due, where that is soon."""
        due = dispatcher.look_again_in
        return due if due is not None and time.monotonic() + due < self._until else None


class InPilot:
    """Do what can be done now; the pilot that asked asks again when something is due."""

    def __init__(self) -> None:
        self.due: float | None = None
        """Seconds until something is due; None where nothing only waits for time."""

    def prepare(self, dispatcher: Dispatcher) -> None:
        """See that a watchdog lies ahead."""
        dispatcher.arm_watchdog()

    def pause(self, dispatcher: Dispatcher) -> float | None:
        """Go on at once where elements were left to the next step."""
        self.due = dispatcher.look_again_in
        return 0.0 if dispatcher.has_more else None


def drive(
    dispatcher: Dispatcher, pauses: PausePolicy, after_step: Callable[[], None] = lambda: None
) -> None:
    """Take steps until the run has ended, or the policy leaves it; then release the lease."""
    while True:
        pauses.prepare(dispatcher)
        ended = dispatcher.step()
        after_step()
        pause = None if ended else pauses.pause(dispatcher)
        if pause is not None:
            dispatcher.executor.wait(pause)
            continue
        if not ended:
            dispatcher.arrange_continuation()
        if dispatcher.release():
            return


def _due_within(dispatcher: Dispatcher, longest: float) -> float:
    due = dispatcher.look_again_in
    return longest if due is None else min(longest, due)
