"""Keeping a dispatcher going in one process until its run has ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from reflow.dispatch.dispatcher import Dispatcher

LONGEST_WAIT = 0.5
"""Seconds after which a dispatcher looks for what people have asked."""

LONGEST_HOLD = 10.0
"""Seconds that a single step waits for jobs to end whose elements are to be tried again."""


def drive(
    dispatcher: Dispatcher,
    after_step: Callable[[], None] = lambda: None,
    on_interrupt: Callable[[], None] = lambda: None,
) -> None:
    """Take steps until the run has ended and the lease is let go.

    Ctrl-C cancels the run: what runs is told to end, and `KeyboardInterrupt` goes on upwards.
    """
    try:
        _take_steps(dispatcher, after_step)
    except KeyboardInterrupt:
        on_interrupt()
        dispatcher.cancel()
        _take_steps(dispatcher, after_step)
        raise


def _take_steps(dispatcher: Dispatcher, after_step: Callable[[], None]) -> None:
    while True:
        while not dispatcher.step():
            after_step()
            dispatcher.executor.wait(_pause(dispatcher))
        after_step()
        if dispatcher.let_go():
            return


def _pause(dispatcher: Dispatcher) -> float:
    if dispatcher.look_again_in is None:
        return LONGEST_WAIT
    return min(LONGEST_WAIT, dispatcher.look_again_in)


def step_once(dispatcher: Dispatcher) -> None:
    """Do what can be done now, see that somebody comes again, and let go of the lease."""
    until = time.monotonic() + LONGEST_HOLD
    while True:
        dispatcher.arm_watchdog()
        ended = dispatcher.step()
        if not ended and dispatcher.held_back and time.monotonic() < until:
            dispatcher.executor.wait(_pause(dispatcher))
            continue
        if not ended:
            dispatcher.arrange_continuation()
        if dispatcher.let_go():
            return


def wait_until(done: Callable[[], bool], timeout: float | None, longest: float = 2.0) -> bool:
    """Look, with growing pauses, until something is so; False when `timeout` seconds are over."""
    until = None if timeout is None else time.monotonic() + timeout
    pause = 0.05
    while not done():
        if until is not None and time.monotonic() >= until:
            return False
        left = pause if until is None else min(pause, max(0.0, until - time.monotonic()))
        time.sleep(left)
        pause = min(longest, pause * 1.5)
    return True
