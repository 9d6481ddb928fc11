"""What the complaints of flux submit mean."""

from __future__ import annotations

import re

from reflow.plugin_api import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)

_OF_AN_ELEMENT = re.compile(r"^cc=\d+: ")
_PARENT = re.compile(r"job not found|No such job|purged")
_MOST_JOBS = r"max(?:imum)?[ _](?:number of )?(?:active|running|pending)?[ _]?jobs"
"""Of flux-accounting."""
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
    (r"(?<!direct )job submission (?:to .*)?is disabled", SubmissionDeferredError),
    (_MOST_JOBS, SubmissionDeferredError),
    (r"resource temporarily unavailable", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""

_ADVICE = (
    (
        r"direct job submission",
        "Only instances of Flux are taken here: start one by `flux alloc` or `flux batch`, and "
        "submit the run there",
    ),
    (_MOST_JOBS, "Set max_submit_jobs under [executor.flux] to as many as you may have at once"),
    (
        r"queue",
        "Set queue= to one that `flux queue list` shows, and ask for no more than it allows",
    ),
    (r"exceeds policy limit", "`flux config get policy` shows the limits"),
    (r"bank|association|project", "Set account= to a bank of yours"),
    (
        r"exclusive can only|node count must not",
        'Say nodes= of the task; for one whole node, in options=, {"nodes": 1, "exclusive": true}',
    ),
    (
        r"replacement",
        "Braces in options= stand for positions of an array: put JSON into a file, as in "
        'setattr="^NAME=FILE"',
    ),
    (
        r"invalid unicode",
        "With export_environment every variable must be UTF-8: unset the one that is not",
    ),
    (r"unrecognized arguments|invalid", "Look at options= of the task and of [executor.flux]"),
)


class ParentUnknownError(SubmissionRefusedError):
    """A job that another one is to wait for is over and forgotten."""


def complaint(stderr: str) -> str:
    """What flux submit said, once each: of an array it is said of every element."""
    lines = (_OF_AN_ELEMENT.sub("", line.strip()) for line in stderr.splitlines())
    return " ".join(dict.fromkeys(filter(None, lines)))


def half_way(said: str) -> ExecutorError:
    """What to raise where some elements of an array were accepted, now or before."""
    return SubmissionUncertainError(f"flux submit stopped half-way: {_advised(said)}")


def submission_error(said: str, waits: bool) -> ExecutorError:
    """What the complaint of flux submit means, in its own words and with what to do about it.

    `waits` tells whether the job was to wait for another one.
    """
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said, re.IGNORECASE):
            return kind(f"flux submit: {_advised(said)}")
    if waits and _PARENT.search(said):
        return ParentUnknownError(f"flux submit: {said}")
    return SubmissionRefusedError(f"Flux refused the job: {_advised(said)}")


def _advised(said: str) -> str:
    for pattern, advice in _ADVICE:
        if re.search(pattern, said, re.IGNORECASE):
            return f"{said}. {advice}"
    return said
