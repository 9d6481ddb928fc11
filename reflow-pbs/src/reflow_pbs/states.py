"""What PBS's own words mean: states and exit statuses."""

from __future__ import annotations

import re

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

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
    ),
)

HELD = "H"
DELETED = 91
"""Substate of what qdel has ended."""
SIGNALLED = 256
"""Added by PBS to the number of the signal that it ended a job with."""

CAUSES = {
    -24: FailureCause.SIGNAL,  # more CPUs used than asked for
    -25: FailureCause.SIGNAL,  # the same, over the whole job
    -26: FailureCause.MEMORY,  # vmem
    -27: FailureCause.MEMORY,
    -28: FailureCause.WALLTIME,  # cput
    -29: FailureCause.WALLTIME,
}
"""Exit statuses of jobs over a limit; other negative ones are the node's fault."""

NEVER_RUNS = re.compile(r"Can Never Run|can never run|too many failed attempts to run")
"""In the comment of a job that no machine could take even if all were free, and of one that PBS
holds because it could not be started 20 times over."""
