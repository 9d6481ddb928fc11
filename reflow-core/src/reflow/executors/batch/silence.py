"""Which of a scheduler's commands did not answer, so that they are not waited for again.

A step of a dispatcher may run dozens of commands: it looks for jobs, cancels, asks for states and
limits, submits. Were each of them waited for, a scheduler that hangs would hold `cancel` or
`status` for as many time limits. So a command that did not answer is not run again within the same
step. Where no other has answered in the step, none is: then not only accounting is silent, say,
but the scheduler.
"""

from __future__ import annotations

import time

from reflow.errors import SchedulerUnavailableError

HOLDS = 60.0
"""Seconds after which a command is tried again though the step has not ended: an executor with a
`wait` of its own may never say that it has."""


class Silence:
    """What is known of a scheduler's commands since the present step began."""

    def __init__(self) -> None:
        self._answered: set[str] = set()
        self._silent: dict[str, str] = {}
        self._everything = ""
        self._until = 0.0

    def check(self, program: str) -> None:
        """Raise `SchedulerUnavailableError` for a command that would not answer either."""
        if self._silent and time.monotonic() >= self._until:
            self.forget()
        message = self._everything or self._silent.get(program)
        if message:
            raise SchedulerUnavailableError(message)

    def answered(self, program: str) -> None:
        """Note that a command has answered."""
        self._answered.add(program)

    def add(self, program: str, message: str) -> None:
        """Note that a command has not answered; `message` is for those not run."""
        self._answered.discard(program)
        self._silent[program] = message
        self._until = time.monotonic() + HOLDS
        if not self._answered:
            self._everything = message

    def forget(self) -> None:
        """Begin a new step, in which everything is tried again."""
        self._answered.clear()
        self._silent.clear()
        self._everything = ""
