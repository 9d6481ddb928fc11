"""What the states and exit statuses of PBS mean."""

from __future__ import annotations

import re

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

STATES = StateTable(
    "PBS",
    (
        # "Job States" of qstat(1B); the exit status tells how a job ended.
        NativeState("B", "array has begun", JobState.RUNNING),
        NativeState("E", "exiting", JobState.RUNNING),
        NativeState("F", "finished", JobState.COMPLETED),
        NativeState("H", "held", JobState.QUEUED),
        # Another server has taken the job: this one cannot tell its state.
        NativeState("M", "moved", JobState.UNKNOWN),
        NativeState("Q", "queued", JobState.QUEUED),
        NativeState("R", "running", JobState.RUNNING),
        NativeState("S", "suspended", JobState.SUSPENDED),
        NativeState("T", "in transit", JobState.QUEUED),
        NativeState("U", "suspended for a user at the keyboard", JobState.SUSPENDED),
        NativeState("W", "waiting for its time", JobState.QUEUED),
        NativeState("X", "array element is over", JobState.COMPLETED),
    ),
)

HELD = "H"
DELETED = 91
"""The substate of jobs that qdel has ended."""
SIGNALLED = 256
"""What PBS adds to the number of the signal that ended a job."""

CAUSES = {
    -24: FailureCause.SIGNAL,  # more CPUs used than asked for
    -25: FailureCause.SIGNAL,  # the same, over the whole job
    -26: FailureCause.MEMORY,  # vmem
    -27: FailureCause.MEMORY,
    -28: FailureCause.WALLTIME,  # cput
    -29: FailureCause.WALLTIME,
}
"""Exit statuses of jobs that exceeded a limit; other negative ones are faults of the node."""

NEVER_RUNS = re.compile(r"Can Never Run|can never run|too many failed attempts to run")
"""The comment of a job that no machine could run even if all were free, and of one that PBS
holds because 20 attempts to start it have failed."""
