"""A fake scheduler as a site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reflow.model.jobs import JobHandle
from reflow.testing.executors.site import Site
from reflow.testing.fakes import FakeScheduler


class FakeSite(Site):
    """A fake scheduler: an emulator of your own over the engine of `reflow.testing.fakes`.

    `submit` and `queries` name commands, each with a word that its arguments must hold where one
    program does several things: `"pond submit"`.
    """

    def __init__(
        self, emulator: str, folder: Path, submit: str, queries: tuple[str, ...], **settings: Any
    ) -> None:
        self.fake = FakeScheduler(emulator, folder, **settings)
        """The fake itself, with more controls than scenarios need."""
        self._submit = submit
        self._queries = queries
        self._clock_moved = False

    @property
    def name(self) -> str:
        """The fake's name."""
        return f"the fake {self.fake.name}"

    @property
    def variables(self) -> Mapping[str, str]:
        """PATH with the fake's commands first."""
        return self.fake.variables

    def start(self) -> None:
        """Start the fake."""
        self.fake.start()

    def renew(self) -> None:
        """Start a new fake where the clock was moved: begin times follow the machine's clock."""
        if self._clock_moved:
            self.fake.close()
            self.fake.start()
            self._clock_moved = False

    def mend(self) -> None:
        """Start the daemon, remove faults and go on starting jobs."""
        self.fake.clear_faults()
        self.fake.come_up()
        self.fake.unpause()

    def close(self) -> None:
        """End the fake and every process below it."""
        self.fake.close()

    def go_down(self) -> None:
        """Stop the daemon."""
        self.fake.go_down()

    def come_up(self) -> None:
        """Start the daemon again."""
        self.fake.come_up()

    def let_time_pass(self, seconds: float) -> None:
        """Move the fake's clock."""
        self._clock_moved = True
        self.fake.advance(seconds)

    def forget(self) -> None:
        """Make the queue forget the jobs that are over."""
        self.fake.age_out()

    def forget_for_good(self) -> None:
        """Make queue and accounting forget the jobs that are over."""
        self.fake.age_out(accounting=True)

    def slow_queries(self, seconds: float) -> None:
        """Make the query commands take that many seconds."""
        for command in self._queries:
            self._plant(command, kind="slow", seconds=seconds, times=None)

    def hang_queries(self) -> None:
        """Make the query commands hang."""
        for command in self._queries:
            self._plant(command, kind="hang", times=None)

    def lose_next_answer(self) -> None:
        """Carry out the next submission and make the command fail as the real one does."""
        self._plant(self._submit, kind="lose", times=1)

    def exceed_memory(self, handle: JobHandle) -> None:
        """Have the job killed for its memory."""
        for job in self._ids(handle):
            self.fake.exceed_memory(job)

    def lose_node(self, handle: JobHandle) -> None:
        """Lose the job's node and what ran on it."""
        for job in self._ids(handle):
            self.fake.lose_node(job)

    def vanish(self, handle: JobHandle) -> None:
        """Remove the job without a trace."""
        for job in self._ids(handle):
            self.fake.vanish(job)

    def _plant(self, command: str, **fault: Any) -> None:
        name, _, word = command.partition(" ")
        self.fake.do("plant", command=name, word=word, **fault)

    def _ids(self, handle: JobHandle) -> Iterator[str]:
        return (job.id for job in self.fake.jobs() if job.name == handle.token)
