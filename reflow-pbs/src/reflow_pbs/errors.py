"""What the errors of PBS mean: those of qsub, and those about jobs that are gone.

The texts are from the table of messages that OpenPBS and PBS Professional share.
"""

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

TRANSIENT = (r"Server busy|Resource temporarily unavailable|Please retry|No free connections",)
SERVER_AWAY = re.compile(
    r"cannot connect to server|Connection refused|Couldn't connect|No default server"
    r"|Unable to communicate"
)
NO_HISTORY = "not configured to maintain job history"
_GONE = re.compile(
    r"Unknown Job Id|Job has finished|invalid for finished array subjob|Invalid request for state"
    r"|Request invalid for state of job"
)
"""Errors about jobs that are over, or that the server does not know."""

_OWN_LIMIT = re.compile(r"per-user limit|user \S+'s limit|for user\b")
"""Part of the error where a user has reached a limit, and not a group, project or all users."""

_LIMIT = (
    r"would exceed (?:queue \S+'s|complex's|(?:per-\w+ )?limit on resource|\w+ \S+'s limit on)"
    r"|Maximum number of jobs .*already in"
)
_TOO_LARGE = r"exceeds server or queue size limit"
"""A smaller array may be accepted: the limit of a task's own queue is not known beforehand."""
_WORSE_FOR_NOW = (
    r"Queue is not enabled|Server shutting down|Server busy|Failed to save job|System error:"
    r"|No free connections|connection table full|Resource temporarily unavailable|Resource busy"
)
_NOT_FROM_HERE = re.compile(r"Bad UID|Access from host not allowed|ruserok failed")
"""PBS also checks from which host a job is submitted: another host may be allowed to."""
ERRORS = ErrorTable(
    submission=(
        (SERVER_AWAY.pattern, SchedulerUnavailableError),
        (
            # Without a message: the server went down during the submission.
            r"timed? ?out|Premature end of message|End of File|Protocol \(ASN\.1\) error"
            r"|Batch protocol error|Connection reset|Error \(\d+\) submitting job|and no message",
            SubmissionUncertainError,
        ),
        (f"{_LIMIT}|{_TOO_LARGE}|{_WORSE_FOR_NOW}", SubmissionDeferredError),
    ),
    advice=(
        (r"Unknown queue", "Set queue= to one that `qstat -Q` lists"),
        (
            r"illegal -J value",
            "A limit on the elements that run at once, array_parallelism=, needs PBS 2020.1 or "
            "later",
        ),
        (
            r"violates queue and/or server resource limits",
            "`qstat -Q -f` lists the most that each queue allows",
        ),
        (
            r"Unknown resource",
            "Set gpu_resource under [executor.pbs] to the name that GPUs have here",
        ),
        (r"[Aa]ccount|project", "Set account= to one that you may use"),
        (
            r"cannot send environment",
            "A variable of yours has a quote that PBS cannot pass on: see export_environment under "
            "[executor.pbs]",
        ),
        (
            r"invalid option|illegal option|Unknown option",
            "Is this PBS's qsub? Name the right one under [executor.pbs]",
        ),
    ),
)


def only_gone(stderr: str) -> bool:
    """Tell whether a command failed only because of jobs that are over or unknown."""
    complaints = [line for line in stderr.splitlines() if ":" in line]
    return bool(complaints) and all(_GONE.search(line) or NO_HISTORY in line for line in complaints)


def is_own_limit(error: SubmissionDeferredError) -> bool:
    """Tell whether a job was deferred by the user's own limit: the user's jobs make room."""
    return _OWN_LIMIT.search(str(error)) is not None


def submission_error(message: str) -> ExecutorError:
    """Classify qsub's error as refused, deferred or uncertain, with what to do about it.

    Its exit code is the server's error number modulo 256, so it tells nothing for sure.
    """
    message = message.partition(" usage: ")[0]
    if _NOT_FROM_HERE.search(message):
        return SchedulerUnavailableError(
            f"PBS accepts no jobs of yours from this machine: {message}. Submit from a "
            "machine that may, with --follow if the nodes may not. Root may submit only if the "
            "server allows it"
        )
    return ERRORS.submission_error("PBS", "qsub", message or "qsub printed nothing")


class NoRoomToComeError(SubmissionRefusedError):
    """A limit that no end of a job would lift prevents the submission."""

    def __init__(self, limit: SubmissionDeferredError) -> None:
        super().__init__(
            f"PBS refused the job: {limit}. Nothing else of yours is in the queue whose end would "
            "make room; the dispatch jobs of a run count, too. Ask for less, set queue= to "
            "another queue, or submit with --follow"
        )
