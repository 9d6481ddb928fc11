"""What the states of Flux's jobs, and the exceptions that end them, mean."""

from __future__ import annotations

import re

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

STATES = StateTable(
    "Flux",
    (
        # flux-jobs(1), "JOB STATUS": states of jobs that are not over, results of those that are.
        NativeState("N", "NEW", JobState.QUEUED),
        NativeState("D", "DEPEND", JobState.QUEUED),
        NativeState("P", "PRIORITY", JobState.QUEUED),
        NativeState("S", "SCHED", JobState.QUEUED),
        NativeState("R", "RUN", JobState.RUNNING),
        NativeState("C", "CLEANUP", JobState.RUNNING),
        NativeState("CD", "COMPLETED", JobState.COMPLETED),
        NativeState("F", "FAILED", JobState.FAILED),
        NativeState("CA", "CANCELED", JobState.CANCELLED),
        NativeState("TO", "TIMEOUT", JobState.FAILED, FailureCause.WALLTIME),
    ),
)

_NODE = re.compile(
    # job-exec: a lost node, one that hangs or cannot start anything, a restarted instance.
    r"node.failure|lost contact|lost connection|start barrier timeout|job shell exec error"
    r"|service is not loaded on|failed to create guest ns"
    # job-manager: the site's prolog, after whose failure it drains the node; libschedutil.
    r"|^prolog |^scheduler-restart "
    # Fluxion, after it was reloaded: it denies even what it could allocate.
    r"|^alloc .*match error",
    re.IGNORECASE,
)
_NEVER_RAN = ("alloc", "dependency")
"""Exceptions of jobs that could not start: too large a request, or an unmet dependency."""


def failure_cause(exception: str, note: str, ran: bool) -> FailureCause | None:
    """Find the cause of a failed job; None where its own exit code tells it."""
    if _NODE.search(f"{exception} {note}"):
        return FailureCause.NODE
    if exception in _NEVER_RAN or (exception and not ran):
        return FailureCause.SUBMIT
    return None
