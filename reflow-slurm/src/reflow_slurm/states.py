"""What Slurm's states and reasons mean."""

from __future__ import annotations

import re

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

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
        # Another cluster of the federation has taken the job: this one cannot tell its state.
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
"""The signal by which slurmstepd marks a step with a process that the OOM killer has killed."""
OUTPUT_SIGNAL = 53
"""The signal by which slurmstepd marks a job whose output file it could not open."""

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
