"""The table of a scheduler's own states and what they mean."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from reflow.model.jobs import JobStatus
from reflow.model.states import FailureCause, JobState

logger = logging.getLogger("reflow.executors.batch")


@dataclass(frozen=True, slots=True)
class NativeState:
    """One state of a scheduler, as its manual lists it."""

    code: str
    """The code that its commands print: `PD`, `qw`."""
    name: str
    """The manual's name: `PENDING`."""
    state: JobState
    cause: FailureCause | None = None
    """The cause of an end that no exit code tells: the time limit, the node, ..."""


class StateTable:
    """Every documented state of a scheduler, looked up by the whole word, never by a part."""

    def __init__(self, scheduler: str, states: Iterable[NativeState]) -> None:
        self.scheduler = scheduler
        self.states = tuple(states)
        self._found = {state.code: state for state in self.states}
        self._found.update({state.name: state for state in self.states})

    def status(
        self,
        native_id: str,
        word: str,
        *,
        position: int | None = None,
        exit_code: int | None = None,
        signal: int | None = None,
        reason: str = "",
        host: str = "",
    ) -> JobStatus:
        """Make the status of a job or an element in such a state.

        A failure whose state has no cause of its own has the cause signal or exit code.
        """
        native = self.look_up(word)
        status = JobStatus(
            native_id=native_id,
            state=native.state,
            positions=None if position is None else range(position, position + 1),
            reason=reason,
            host=host,
        )
        if native.state is not JobState.FAILED:
            return status
        cause = native.cause or (FailureCause.SIGNAL if signal else FailureCause.EXIT_CODE)
        return replace(status, cause=cause, exit_code=exit_code, signal=signal)

    def look_up(self, word: str) -> NativeState:
        """Find the state of that code or name; an undocumented one is UNKNOWN and logged once."""
        if word not in self._found:
            logger.warning(
                "%s reports a job state that reflow does not know: %r. It counts as unknown, "
                "neither as done nor as failed.",
                self.scheduler,
                word,
            )
            self._found[word] = NativeState(word, word, JobState.UNKNOWN)
        return self._found[word]
