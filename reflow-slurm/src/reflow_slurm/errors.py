"""The errors of Slurm's commands, and what they mean."""

from __future__ import annotations

from reflow.plugin_api import (
    ErrorTable,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionUncertainError,
)

REMEMBERS_NOTHING = "Invalid job id specified"
"""The error of squeue when it knows none of the polled jobs."""
NO_ACCOUNTING = "Slurm accounting storage is disabled"

TRANSIENT = (
    r"Resource temporarily unavailable",
    r"Zero Bytes were transmitted or received",
    r"Socket timed out on send/recv operation",
)
"""Errors of a busy controller, after which a query is worth repeating."""

ERRORS = ErrorTable(
    submission=(
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
    ),
    advice=(
        (
            r"Invalid partition name|invalid partition specified",
            "Set queue= to a partition that `sinfo --summarize` lists",
        ),
        (
            r"Invalid account",
            "Set account= to one that `sacctmgr show assoc user=$USER format=account,partition` "
            "lists",
        ),
        (r"Invalid qos", "Set the option qos to one that your account may use"),
        (
            r"Memory specification can not be satisfied|node configuration is not available",
            "Ask for no more than a node has: `sinfo -o '%P %c %m %G'` lists CPUs, MiB and GPUs",
        ),
        (r"generic resource", "`sinfo -o '%P %G'` lists the names of GPUs here"),
    ),
    # Errors of scancel about jobs that are over, in some versions.
    over=(r"Invalid job id specified|already completing or completed|already finished",),
)
