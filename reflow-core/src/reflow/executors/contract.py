"""The contract between the dispatcher and the executors that run its jobs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from datetime import timedelta
from typing import Protocol, runtime_checkable

from reflow.model.jobs import (
    Capabilities,
    Feasibility,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.resources import Resources

API_VERSION = 1
"""The version of everything that `reflow.plugin_api` exports."""


@runtime_checkable
class Executor(Protocol):
    """Submits jobs and reports their states. Constructors run no command.

    Every method may raise `SchedulerUnavailableError` when the scheduler does not answer; that
    means nothing for any job.
    """

    @property
    def name(self) -> str:
        """The name it is registered under, such as `local`."""
        ...

    @property
    def settings(self) -> Mapping[str, Json]:
        """The keyword arguments that rebuild this executor in another process.

        They are stored with the run, and are what `[executor.NAME]` may hold: plain JSON values,
        checked against the annotations of the constructor.
        """
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this executor can do."""
        ...

    def limits(self) -> Limits:
        """Find out what the scheduler allows; called once per dispatch step, before submitting."""
        ...

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Submit a job or an array, and a plain job that starts once it is over.

        The follow-up starts however the work ended. Raises `SubmissionRefusedError` when the
        request can never be accepted, `SubmissionDeferredError` when it may be accepted later, and
        `SubmissionUncertainError` when there was no answer.
        """
        ...

    def script(self, request: JobRequest) -> str:
        """Return what would be submitted, for users to read; empty where there is no script."""
        ...

    def find(self, token: str) -> Sequence[JobHandle]:
        """Find jobs with that token, queued, running or remembered; none is no proof of absence."""
        ...

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Return the states of these jobs, with as few scheduler calls as command lines allow.

        Every handle, and every position of an array, is covered by at least one status; jobs
        that the scheduler does not know are UNKNOWN. Jobs that it could not be asked about,
        because some part of it is down, may be left out; where those are all,
        `SchedulerUnavailableError` is raised.
        """
        ...

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Cancel these jobs; those that are unknown or already over are no error."""
        ...

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Cancel some elements of an array."""
        ...

    def wait(self, timeout: float) -> None:
        """Wait until something may have changed, at most `timeout` seconds."""
        ...

    def close(self) -> None:
        """Release the object's resources; jobs go on, unless they run in its own processes."""
        ...


@runtime_checkable
class FollowsLater(Protocol):
    """An executor that can submit a job to follow one that it has already accepted."""

    def submit_after(self, request: JobRequest, job: JobHandle) -> JobHandle:
        """Submit a plain job that starts once that job is over, however it ended; see `submit`."""
        ...


@runtime_checkable
class PollsPositions(Protocol):
    """An executor that can report only those positions of an array that have changed."""

    def poll_positions(self, handle: JobHandle, wanted: Container[int]) -> Sequence[JobStatus]:
        """Return, as `poll`, the states of those wanted positions that run or have ended.

        Waiting positions may be left out, and those that are no longer wanted forgotten, so that
        the cost depends on what has changed and not on what was submitted.
        """
        ...


@runtime_checkable
class KnowsLongestTime(Protocol):
    """An executor that can find out how much time a job may ask for."""

    def longest_time(self, resources: Resources) -> timedelta | None:
        """Return the most time that a job with these resources may ask for.

        None where nothing limits it, or no limit is known.
        """
        ...


@runtime_checkable
class ChecksRequests(Protocol):
    """An executor that can find out whether a job could ever start, without submitting it."""

    def feasibility(self, request: JobRequest) -> Feasibility:
        """Compare a request with what there is, by few questions however many requests there are.

        A queue that is full, closed or down today may run it tomorrow. `request.directory` is
        there, and may be written to.
        """
        ...


@runtime_checkable
class RemembersAnswers(Protocol):
    """An executor that asks its scheduler slow questions whose answers hold as long as a run."""

    @property
    def answers(self) -> dict[str, str]:
        """The answers by question. Dispatchers keep them with the run, and fill them in again."""
        ...
