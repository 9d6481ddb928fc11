"""What scenarios need of the scheduler they run on, and may do to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NoReturn
from unittest import SkipTest

from reflow.model.jobs import JobHandle


class Site(ABC):
    """A scheduler that scenarios run on.

    What a site cannot do it leaves as it is here: the scenarios that need it are skipped then,
    and the reason says what was lacking.
    """

    remote = False
    """Whether jobs may run on other machines, which do not see this one's temporary folders."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What to call it in reasons: `the fake pond`."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What must be set in the environment for its commands to be found and to work."""
        return {}

    @property
    def patience(self) -> float:
        """Seconds that anything may take to happen here."""
        return 100.0

    def start(self) -> None:  # noqa: B027 - most live sites are there already
        """Make it ready for the first scenario."""

    def renew(self) -> None:  # noqa: B027 - few sites change for good
        """Begin anew before a scenario, where an earlier one has changed what no mending undoes."""

    def mend(self) -> None:  # noqa: B027 - what is never harmed needs no mending
        """Undo whatever a scenario has done to it, before the next one."""

    def close(self) -> None:  # noqa: B027 - a live site stays
        """Let go of it after the last scenario."""

    # -- the scheduler as a whole ----------------------------------------------------------
    def go_down(self) -> None:
        """Stop its daemon: commands fail or hang, jobs go on."""
        self.lacks("stop its daemon")

    def come_up(self) -> None:
        """Start the daemon again."""
        self.lacks("start its daemon")

    def let_time_pass(self, seconds: float) -> None:
        """Let that much time pass for it: begin times come, time limits are over."""
        self.lacks("let time pass")

    def forget(self) -> None:
        """Let the queue forget the jobs that are over; accounting may still have them."""
        self.lacks("forget what is over")

    def forget_for_good(self) -> None:
        """Let queue and accounting forget the jobs that are over."""
        self.lacks("forget what is over for good")

    # -- its commands ----------------------------------------------------------------------
    def slow_queries(self, seconds: float) -> None:
        """Let questions about the queue take that long, until it is mended."""
        self.lacks("answer slowly")

    def hang_queries(self) -> None:
        """Let questions about the queue never be answered, until it is mended."""
        self.lacks("leave questions without an answer")

    def lose_next_answer(self) -> None:
        """Let the next submission be accepted, and its answer get lost."""
        self.lacks("lose the answer of a submission")

    # -- single jobs -----------------------------------------------------------------------
    def exceed_memory(self, handle: JobHandle) -> None:
        """Let a running plain job be killed for using more memory than it asked for."""
        self.lacks("kill a job for its memory")

    def lose_node(self, handle: JobHandle) -> None:
        """Let the node under a running plain job die."""
        self.lacks("lose a node")

    def vanish(self, handle: JobHandle) -> None:
        """Let a plain job be gone from queue and accounting as if it had never been."""
        self.lacks("lose a job without a trace")

    def lacks(self, what: str) -> NoReturn:
        """Have the scenario skipped."""
        raise SkipTest(f"{self.name} cannot {what}")


class NoSite(Site):
    """For executors that need no scheduler."""

    @property
    def name(self) -> str:
        """Nothing that could be harmed."""
        return "an executor without a scheduler"
