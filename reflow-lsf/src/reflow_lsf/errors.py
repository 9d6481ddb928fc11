"""The errors of LSF's commands, and what they mean."""

from __future__ import annotations

import re

from reflow.plugin_api import (
    ErrorTable,
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)

_RETRYING = re.compile(r"threshold reached|Retrying in \d+", re.IGNORECASE)
"""What bsub prints before it retries for ever, where a user has too many waiting jobs."""

NOT_FOUND = re.compile(r"is not found|No (?:unfinished |matching )?job(?:s)? found")
"""What bjobs and bhist print of jobs that they do not know."""
NO_JSON = re.compile(r"\boption\b|\bfield\b|^Usage", re.IGNORECASE | re.MULTILINE)
"""The error of a bjobs without `-json` or a field: OpenLava's, and LSF's before 10.1."""
NO_EVENTS = re.compile(
    r"lsb\.events\S*: (?:No such file or directory|Permission denied|Not a regular file)"
)
"""The error of bhist where it cannot read the event log."""

TRANSIENT = (
    r"Failed in (?:send|receiv)ing",
    r"[Tt]imed? ?out",
)
"""Errors after which a query is worth repeating."""

_PARENT = re.compile(r"No matching job found")
ERRORS = ErrorTable(
    submission=(
        (r"not responding|[Cc]annot connect|is unreachable", SchedulerUnavailableError),
        (
            r"Connection refused|is not connected|connection already exists",
            SchedulerUnavailableError,
        ),
        (
            r"(?:LIM|LSF) is down|service not registered|daemon cannot fork",
            SchedulerUnavailableError,
        ),
        # A node that may not submit; another machine may be allowed to.
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
    ),
    advice=(
        (
            r"No such queue|User cannot use the queue",
            "Set queue= to one that `bqueues -u $USER` lists",
        ),
        (r"hard limit", "`bqueues -l` shows the limits of a queue; ask for less, or set queue="),
        (
            r"slots|[Tt]oo many processors",
            "Ask for fewer cpus: `bhosts` and `bqueues` list the slots",
        ),
        (
            r"[Tt]oo few processors",
            "Ask for more cpus: `bqueues -l` shows how many the queue requires",
        ),
        (r"MEML\w+ value", "Set memory_unit under [executor.lsf]"),
        (r"resource requirement", "Look at the option R and at gpu_option under [executor.lsf]"),
        (
            r"array index too large",
            "Set max_array_size under [executor.lsf]; `bparams -l` shows it",
        ),
        (
            r"User permission denied|Root job submission",
            "LSF takes no jobs of this user; root is refused by default",
        ),
        (r"illegal option|option (?:requires|cannot)", "See options= of the task and `bsub -h`"),
        (r"[Pp]roject", "Set account= to a project of yours"),
    ),
    # What bkill prints of jobs that are over or unknown, and of what mbatchd will do later: with
    # arrays as a whole, and where a host is down.
    over=(r"has already finished|No matching job found|is not found|Operation is in progress",),
)


class ParentUnknownError(SubmissionRefusedError):
    """The job that another one is to wait for is over, and the scheduler has forgotten it."""


def submission_error(message: str, waits: bool) -> ExecutorError:
    """Classify bsub's error as refused, deferred or uncertain, with what to do about it.

    `waits` tells whether the job was to wait for another one.
    """
    if waits and _PARENT.search(message) and ERRORS.kind(message) is SubmissionRefusedError:
        return ParentUnknownError(f"bsub: {message}")
    return ERRORS.submission_error("LSF", "bsub", message)


class TriedInVainError(SubmissionDeferredError):
    """Too many jobs wait, and bsub was ended while it retried."""


def full(message: str) -> TriedInVainError | None:
    """Make the exception for a bsub that did not end, where it reported too many waiting jobs."""
    if _RETRYING.search(message) is None:
        return None
    return TriedInVainError(f"bsub: {' '.join(message.split())}")
