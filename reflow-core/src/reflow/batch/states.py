"""The table that says what a scheduler's own states mean."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from reflow.model.states import FailureCause, JobState

logger = logging.getLogger("reflow.batch")


@dataclass(frozen=True, slots=True)
class NativeState:
    """One state of a scheduler, as its manual lists it."""

    code: str
    """What its commands print: `PD`, `qw`."""
    name: str
    """The manual's name: `PENDING`."""
    state: JobState
    cause: FailureCause | None = None
    """For an end that is nobody's exit code: the time limit, the node, ..."""


class StateTable:
    """Every documented state of a scheduler. Looked up whole, never by a part of the word."""

    def __init__(self, scheduler: str, states: Iterable[NativeState]) -> None:
        self.scheduler = scheduler
        self.states = tuple(states)
        self._found = {state.code: state for state in self.states}
        self._found.update({state.name: state for state in self.states})

    def look_up(self, word: str) -> NativeState:
        """The state of that code or name; for one that no manual has, UNKNOWN, logged once."""
        if word not in self._found:
            logger.warning(
                "%s reports a job state that reflow does not know: %r. It is taken for unknown, "
                "neither for done nor for failed.",
                self.scheduler,
                word,
            )
            self._found[word] = NativeState(word, word, JobState.UNKNOWN)
        return self._found[word]
