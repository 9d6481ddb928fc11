"""What scenarios need of the scheduler that they run on, and what they may do to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NoReturn
from unittest import SkipTest

from reflow.model.jobs import JobHandle


class Site(ABC):
    """A scheduler that scenarios run on.

    A site does not override what it cannot do: the scenarios that need it are then skipped, and
    the reason says what was lacking.
    """

    remote = False
    """Whether jobs may run on other machines, which do not see this one's temporary folders."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The site's name in messages: `the fake pond`."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables by which its commands are found and work."""
        return {}

    @property
    def patience(self) -> float:
        """How long a scenario may wait for anything on this site, in seconds."""
        return 100.0

    def start(self) -> None:  # noqa: B027 - most live sites are there already
        """Make the site ready for the first scenario."""

    def renew(self) -> None:  # noqa: B027 - few sites change for good
        """Start anew before a scenario, where an earlier one changed what `mend` cannot undo."""

    def mend(self) -> None:  # noqa: B027 - what is never harmed needs no mending
        """Undo what a scenario has done to the site, before the next one."""

    def close(self) -> None:  # noqa: B027 - a live site stays
        """Close the site after the last scenario."""

    # -- the scheduler as a whole ----------------------------------------------------------
    def go_down(self) -> None:
        """Stop the scheduler's daemon: commands fail or hang, jobs go on."""
        self.lacks("stop its daemon")

    def come_up(self) -> None:
        """Start the daemon again."""
        self.lacks("start its daemon")

    def let_time_pass(self, seconds: float) -> None:
        """Let that many seconds pass for the scheduler: begin times and time limits are reached."""
        self.lacks("let time pass")

    def forget(self) -> None:
        """Make the queue forget the jobs that are over; accounting may still know them."""
        self.lacks("forget what is over")

    def forget_for_good(self) -> None:
        """Make queue and accounting forget the jobs that are over."""
        self.lacks("forget what is over for good")

    # -- its commands ----------------------------------------------------------------------
    def slow_queries(self, seconds: float) -> None:
        """Make queries of the queue take that many seconds, until `mend`."""
        self.lacks("answer slowly")

    def hang_queries(self) -> None:
        """Make queries of the queue hang, until `mend`."""
        self.lacks("leave questions without an answer")

    def lose_next_answer(self) -> None:
        """Make the next submission be accepted and its answer get lost."""
        self.lacks("lose the answer of a submission")

    # -- single jobs -----------------------------------------------------------------------
    def exceed_memory(self, handle: JobHandle) -> None:
        """Have a running plain job killed for using more memory than it asked for."""
        self.lacks("kill a job for its memory")

    def lose_node(self, handle: JobHandle) -> None:
        """Make the node of a running plain job fail."""
        self.lacks("lose a node")

    def vanish(self, handle: JobHandle) -> None:
        """Remove a plain job from queue and accounting as if it had never been submitted."""
        self.lacks("lose a job without a trace")

    def lacks(self, what: str) -> NoReturn:
        """Skip the scenario, because the site lacks something."""
        raise SkipTest(f"{self.name} cannot {what}")


class NoSite(Site):
    """The site of executors that need no scheduler."""

    @property
    def name(self) -> str:
        """The name for messages: there is no scheduler."""
        return "an executor without a scheduler"
