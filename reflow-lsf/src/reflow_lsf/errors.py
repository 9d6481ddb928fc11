"""What bsub complains of, and what that means for a submission."""

from __future__ import annotations

import re

from reflow.plugin_api import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)

_RETRYING = re.compile(r"threshold reached|Retrying in \d+", re.IGNORECASE)
"""What bsub says, and then tries on for ever, where a user has too many jobs waiting."""

_PARENT = re.compile(r"No matching job found")
_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (r"not responding|[Cc]annot connect|is unreachable", SchedulerUnavailableError),
    (r"Connection refused|is not connected|connection already exists", SchedulerUnavailableError),
    (r"(?:LIM|LSF) is down|service not registered|daemon cannot fork", SchedulerUnavailableError),
    # A node that may not submit; another machine may.
    (r"[Rr]equest from (?:a )?non-LSF host", SchedulerUnavailableError),
    (r"Failed in (?:send|receiv)ing|[Tt]imed? ?out", SubmissionUncertainError),
    (r"daemon internal error|protocol error|XDR ", SubmissionUncertainError),
    (r"Broken pipe|Connection reset|Interrupted system call", SubmissionUncertainError),
    (r"LSF library|appropriate port|Cannot allocate memory", SchedulerUnavailableError),
    (r"Resource temporarily unavailable|No buffer space", SchedulerUnavailableError),
    (r"[Pp]ending job (?:threshold|limit)|MAX_PEND|too many pending", SubmissionDeferredError),
    (r"threshold (?:is )?reached|[Tt]ry (?:again )?later", SubmissionDeferredError),
    (r"Queue has been closed|cluster is closed", SubmissionDeferredError),
    (r"has reached its job limit|No [Jj]ob Id can be used", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""

_ADVICE = (
    (r"No such queue|User cannot use the queue", "Set queue= to one that `bqueues -u $USER` lists"),
    (r"hard limit", "`bqueues -l` shows the limits of a queue; ask for less, or set queue="),
    (r"slots|[Tt]oo many processors", "Ask for fewer cpus: `bhosts` and `bqueues` list the slots"),
    (r"[Tt]oo few processors", "Ask for more cpus: `bqueues -l` shows what the queue is for"),
    (r"MEML\w+ value", "Set memory_unit under [executor.lsf]"),
    (r"resource requirement", "Look at the option R and at gpu_option under [executor.lsf]"),
    (r"array index too large", "Set max_array_size under [executor.lsf]; `bparams -l` shows it"),
    (
        r"User permission denied|Root job submission",
        "LSF takes no jobs of this user; root is refused by default",
    ),
    (r"illegal option|option (?:requires|cannot)", "See options= of the task and `bsub -h`"),
    (r"[Pp]roject", "Set account= to a project of yours"),
)


class ParentUnknownError(SubmissionRefusedError):
    """The job that another one is to wait for is over and forgotten."""


def submission_error(said: str, waits: bool) -> ExecutorError:
    """What bsub's complaint means, in its own words and with what to do about it.

    `waits` tells whether the job was to wait for another one.
    """
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said):
            return kind(f"bsub: {said}")
    if waits and _PARENT.search(said):
        return ParentUnknownError(f"bsub: {said}")
    for pattern, advice in _ADVICE:
        if re.search(pattern, said):
            return SubmissionRefusedError(f"LSF refused the job: {said} {advice}")
    return SubmissionRefusedError(f"LSF refused the job: {said}")


class TriedInVainError(SubmissionDeferredError):
    """Too many jobs wait, and bsub was ended while it tried again and again."""


def full(said: str) -> TriedInVainError | None:
    """What it means that bsub did not end, where it had said that too many jobs wait."""
    if _RETRYING.search(said) is None:
        return None
    return TriedInVainError(f"bsub: {' '.join(said.split())}")
