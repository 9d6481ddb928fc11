"""The errors of Flux's commands, and what they mean."""

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

UNKNOWN_ID = re.compile(r"JobID \S+ unknown")
"""The error of flux jobs for each job that it does not know."""
NO_ANSWER = re.compile(r"rpc: ")
"""The error of flux jobs for each job that it could not query; its exit code may be 0."""
TRANSIENT = (r"Resource temporarily unavailable", r"Connection timed out")
"""Errors after which a query is worth repeating."""

_OF_AN_ELEMENT = re.compile(r"^cc=\d+: ")
_PARENT = re.compile(r"job not found|No such job|purged")
_MOST_JOBS = r"(?i)max(?:imum)?[ _](?:number of )?(?:active|running|pending)?[ _]?jobs"
"""The error of flux-accounting where a user has too many jobs."""
ERRORS = ErrorTable(
    submission=(
        (r"(?i)unable to connect to flux", SchedulerUnavailableError),
        # The broker runs, but not the service that takes jobs: the instance starts or stops.
        # Or that service failed before the job existed.
        (r"(?i)function not implemented|no service matching", SchedulerUnavailableError),
        (
            r"(?i)kvs commit failed|worker unexpectedly exited|no space left on",
            SchedulerUnavailableError,
        ),
        (
            r"(?i)connection (?:reset|refused|timed out)|broken pipe|lost connection",
            SubmissionUncertainError,
        ),
        (r"(?i)no route to host|host is unreachable", SubmissionUncertainError),
        (r"(?i)(?<!direct )job submission (?:to .*)?is disabled", SubmissionDeferredError),
        (_MOST_JOBS, SubmissionDeferredError),
        (r"(?i)resource temporarily unavailable", SubmissionDeferredError),
    ),
    advice=(
        (
            r"(?i)direct job submission",
            "Only Flux instances are accepted as jobs here: start one with `flux alloc` or "
            "`flux batch`, and submit the run inside it",
        ),
        (
            _MOST_JOBS,
            "Set max_submit_jobs under [executor.flux] to as many as you may have at once",
        ),
        (
            r"(?i)queue",
            "Set queue= to one that `flux queue list` shows, and ask for no more than it allows",
        ),
        (r"(?i)exceeds policy limit", "`flux config get policy` shows the limits"),
        (r"(?i)bank|association|project", "Set account= to a bank of yours"),
        (
            r"(?i)exclusive can only|node count must not",
            "Set nodes= of the task; for one whole node, in options=, "
            '{"nodes": 1, "exclusive": true}',
        ),
        (
            r"(?i)replacement",
            "Braces in options= stand for positions of an array: put JSON into a file, as in "
            'setattr="^NAME=FILE"',
        ),
        (
            r"(?i)invalid unicode",
            "With export_environment every variable must be UTF-8: unset the one that is not",
        ),
        (
            r"(?i)unrecognized arguments|invalid",
            "Look at options= of the task and of [executor.flux]",
        ),
    ),
    # The errors of flux cancel for jobs that are over or unknown.
    over=(r"unknown job id|job is inactive",),
)


class ParentUnknownError(SubmissionRefusedError):
    """A job that another one is to wait for is over and forgotten."""


def complaint(stderr: str) -> str:
    """Return flux submit's messages, once each: for an array it repeats them for every element."""
    lines = (_OF_AN_ELEMENT.sub("", line.strip()) for line in stderr.splitlines())
    return " ".join(dict.fromkeys(filter(None, lines)))


def half_way(message: str) -> ExecutorError:
    """Make the exception for an array of which some elements were accepted, now or before."""
    return SubmissionUncertainError(f"flux submit stopped half-way: {ERRORS.advised(message)}")


def submission_error(message: str, waits: bool) -> ExecutorError:
    """Classify flux submit's error as refused, deferred or uncertain, with what to do about it.

    `waits` tells whether the job was to wait for another one.
    """
    kind = ERRORS.kind(message)
    if kind is not SubmissionRefusedError:
        return kind(f"flux submit: {ERRORS.advised(message)}")
    if waits and _PARENT.search(message):
        return ParentUnknownError(f"flux submit: {message}")
    return ERRORS.submission_error("Flux", "flux submit", message)
