"""What tests ask of a cluster, whichever scheduler it has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Queued:
    """A job or array element in the queue."""

    native_id: str
    """The scheduler's name of the job, or of the element."""
    job_id: str
    """That of the array, for an element."""
    name: str
    state: str
    """PENDING, RUNNING, or the scheduler's own word for anything else."""
    reason: str = ""


class Cluster(Protocol):
    """A real scheduler that the tests own, in the words that all of them have in common."""

    scheduler: str
    """As its executor is called."""
    submit: str
    """The command that takes a script."""
    cancel: str
    """The command that takes ids of jobs and elements."""
    in_a_job: str
    """A variable that only jobs have."""
    hand_in: tuple[str, ...]
    """How people submit a script so that the id is all that is printed."""

    @property
    def environment(self) -> Mapping[str, str]:
        """What a client adds to its environment."""

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """What one of the scheduler's commands prints."""

    def queue(self) -> list[Queued]:
        """Whatever waits or runs, each element for itself."""

    def array_line(self, size: int) -> str:
        """The directive for an array."""

    def element(self, job_id: str, position: int) -> str:
        """What an array's element is called."""

    def without_controller(self) -> AbstractContextManager[None]:
        """The scheduler's central daemon is down while this lasts."""

    def closed(self) -> AbstractContextManager[None]:
        """No job starts while this lasts."""
