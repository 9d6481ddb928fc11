"""What every scenario does: make requests, submit them, and poll until a condition holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

from reflow.executors.contract import Executor
from reflow.model.jobs import LOG_NAME, JobHandle, JobRequest, JobStatus, Submission
from reflow.model.states import JobState
from reflow.testing.executors.site import Site

T = TypeVar("T")

_TOKENS = iter(range(1, 10**9))
"""The numbers of tokens, which are unique within a process."""


class Bench:
    """An executor, the site it works on, and a folder for the jobs of one scenario."""

    def __init__(self, executor: Executor, site: Site, folder: Path, prefix: str) -> None:
        self.executor = executor
        self.site = site
        self.folder = folder
        """The working directory of the jobs."""
        self._prefix = prefix
        self._submitted: list[JobHandle] = []

    def request(self, line: str = "true", **fields: Any) -> JobRequest:
        """Make a request whose work is a line of shell, in which `$1` is the position.

        Without `size=` it is a plain job, with 0 for a position. A scenario whose job is to begin
        later is skipped where nothing waits for certain.
        """
        if "begin_in" in fields and not self.executor.capabilities.begin_time:
            raise SkipTest(
                f"{self.executor.name} has no begin times (capabilities.begin_time): "
                "nothing waits for certain"
            )
        number = next(_TOKENS)
        directory = self.folder / f"job-{number}"
        directory.mkdir()
        command = ("/bin/sh", "-c", line, "sh")
        given = {
            "token": f"{self._prefix}-{number}",
            "directory": directory,
            "working_directory": self.folder,
            "command": command if fields.get("size") else (*command, "0"),
            **fields,
        }
        return JobRequest(**given)

    def submit(self, line: str = "true", **fields: Any) -> JobHandle:
        """Submit a request with this line of shell, without a follow-up."""
        return self.hand_in(self.request(line, **fields)).job

    def hand_in(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit a request unchanged. Its jobs are cancelled after the scenario."""
        submission = self.executor.submit(request, follow_up)
        self.remember(submission.job)
        if submission.follow_up is not None:
            self.remember(submission.follow_up)
        return submission

    def remember(self, handle: JobHandle) -> None:
        """Cancel a job after the scenario if it is not over by then."""
        self._submitted.append(handle)

    def status(self, handle: JobHandle) -> JobStatus:
        """Ask how a plain job stands."""
        (status,) = self.executor.poll([handle])
        return status

    def by_position(self, handle: JobHandle) -> dict[int, JobStatus]:
        """Ask how each element of an array stands. Fails where two statuses speak of one."""
        statuses: dict[int, JobStatus] = {}
        for position, status in self._spoken_of(handle, self.executor.poll([handle])):
            assert position not in statuses, f"{statuses[position]} and {status} are both reported"
            statuses[position] = status
        assert sorted(statuses) == list(range(handle.size or 1)), "every position is spoken of"
        return statuses

    def states(self, handle: JobHandle) -> list[JobState]:
        """Ask for the state of each element, in order."""
        return [status.state for _, status in sorted(self.by_position(handle).items())]

    def until(self, what: str, condition: Callable[[], T]) -> T:
        """Wait until a condition is true and return its value; fail after the site's `patience`."""
        asked = time.monotonic()
        end = asked + self.site.patience
        pause = 0.02
        while not (given := condition()):
            now = time.monotonic()
            assert now < end, f"waited in vain for {what}"
            # A slow condition must not take all of the machine's time.
            self.executor.wait(max(pause, now - asked))
            pause = min(pause * 1.5, 0.3)
            asked = time.monotonic()
        return given

    def until_over(self, *handles: JobHandle) -> None:
        """Wait until the scheduler reports that these jobs, with all elements, have ended."""
        self.until(
            "the end of the jobs",
            lambda: all(status.state.over for status in self.executor.poll(handles)),
        )

    def until_elements_over(self, handle: JobHandle, *positions: int) -> None:
        """Wait until the scheduler reports that these elements have ended."""

        def over() -> bool:
            statuses = self.by_position(handle)
            return all(statuses[position].state.over for position in positions)

        self.until("the end of elements", over)

    def until_at_rest(self, *handles: JobHandle) -> None:
        """Wait until these jobs neither wait nor run, whatever is known of their end.

        A job that has left the queue is unknown until the scheduler has written its accounting
        record, even where it succeeded: where the end matters, use `until_over`.
        """
        self.until(
            "the jobs to come to rest",
            lambda: all(
                status.state.over or status.state is JobState.UNKNOWN
                for status in self.executor.poll(handles)
            ),
        )

    def until_running(self, handle: JobHandle) -> None:
        """Wait until a plain job runs."""
        self.until("the start", lambda: self.status(handle).state is JobState.RUNNING)

    def file(self, name: str) -> Path:
        """Name a file that jobs know as `$PWD/NAME`."""
        return self.folder / name

    def until_there(self, name: str) -> None:
        """Wait until a job has written that file."""
        self.until(f"{name} to be written", self.file(name).exists)

    def log(self, handle: JobHandle) -> str:
        """Read what a job has printed."""
        assert handle.directory is not None
        return (handle.directory / LOG_NAME).read_text(errors="replace")

    def clean_up(self) -> None:
        """Cancel the jobs that the scenario has left."""
        if self._submitted:
            self.executor.cancel(self._submitted)
        self.executor.close()

    @staticmethod
    def _spoken_of(
        handle: JobHandle, statuses: Sequence[JobStatus]
    ) -> Iterator[tuple[int, JobStatus]]:
        for status in statuses:
            assert status.native_id == handle.native_id
            whole = range(handle.size or 1)
            for position in whole if status.positions is None else status.positions:
                yield position, status
