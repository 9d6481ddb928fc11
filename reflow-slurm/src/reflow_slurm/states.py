"""What Slurm's own words mean: states, reasons, and complaints at submission."""

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
    "Slurm",
    (
        # JOB STATE CODES of squeue(1) and sacct(1), 22.05; below them what 23.02 and later add.
        NativeState("BF", "BOOT_FAIL", JobState.FAILED, FailureCause.NODE),
        NativeState("CA", "CANCELLED", JobState.CANCELLED),
        NativeState("CD", "COMPLETED", JobState.COMPLETED),
        NativeState("CF", "CONFIGURING", JobState.QUEUED),
        # The processes of a completing job may go on for as long as KillWait.
        NativeState("CG", "COMPLETING", JobState.RUNNING),
        NativeState("DL", "DEADLINE", JobState.FAILED, FailureCause.WALLTIME),
        NativeState("F", "FAILED", JobState.FAILED),
        NativeState("NF", "NODE_FAIL", JobState.FAILED, FailureCause.NODE),
        NativeState("OOM", "OUT_OF_MEMORY", JobState.FAILED, FailureCause.MEMORY),
        NativeState("PD", "PENDING", JobState.QUEUED),
        NativeState("PR", "PREEMPTED", JobState.FAILED, FailureCause.PREEMPTED),
        NativeState("R", "RUNNING", JobState.RUNNING),
        NativeState("RD", "RESV_DEL_HOLD", JobState.QUEUED),
        NativeState("RF", "REQUEUE_FED", JobState.QUEUED),
        NativeState("RH", "REQUEUE_HOLD", JobState.QUEUED),
        NativeState("RQ", "REQUEUED", JobState.QUEUED),
        NativeState("RS", "RESIZING", JobState.RUNNING),
        # Another cluster of the federation has taken the job: this one cannot tell.
        NativeState("RV", "REVOKED", JobState.UNKNOWN),
        NativeState("SI", "SIGNALING", JobState.RUNNING),
        NativeState("SE", "SPECIAL_EXIT", JobState.QUEUED),
        NativeState("SO", "STAGE_OUT", JobState.RUNNING),
        NativeState("ST", "STOPPED", JobState.SUSPENDED),
        NativeState("S", "SUSPENDED", JobState.SUSPENDED),
        NativeState("TO", "TIMEOUT", JobState.FAILED, FailureCause.WALLTIME),
        NativeState("LF", "LAUNCH_FAILED", JobState.FAILED, FailureCause.NODE),
        NativeState("RC", "RECONFIG_FAIL", JobState.FAILED, FailureCause.NODE),
        NativeState("PO", "POWER_UP_NODE", JobState.QUEUED),
        NativeState("EX", "EXPEDITING", JobState.QUEUED),
    ),
)

MEMORY_SIGNAL = 125
"""slurmstepd's mark for a step that the kernel's out-of-memory killer has been at."""
OUTPUT_SIGNAL = 53
"""slurmstepd's mark for a job whose output file it could not open."""

IMPOSSIBLE = re.compile(
    r"""
    AccountNotAllowed | BadConstraints | DependencyNeverSatisfied | InvalidAccount | InvalidQOS
    | MaxMemPerLimit | PartitionConfig | PartitionNodeLimit | PartitionTimeLimit | QOSNotAllowed
    | launch[ _]failed[ _]requeued[ _]held | JobHoldMaxRequeue
    | QOSMin\w+ | (?:Assoc|QOS)Max\w+Per(?:Job|Node)\w*
    | (?:Account|User)?ReservationDeleted | DeadLine
    """,
    re.VERBOSE,
)
"""Reasons of pending jobs that do not pass while the job and the cluster stay as they are."""

REMEMBERS_NOTHING = "Invalid job id specified"
"""What squeue says, as an error, when it knows none of the jobs asked for."""
OVER_ALREADY = re.compile(
    r"Invalid job id specified|already completing or completed|already finished"
)
"""What scancel complains of although nothing is left to be ended; some versions only."""
NO_ACCOUNTING = "Slurm accounting storage is disabled"

TRANSIENT = (
    r"Resource temporarily unavailable",
    r"Zero Bytes were transmitted or received",
    r"Socket timed out on send/recv operation",
)
"""Complaints of a busy controller: asking again soon may help."""

_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (r"Unable to contact slurm controller", SchedulerUnavailableError),
    (r"Unable to establish controller machine", SchedulerUnavailableError),
    (r"in standby mode", SchedulerUnavailableError),
    (r"authentication|Invalid .*credential|Munge", SchedulerUnavailableError),
    (r"Socket timed out on send/recv operation", SubmissionUncertainError),
    (r"Zero Bytes were transmitted or received", SubmissionUncertainError),
    (r"Message (?:receive|send) failure", SubmissionUncertainError),
    (r"Transport endpoint is not connected", SubmissionUncertainError),
    (r"SubmitJob\w*Limit", SubmissionDeferredError),
    (r"temporarily unable to accept job", SubmissionDeferredError),
    (r"Resource temporarily unavailable", SubmissionDeferredError),
    # The controller's own disk is full.
    (r"I/O error writing script/environment to file", SubmissionDeferredError),
    (r"Required partition not available", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""

_ADVICE = (
    (
        r"Invalid partition name|invalid partition specified",
        "Set queue= to a partition that `sinfo --summarize` lists",
    ),
    (
        r"Invalid account",
        "Set account= to one that `sacctmgr show assoc user=$USER format=account,partition` lists",
    ),
    (r"Invalid qos", "Set the option qos to one that your account may use"),
    (
        r"Memory specification can not be satisfied|node configuration is not available",
        "Ask for no more than a node has: `sinfo -o '%P %c %m %G'` lists CPUs, MiB and GPUs",
    ),
    (r"generic resource", "`sinfo -o '%P %G'` lists what GPUs are called here"),
)


def submission_error(said: str) -> ExecutorError:
    """What sbatch's complaint means, in its own words and with what to do about it."""
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said):
            return kind(f"sbatch: {said}")
    for pattern, advice in _ADVICE:
        if re.search(pattern, said):
            return SubmissionRefusedError(f"Slurm refused the job: {said}. {advice}")
    return SubmissionRefusedError(f"Slurm refused the job: {said}")
