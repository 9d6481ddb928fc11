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

_NODE = re.compile(
    # job-exec: a lost node, a node that hangs at the start, an instance that came back.
    r"node.failure|lost contact|lost connection|start barrier timeout|failed to create guest ns"
    # job-manager: the site's prolog, after which it takes the node out; libschedutil.
    r"|^prolog |^scheduler-restart "
    # Fluxion, when it was loaded again: it denies even what it could give.
    r"|^alloc .*match error",
    re.IGNORECASE,
)
_NEVER_RAN = ("alloc", "dependency")
"""Exceptions of jobs that could not be started: asked for too much, waited for the wrong job."""

UNKNOWN_ID = re.compile(r"JobID \S+ unknown")
"""What flux jobs says of each job that it does not know."""
NO_ANSWER = re.compile(r"rpc: ")
"""What flux jobs says of each job that it could not ask for; its exit code may still be 0."""
OVER_ALREADY = re.compile(r"unknown job id|job is inactive")
"""What flux cancel says of jobs that are over, or unknown."""

TRANSIENT = (r"Resource temporarily unavailable", r"Connection timed out")
"""Complaints after which asking again soon may help."""

_OF_AN_ELEMENT = re.compile(r"^cc=\d+: ")
_PARENT = re.compile(r"job not found|No such job|purged")
_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (r"unable to connect to flux", SchedulerUnavailableError),
    # The broker is there, but not what takes jobs: the instance starts or is being stopped. Or
    # that failed before the job was a job.
    (r"function not implemented|no service matching", SchedulerUnavailableError),
    (r"kvs commit failed|worker unexpectedly exited|no space left on", SchedulerUnavailableError),
    (
        r"connection (?:reset|refused|timed out)|broken pipe|lost connection",
        SubmissionUncertainError,
    ),
    (r"no route to host|host is unreachable", SubmissionUncertainError),
    (r"submission .*is disabled", SubmissionDeferredError),
    # Of flux-accounting.
    (
        r"max(?:imum)?[ _](?:number of )?(?:active|running|pending)?[ _]?jobs",
        SubmissionDeferredError,
    ),
    (r"resource temporarily unavailable", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""

_ADVICE = (
    (
        r"queue",
        "Set queue= to one that `flux queue list` shows, and ask for no more than it allows",
    ),
    (r"exceeds policy limit", "`flux config get policy` shows the limits"),
    (r"bank|association|project", "Set account= to a bank of yours"),
    (
        r"replacement",
        "Braces in options= stand for positions of an array: put JSON into a file, as in "
        'setattr="^NAME=FILE"',
    ),
    (r"unrecognized arguments|invalid", "Look at options= of the task and of [executor.flux]"),
)


class ParentUnknownError(SubmissionRefusedError):
    """A job that another one is to wait for is over and forgotten."""


def failure_cause(exception: str, note: str, ran: bool) -> FailureCause | None:
    """Whose fault the end of a failed job was; None where its own exit code tells."""
    if _NODE.search(f"{exception} {note}"):
        return FailureCause.NODE
    if exception in _NEVER_RAN or (exception and not ran):
        return FailureCause.SUBMIT
    return None


def complaint(stderr: str) -> str:
    """What flux submit said, once each: of an array it is said of every element."""
    lines = (_OF_AN_ELEMENT.sub("", line.strip()) for line in stderr.splitlines())
    return " ".join(dict.fromkeys(filter(None, lines)))


def submission_error(said: str, waits: bool) -> ExecutorError:
    """What the complaint of flux submit means, in its own words and with what to do about it.

    `waits` tells whether the job was to wait for another one.
    """
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"flux submit: {said}")
    if waits and _PARENT.search(said):
        return ParentUnknownError(f"flux submit: {said}")
    for pattern, advice in _ADVICE:
        if re.search(pattern, said, re.IGNORECASE):
            return SubmissionRefusedError(f"Flux refused the job: {said}. {advice}")
    return SubmissionRefusedError(f"Flux refused the job: {said}")
