"""What LSF's own words mean: states, reasons, and complaints at submission."""

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
    "LSF",
    (
        # bjobs(1), "STAT", of IBM LSF 10.1; OpenLava has those but PROV and WAIT.
        NativeState("PEND", "pending", JobState.QUEUED),
        NativeState("PROV", "waiting for a host to wake up", JobState.QUEUED),
        NativeState("WAIT", "waiting in a chunk of jobs", JobState.QUEUED),
        NativeState("PSUSP", "held while pending", JobState.QUEUED),
        NativeState("RUN", "running", JobState.RUNNING),
        NativeState("USUSP", "suspended by a person", JobState.SUSPENDED),
        NativeState("SSUSP", "suspended by the system", JobState.SUSPENDED),
        NativeState("DONE", "done", JobState.COMPLETED),
        NativeState("EXIT", "exited", JobState.FAILED),
        # Nothing has been heard of the host; it is nobody's end yet.
        NativeState("UNKWN", "unknown", JobState.UNKNOWN, FailureCause.NODE),
        NativeState("ZOMBI", "zombie", JobState.FAILED, FailureCause.NODE),
    ),
)

CANCELLED = re.compile(r"TERM_(?:FORCE_|REQUEUE_)?(?:OWNER|ADMIN)\b|TERM_BUCKET_KILL\b")
"""Reasons of IBM LSF for jobs that somebody killed."""
CAUSES: tuple[tuple[str, FailureCause], ...] = (
    ("TERM_RUNLIMIT", FailureCause.WALLTIME),
    ("TERM_CPULIMIT", FailureCause.WALLTIME),
    ("TERM_DEADLINE", FailureCause.WALLTIME),
    ("TERM_WINDOW", FailureCause.WALLTIME),
    ("TERM_MEMLIMIT", FailureCause.MEMORY),
    ("TERM_SWAP", FailureCause.MEMORY),
    ("TERM_PREEMPT", FailureCause.PREEMPTED),
    ("TERM_LOAD", FailureCause.PREEMPTED),
    ("TERM_ZOMBIE", FailureCause.NODE),
    ("TERM_REMOVE_HUNG_JOB", FailureCause.NODE),
    ("TERM_CWD_NOTEXIST", FailureCause.SUBMIT),
    ("TERM_PRE_EXEC_FAIL", FailureCause.SUBMIT),
    ("TERM_ORPHAN_SYSTEM", FailureCause.SUBMIT),
)
"""What IBM LSF says of an end, by the beginning of its reason; OpenLava says none of it."""

RUN_LIMIT_SIGNAL = 12
"""SIGUSR2, the first that a job over its run limit is sent."""
CPU_LIMIT_SIGNAL = 24
"""SIGXCPU."""
MEMORY_SIGNAL = 3
"""SIGQUIT, by which OpenLava ends a job over its limit on swap."""
KILL_SIGNALS = (2, 15, 9)
"""What bkill sends, one after the other: whether it did is in bhist alone."""
HOST_LOST = re.compile(r"Execution host unavailable|unable to reach the execution host|kill ZOMBIE")
"""How bhist words the end of a job whose host was not heard of."""

IMPOSSIBLE = re.compile(r"never satisfied|invalid or never")
"""Pending reasons that do not pass."""

NOT_FOUND = re.compile(r"is not found|No (?:unfinished |matching )?job(?:s)? found")
"""What bjobs and bhist say of jobs that they do not know."""
OVER_ALREADY = re.compile(r"has already finished|No matching job found|is not found")
"""What bkill says of jobs that are over, or unknown."""
IN_PROGRESS = re.compile(r"Operation is in progress")
"""What bkill says of what mbatchd will do later: of arrays as a whole, and where a host is away."""
NO_JSON = re.compile(r"(?:invalid|illegal|unknown|bad) option", re.IGNORECASE)
"""What a bjobs without `-json` says: OpenLava's, and LSF's before 10.1."""

TRANSIENT = (
    r"Failed in (?:send|receiv)ing",
    r"[Tt]imed? ?out",
)
"""Complaints after which asking again soon may help."""

_PARENT = re.compile(r"No matching job found")
_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (r"not responding|LIM is down|[Cc]annot connect|is unreachable", SchedulerUnavailableError),
    (r"Connection refused|is not connected|connection already exists", SchedulerUnavailableError),
    (r"service not registered|daemon cannot fork", SchedulerUnavailableError),
    # A node that may not submit; another machine may.
    (r"[Rr]equest from (?:a )?non-LSF host", SchedulerUnavailableError),
    (r"Failed in (?:send|receiv)ing|[Tt]imed? ?out", SubmissionUncertainError),
    (r"daemon internal error|protocol error|XDR ", SubmissionUncertainError),
    (r"LSF library", SchedulerUnavailableError),
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
