"""The errors of Grid Engine's commands, and what they mean."""

from __future__ import annotations

import re

from reflow.plugin_api import (
    ErrorTable,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionUncertainError,
)

UNREACHABLE = re.compile(
    r"commlib error|unable to (?:send message|contact)|can't connect|cannot connect"
    r"|failed receiving gdi request|denied: .*(?:submit|admin) host"
)
"""Errors of commands that did not reach qmaster."""
HARMLESS = re.compile(
    r"does not exist|comprises no tasks|has deleted|has registered|already in deletion"
)
"""What qdel prints about jobs that are gone, or that it has deleted."""
NOT_IN_ACCOUNTING = re.compile(r"not found|No such file or directory|no jobs running since startup")

TRANSIENT = (r"got (?:read|sync\. receive) (?:error|timeout)", r"got select timeout")
_TOO_MANY_JOBS = 25
"""The exit code of qsub where max_u_jobs or max_jobs is reached."""

ERRORS = ErrorTable(
    submission=(
        (_TOO_MANY_JOBS, SubmissionDeferredError),
        (r"got send error|Connection refused|can't resolve master", SchedulerUnavailableError),
        (r"got (?:read|sync\. receive)|failed receiving gdi request", SubmissionUncertainError),
        (r"commlib error|unable to (?:send message|contact)", SchedulerUnavailableError),
        # A node that may not submit; another machine may be allowed to.
        (r"denied: host .*(?:submit|admin) host", SchedulerUnavailableError),
        (r"only \d+ jobs are allowed|max_u_jobs|maximum number of jobs", SubmissionDeferredError),
        (r"try (?:again )?later", SubmissionDeferredError),
    ),
    advice=(
        (r"unknown queue", "Set queue= to one that `qconf -sql` lists"),
        (
            r"parallel environment",
            "Set parallel_environment under [executor.sge] to one that `qconf -spl` lists",
        ),
        (r"project", "Set account= to a project that `qconf -sprjl` lists"),
        (
            r"unknown resource",
            "`qconf -sc` lists what resources are called here; see memory_resource and "
            "gpu_resource under [executor.sge]",
        ),
        (r"no suitable queues", "Ask for no more than a host has: `qhost -F` lists it"),
        (r"more than \d+ tasks", "Set max_array_size under [executor.sge] to that number"),
        (
            r"invalid option|Unknown option|illegal",
            "Is this Grid Engine's qsub? Name the right one under [executor.sge]",
        ),
    ),
)
