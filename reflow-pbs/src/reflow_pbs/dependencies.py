"""Dependencies between a wave's work and its follow-up, the dispatch job after it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reflow.plugin_api import (
    SCRIPT_NAME,
    BatchExecutor,
    ExecutorError,
    JobHandle,
    JobRequest,
    SchedulerUnavailableError,
    Submission,
    SubmissionUncertainError,
)

from reflow_pbs.errors import NoRoomToComeError

logger = logging.getLogger("reflow.pbs")

_ONE_MORE = JobHandle(native_id="on:1")
"""The dependency of a follow-up: the end of any one job that names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before(JobHandle):
    """A waiting job that the end of the one being submitted releases."""


def dependency_options(request: JobRequest, after: JobHandle) -> tuple[str, ...]:
    """Write qsub's options by which one job waits for another."""
    if after is _ONE_MORE:
        return ("-W", f"depend={after.native_id}")
    if not isinstance(after, _Before):
        return ("-W", f"depend=afterany:{after.native_id}")
    # An array of one: a plain job that is deleted before it starts releases no other.
    array = () if request.size is not None else ("-J", "0-1:2")
    return (*array, "-W", f"depend=beforeany:{after.native_id}")


@dataclass(frozen=True, slots=True)
class FollowUpFirst:
    """Submits first the follow-up, which waits to be released, and then the work that releases it.

    The other way round a follow-up would wait for ever when a plain job is deleted before it
    starts, and would be dropped when the work is already over and forgotten.
    """

    executor: BatchExecutor
    queued: Callable[[str], Sequence[JobHandle]]
    """Returns the jobs with a token that are not over: only those can be waited for or released."""

    def submit(self, request: JobRequest, follow_up: JobRequest) -> Submission:
        """Submit both. Raises what the contract says of `submit`."""
        waiting = self._submit_waiting(follow_up)
        if waiting is None:
            return Submission(self.executor.submit_one(request))
        before = _Before(native_id=waiting.native_id)
        try:
            return Submission(self.executor.submit_one(request, before), waiting)
        except SubmissionUncertainError:
            # The work may have been accepted: then it needs the follow-up, and both are found.
            raise
        except NoRoomToComeError as error:
            # The follow-up may have taken the last place itself, and the run goes on without it.
            self._delete(waiting, error)
            return Submission(self.executor.submit_one(request))
        except ExecutorError as error:
            self._delete(waiting, error)
            raise
        except BaseException:
            with contextlib.suppress(SchedulerUnavailableError):
                self.executor.cancel([waiting])
            raise

    def _delete(self, waiting: JobHandle, error: ExecutorError) -> None:
        """Delete a job that would wait for ever; where that fails, the submission is uncertain."""
        try:
            self.executor.cancel([waiting])
        except SchedulerUnavailableError as silence:
            raise SubmissionUncertainError(
                f"{error}; and {waiting.native_id}, which waits for that job, could not be "
                f"deleted: {silence}"
            ) from error

    def _submit_waiting(self, follow_up: JobRequest) -> JobHandle | None:
        """Submit a job that waits for the next one; None where PBS did not take it.

        Raises `SubmissionUncertainError` where that is unknown: a job that was accepted unseen
        would wait for ever.
        """
        if (follow_up.directory / SCRIPT_NAME).exists():
            # No job will ever release the follow-up of an earlier attempt.
            own = os.environ.get("REFLOW_NATIVE_ID")
            left = [job for job in self.queued(follow_up.token) if job.native_id != own]
            self.executor.cancel(left)
        try:
            return self.executor.submit_one(follow_up, _ONE_MORE)
        except SubmissionUncertainError:
            with contextlib.suppress(SchedulerUnavailableError):
                for found in self.queued(follow_up.token):
                    return found
            raise
        except ExecutorError as error:
            logger.warning("%s was not submitted: %s", follow_up.token, error)
            return None
