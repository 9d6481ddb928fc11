"""The contract between the engine and whatever runs its jobs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Protocol, runtime_checkable

from reflow.model.jobs import (
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json

API_VERSION = 1
"""Version of everything that `reflow.plugin_api` exports."""


@runtime_checkable
class Executor(Protocol):
    """Submits jobs and tells how they stand. Constructors run no command.

    Every method may raise `SchedulerUnavailableError` when the scheduler does not answer; that
    says nothing about any job.
    """

    @property
    def name(self) -> str:
        """The name it is registered under, such as `local`."""
        ...

    @property
    def settings(self) -> Mapping[str, Json]:
        """The keyword arguments that make this executor again, in another process.

        They travel with the run, and are what `[executor.NAME]` may hold: plain JSON values,
        checked against the annotations of the constructor.
        """
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this executor can do."""
        ...

    def limits(self) -> Limits:
        """Find out what the scheduler allows; asked once per dispatch step, before submitting."""
        ...

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit a job or an array, and a plain job that starts once it is over.

        The follow-up starts whatever way the work ended. Raises `SubmissionRefusedError` when
        the request can never be accepted, `SubmissionDeferredError` when it may be later, and
        `SubmissionUncertainError` when there was no answer.
        """
        ...

    def script(self, request: JobRequest) -> str:
        """Return what would be submitted, for people to read; empty where there is no script."""
        ...

    def find(self, token: str) -> Sequence[JobHandle]:
        """Jobs with that token, queued, running or remembered; empty is no proof of absence."""
        ...

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """How these jobs stand, in one scheduler call for as many as a command line takes.

        Every handle, and every position of an array, is covered by at least one status; what
        the scheduler does not know is UNKNOWN. What it could not be asked about, because some
        part of it is away, may be left out; where that is everything,
        `SchedulerUnavailableError` is raised.
        """
        ...

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Ask for these jobs' end. Silent about what is unknown or over already."""
        ...

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Ask for the end of some elements of an array."""
        ...

    def wait(self, timeout: float) -> None:
        """Return when something may have changed, or after `timeout` seconds."""
        ...

    def close(self) -> None:
        """Let go of what the object holds; jobs go on unless they live in its processes."""
        ...


@runtime_checkable
class FollowsLater(Protocol):
    """An executor that can have a job follow one that it has accepted already."""

    def submit_after(self, request: JobRequest, job: JobHandle) -> JobHandle:
        """Submit a plain job that starts once that job is over, whatever way; as `submit`."""
        ...


@runtime_checkable
class PollsPositions(Protocol):
    """An executor that knows its jobs so well that it need not be asked about all of each."""

    def poll_positions(self, handle: JobHandle, wanted: Container[int]) -> Sequence[JobStatus]:
        """As `poll`, of what runs or has ended among the positions wanted.

        Positions that only wait may be left out, and those that are not wanted any more
        forgotten, so that the answer costs what has changed and not what was submitted.
        """
        ...
