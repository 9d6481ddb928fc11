"""What Flux's own words of jobs mean: states, and the exceptions that end them."""

from __future__ import annotations

import re

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

STATES = StateTable(
    "Flux",
    (
        # flux-jobs(1), "JOB STATUS": states of what is not over, results of what is.
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
    # job-exec: a lost node, one that hangs or cannot start anything, an instance that came back.
    r"node.failure|lost contact|lost connection|start barrier timeout|job shell exec error"
    r"|service is not loaded on|failed to create guest ns"
    # job-manager: the site's prolog, after which it takes the node out; libschedutil.
    r"|^prolog |^scheduler-restart "
    # Fluxion, when it was loaded again: it denies even what it could give.
    r"|^alloc .*match error",
    re.IGNORECASE,
)
_NEVER_RAN = ("alloc", "dependency")
"""Exceptions of jobs that could not be started: asked for too much, waited for the wrong job."""


def failure_cause(exception: str, note: str, ran: bool) -> FailureCause | None:
    """Whose fault the end of a failed job was; None where its own exit code tells."""
    if _NODE.search(f"{exception} {note}"):
        return FailureCause.NODE
    if exception in _NEVER_RAN or (exception and not ran):
        return FailureCause.SUBMIT
    return None
