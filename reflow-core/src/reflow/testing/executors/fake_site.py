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
        """With more controls than scenarios need."""
        self._submit = submit
        self._queries = queries
        self._clock_moved = False

    @property
    def name(self) -> str:
        """The fake's."""
        return f"the fake {self.fake.name}"

    @property
    def variables(self) -> Mapping[str, str]:
        """Its commands come first on PATH."""
        return self.fake.variables

    def start(self) -> None:
        """Start it."""
        self.fake.start()

    def renew(self) -> None:
        """Begin anew where the clock was moved: begin times are given by that of the machine."""
        if self._clock_moved:
            self.fake.close()
            self.fake.start()
            self._clock_moved = False

    def mend(self) -> None:
        """Start the daemon, answer again, go on."""
        self.fake.clear_faults()
        self.fake.come_up()
        self.fake.unpause()

    def close(self) -> None:
        """End it, and every process below it."""
        self.fake.close()

    def go_down(self) -> None:
        """Stop the daemon."""
        self.fake.go_down()

    def come_up(self) -> None:
        """Start the daemon again."""
        self.fake.come_up()

    def let_time_pass(self, seconds: float) -> None:
        """Move its clock."""
        self._clock_moved = True
        self.fake.advance(seconds)

    def forget(self) -> None:
        """Let the queue forget."""
        self.fake.age_out()

    def forget_for_good(self) -> None:
        """Let accounting forget too."""
        self.fake.age_out(accounting=True)

    def slow_queries(self, seconds: float) -> None:
        """Let them take that long."""
        for command in self._queries:
            self._plant(command, kind="slow", seconds=seconds, times=None)

    def hang_queries(self) -> None:
        """Let them never return."""
        for command in self._queries:
            self._plant(command, kind="hang", times=None)

    def lose_next_answer(self) -> None:
        """Let it be carried out and fail as the real one does."""
        self._plant(self._submit, kind="lose", times=1)

    def exceed_memory(self, handle: JobHandle) -> None:
        """Have it killed."""
        for job in self._ids(handle):
            self.fake.exceed_memory(job)

    def lose_node(self, handle: JobHandle) -> None:
        """Lose it, and what ran on it."""
        for job in self._ids(handle):
            self.fake.lose_node(job)

    def vanish(self, handle: JobHandle) -> None:
        """Lose it without a trace."""
        for job in self._ids(handle):
            self.fake.vanish(job)

    def _plant(self, command: str, **fault: Any) -> None:
        name, _, word = command.partition(" ")
        self.fake.do("plant", command=name, word=word, **fault)

    def _ids(self, handle: JobHandle) -> Iterator[str]:
        return (job.id for job in self.fake.jobs() if job.name == handle.token)
