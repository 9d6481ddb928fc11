"""What Flux's own words mean: states, exceptions, and complaints at submission."""

from __future__ import annotations

import re

from reflow.plugin_api import (
    ExecutorError,
    FailureCause,
    JobState,
    NativeState,
    SchedulerUnavailableError,
    StateTable,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)

STATES = StateTable(
    "Flux",
    (
        # flux-jobs(1), "JOB STATUS": states of what is not over, results of what is.
        NativeState("N", "NEW", JobState.QUEUED),
        NativeState("D", "DEPEND", JobState.QUEUED),
        NativeState("P", "PRIORITY", JobState.QUEUED),
        NativeState("S", "SCHED", JobState.QUEUED),
        NativeState("R", "RUN", JobState.RUNNING),
        NativeState("C", "CLEANUP", JobState.RUNNING),
        NativeState("CD", "COMPLETED", JobState.COMPLETED),
        NativeState("F", "FAILED", JobState.FAILED),
        NativeState("CA", "CANCELED", JobState.CANCELLED),
        NativeState("TO", "TIMEOUT", JobState.FAILED, FailureCause.WALLTIME),
    ),
)

NEVER_RAN = ("alloc", "dependency")
"""Exceptions of jobs that could not be started: asked for too much, waited for the wrong job."""
LOST_NODE = re.compile(r"node-failure|lost contact|lost connection|is down|[Nn]ode failure")
"""What exceptions say of a node that went away."""

UNKNOWN_ID = re.compile(r"JobID \S+ unknown")
"""What flux jobs says of each job that it does not know."""
OVER_ALREADY = re.compile(r"unknown job id|job is inactive")
"""What flux cancel says of jobs that are over, or unknown."""

TRANSIENT = (r"Resource temporarily unavailable", r"Connection timed out")
"""Complaints after which asking again soon may help."""

_PARENT = re.compile(r"job not found|No such job|purged")
_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (r"Unable to connect to Flux|No such file or directory.*local", SchedulerUnavailableError),
    (r"Connection (?:reset|refused|timed out)|Broken pipe", SubmissionUncertainError),
    (r"submission .*is disabled", SubmissionDeferredError),
    (
        r"max(?:imum)?[ _](?:number of )?(?:active|running|pending)?[ _]?jobs",
        SubmissionDeferredError,
    ),
    (r"Resource temporarily unavailable", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""

_ADVICE = (
    (
        r"queue",
        "Set queue= to one that `flux queue list` shows, and ask for no more than it allows",
    ),
    (r"exceeds policy limit", "`flux config get policy` shows the limits"),
    (r"bank|association|project", "Set account= to a bank of yours"),
    (r"unrecognized arguments|invalid", "Look at options= of the task and of [executor.flux]"),
)


class ParentUnknownError(SubmissionRefusedError):
    """A job that another one is to wait for is over and forgotten."""


def submission_error(said: str, waits: bool) -> ExecutorError:
    """What the complaint of flux submit means, in its own words and with what to do about it.

    `waits` tells whether the job was to wait for another one.
    """
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said):
            return kind(f"flux submit: {said}")
    if waits and _PARENT.search(said):
        return ParentUnknownError(f"flux submit: {said}")
    for pattern, advice in _ADVICE:
        if re.search(pattern, said):
            return SubmissionRefusedError(f"Flux refused the job: {said}. {advice}")
    return SubmissionRefusedError(f"Flux refused the job: {said}")
