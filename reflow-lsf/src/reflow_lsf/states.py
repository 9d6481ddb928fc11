"""What the states and reasons of LSF mean."""

from __future__ import annotations

import re

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

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
        # The host has not reported; the job may not have ended.
        NativeState("UNKWN", "unknown", JobState.UNKNOWN, FailureCause.NODE),
        NativeState("ZOMBI", "zombie", JobState.FAILED, FailureCause.NODE),
    ),
)

CANCELLED = re.compile(r"TERM_(?:FORCE_|REQUEUE_)?(?:OWNER|ADMIN)\b|TERM_BUCKET_KILL\b")
"""Reasons of IBM LSF for jobs that a user or an administrator killed."""
CAUSES: tuple[tuple[str, FailureCause], ...] = (
    ("TERM_RUNLIMIT", FailureCause.WALLTIME),
    ("TERM_CPULIMIT", FailureCause.WALLTIME),
    ("TERM_DEADLINE", FailureCause.WALLTIME),
    ("TERM_WINDOW", FailureCause.WALLTIME),
    ("TERM_MEMLIMIT", FailureCause.MEMORY),
    ("TERM_SWAP", FailureCause.MEMORY),
    ("over its limit on memory", FailureCause.MEMORY),
    ("TERM_PREEMPT", FailureCause.PREEMPTED),
    ("TERM_LOAD", FailureCause.PREEMPTED),
    ("TERM_ZOMBIE", FailureCause.NODE),
    ("TERM_REMOVE_HUNG_JOB", FailureCause.NODE),
    ("TERM_CWD_NOTEXIST", FailureCause.SUBMIT),
    ("TERM_PRE_EXEC_FAIL", FailureCause.SUBMIT),
    ("TERM_ORPHAN_SYSTEM", FailureCause.SUBMIT),
)
"""Causes of ends, by the beginning of IBM LSF's reason; OpenLava gives hardly any reasons."""
OVER_MEMORY = "over its limit on memory, probably: no user has killed it"

RUN_LIMIT_SIGNAL = 12
"""SIGUSR2, the first signal to a job that exceeds its run limit."""
CPU_LIMIT_SIGNAL = 24
"""SIGXCPU, the signal to a job that exceeds its CPU limit."""
MEMORY_SIGNAL = 3
"""SIGQUIT, by which OpenLava ends a job over its limit on swap."""
KILL_SIGNALS = (2, 15, 9)
"""The signals that bkill sends, one after the other; only bhist tells whether it did."""
HOST_LOST = re.compile(r"Execution host unavailable|unable to reach the execution host|kill ZOMBIE")
"""What bhist prints of the end of a job whose host has not reported."""

IMPOSSIBLE = re.compile(r"never satisfied|invalid or never")
"""Pending reasons that do not pass."""
