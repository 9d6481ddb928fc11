"""The states of instances, runs and jobs."""

from __future__ import annotations

from enum import StrEnum


class TaskState(StrEnum):
    """The state of a task instance."""

    PENDING = "PENDING"
    SUBMITTED = "SUBMITTED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"

    @property
    def final(self) -> bool:
        """Whether nothing but `retry` moves the instance any more."""
        return self in FINAL_TASK_STATES


FINAL_TASK_STATES = frozenset(
    {TaskState.SUCCESS, TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED}
)
ACTIVE_TASK_STATES = frozenset({TaskState.SUBMITTED, TaskState.RUNNING})
RETRIED_TASK_STATES = FINAL_TASK_STATES - {TaskState.SUCCESS}
"""What `retry` runs again."""


class RunState(StrEnum):
    """The state of a run."""

    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether nothing but `retry` moves the run any more."""
        return self is not RunState.RUNNING


class JobState(StrEnum):
    """The state of a scheduler's job, in reflow's words."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"

    @property
    def over(self) -> bool:
        """Whether the scheduler says that the job has ended. UNKNOWN has not."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)

    @property
    def gone(self) -> bool:
        """Whether the job has ended, or the scheduler does not know it."""
        return self.over or self is JobState.UNKNOWN


class FailureCause(StrEnum):
    """Why an instance failed."""

    ERROR = "ERROR"
    EXIT_CODE = "EXIT_CODE"
    SIGNAL = "SIGNAL"
    WALLTIME = "WALLTIME"
    MEMORY = "MEMORY"
    NODE = "NODE"
    PREEMPTED = "PREEMPTED"
    SUBMIT = "SUBMIT"
    LOST = "LOST"
