"""Who waits for whom: a wave's work, and the dispatch that follows it."""

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

logger = logging.getLogger("reflow.batch")

_ONE_MORE = JobHandle(native_id="on:1")
"""What a follow-up waits for: the end of one job, whichever names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before(JobHandle):
    """A job that waits to be let go by the end of the one that is submitted."""


def dependency_options(request: JobRequest, after: JobHandle) -> tuple[str, ...]:
    """Write qsub's options by which one job waits for another."""
    if after is _ONE_MORE:
        return ("-W", f"depend={after.native_id}")
    if not isinstance(after, _Before):
        return ("-W", f"depend=afterany:{after.native_id}")
    # An array of one: a plain job deleted before it starts lets nobody go.
    array = () if request.size is not None else ("-J", "0-1:2")
    return (*array, "-W", f"depend=beforeany:{after.native_id}")


@dataclass(frozen=True, slots=True)
class FollowUpFirst:
    """Submits the follow-up first, waiting to be let go, and the work so that it does that.

    The other way round a follow-up waits for ever when a plain job is deleted before it starts,
    and is dropped when the work is over and forgotten already.
    """

    executor: BatchExecutor
    queued: Callable[[str], Sequence[JobHandle]]
    """The jobs with a token that are not over: no other can be waited for, or let go."""

    def submit(self, request: JobRequest, follow_up: JobRequest) -> Submission:
        """Both of them. Raises what the contract says of `submit`."""
        waiting = self._submit_waiting(follow_up)
        if waiting is None:
            return Submission(self.executor.submit_one(request))
        before = _Before(native_id=waiting.native_id)
        try:
            return Submission(self.executor.submit_one(request, before), waiting)
        except SubmissionUncertainError:
            # It may have been accepted: then it needs what waits for it, and both are found.
            raise
        except NoRoomToComeError as error:
            # It may have taken the last place itself, and the run goes on without it too.
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
        """End what would wait for ever; where that cannot be done now, nothing is settled."""
        try:
            self.executor.cancel([waiting])
        except SchedulerUnavailableError as silence:
            raise SubmissionUncertainError(
                f"{error}; and {waiting.native_id}, which waits for that job, is left: {silence}"
            ) from error

    def _submit_waiting(self, follow_up: JobRequest) -> JobHandle | None:
        """Submit a job that waits for the next one; None where PBS did not take it.

        Raises `SubmissionUncertainError` where nobody can say: what was accepted unseen would
        wait for ever.
        """
        if (follow_up.directory / SCRIPT_NAME).exists():
            # Nothing will ever let go what an earlier attempt at this has left.
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
