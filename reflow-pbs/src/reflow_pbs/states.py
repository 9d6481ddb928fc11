"""What PBS's own words mean: states, exit statuses, and complaints."""

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
    "PBS",
    (
        # "Job States" of qstat(1B); how a job ended is in its exit status.
        NativeState("B", "array has begun", JobState.RUNNING),
        NativeState("E", "exiting", JobState.RUNNING),
        NativeState("F", "finished", JobState.COMPLETED),
        NativeState("H", "held", JobState.QUEUED),
        # Another server has taken the job: this one cannot tell.
        NativeState("M", "moved", JobState.UNKNOWN),
        NativeState("Q", "queued", JobState.QUEUED),
        NativeState("R", "running", JobState.RUNNING),
        NativeState("S", "suspended", JobState.SUSPENDED),
        NativeState("T", "in transit", JobState.QUEUED),
        NativeState("U", "suspended for a user at the keyboard", JobState.SUSPENDED),
        NativeState("W", "waiting for its time", JobState.QUEUED),
        NativeState("X", "array element is over", JobState.COMPLETED),
        # Torque's word for F.
        NativeState("C", "completed", JobState.COMPLETED),
    ),
)

HELD = "H"
DELETED = 91
"""Substate of what qdel has ended."""
SIGNALLED = 256
"""Added by PBS to the number of the signal that it ended a job with."""

PRO_CAUSES = {
    -24: FailureCause.SIGNAL,  # more CPUs used than asked for
    -25: FailureCause.SIGNAL,  # the same, over the whole job
    -26: FailureCause.MEMORY,  # vmem
    -27: FailureCause.MEMORY,
    -28: FailureCause.WALLTIME,  # cput
    -29: FailureCause.WALLTIME,
}
TORQUE_CAUSES = {
    -10: FailureCause.MEMORY,
    -11: FailureCause.WALLTIME,
    -12: FailureCause.WALLTIME,  # cput
}
"""Exit statuses of jobs over a limit; other negative ones are the node's fault."""

NEVER_RUNS = re.compile(r"Can Never Run|can never run|too many failed attempts to run")
"""In the comment of a job that no machine could take even if all were free, and of one that PBS
holds because it could not be started 20 times over."""

GONE = re.compile(
    r"Unknown Job Id|Job has finished|invalid for finished array subjob|Invalid request for state"
    r"|Request invalid for state of job|Unknown Job Id Error|Unknown Array I[Dd]"
    r"|[Nn]onexistent job id"
)
"""Complaints about jobs that are over, or that the server knows nothing of."""
NO_HISTORY = "not configured to maintain job history"


def only_gone(stderr: str) -> bool:
    """Whether a command failed for no other reason than jobs that are over or unknown."""
    complaints = [line for line in stderr.splitlines() if ":" in line]
    return bool(complaints) and all(GONE.search(line) or NO_HISTORY in line for line in complaints)


TRANSIENT = (r"Server busy|Resource temporarily unavailable|Please retry",)

_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (
        r"cannot connect to server|Connection refused|Couldn't connect|No default server"
        r"|Access from host not allowed|Unable to communicate",
        SchedulerUnavailableError,
    ),
    (
        r"timed? ?out|Premature end of message|End of File|Protocol \(ASN\.1\) error"
        r"|Batch protocol error|Connection reset",
        SubmissionUncertainError,
    ),
    (
        r"would exceed|Maximum number of jobs already|exceeds? .*limit on number of jobs",
        SubmissionDeferredError,
    ),
    (r"Queue is not enabled|Server shutting down|Server busy", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""

_ADVICE = (
    (r"Unknown queue", "Set queue= to one that `qstat -Q` lists"),
    (r"Bad UID", "PBS does not take jobs of this user: root must be allowed on purpose"),
    (
        r"violates queue and/or server resource limits",
        "`qstat -Q -f` lists the most that each queue allows",
    ),
    (
        r"Unknown resource",
        "See gpu_resource under [executor.pbs] for what GPUs are called here",
    ),
    (r"exceeds server or queue size limit", "Set max_array_size under [executor.pbs]"),
    (r"account|project", "Set account= to one that you may use"),
    (
        r"cannot send environment",
        "A variable of yours has a quote that PBS cannot hand on: see export_environment under "
        "[executor.pbs]",
    ),
    (
        r"invalid option|illegal option|Unknown option",
        "Is this PBS's qsub? Name the right one under [executor.pbs]",
    ),
)


def submission_error(said: str) -> ExecutorError:
    """What qsub's complaint means, in its own words and with what to do about it.

    Its exit code is the server's error number modulo 256, so it tells nothing for sure.
    """
    said = said.partition(" usage: ")[0]
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said):
            return kind(f"qsub: {said}")
    for pattern, advice in _ADVICE:
        if re.search(pattern, said):
            return SubmissionRefusedError(f"PBS refused the job: {said}. {advice}")
    return SubmissionRefusedError(f"PBS refused the job: {said}")
