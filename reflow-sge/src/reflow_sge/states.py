"""What Grid Engine's own words mean: states, failures, and complaints at submission."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

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

_CORES = (
    # sge_status(5), "Job state"
    ("qw", "pending", JobState.QUEUED),
    ("wq", "pending after a hold", JobState.QUEUED),
    ("q", "pending again", JobState.QUEUED),
    ("r", "running", JobState.RUNNING),
    ("t", "transferring", JobState.RUNNING),
    ("s", "job suspended", JobState.SUSPENDED),
    ("ts", "transferring, job suspended", JobState.SUSPENDED),
    ("S", "queue suspended", JobState.SUSPENDED),
    ("tS", "transferring, queue suspended", JobState.SUSPENDED),
    ("T", "queue suspended by alarm", JobState.SUSPENDED),
    ("tT", "transferring, queue suspended by alarm", JobState.SUSPENDED),
)
_FLAGS = (("d", "being deleted"), ("E", "error"), ("h", "held"), ("R", "re-run"))
"""What may stand before a state, in this order."""


def _states() -> Iterator[NativeState]:
    for chosen in product((False, True), repeat=len(_FLAGS)):
        flags = [flag for flag, is_set in zip(_FLAGS, chosen, strict=True) if is_set]
        letters = "".join(letter for letter, _ in flags)
        for core, name, state in _CORES:
            described = ", ".join([name, *(word for _, word in flags)])
            broken = "E" in letters
            yield NativeState(letters + core, described, JobState.FAILED if broken else state)
    # It says that the job is over, and not how.
    yield NativeState("z", "finished", JobState.UNKNOWN)


STATES = StateTable("Grid Engine", _states())
"""Every documented state, and what else its letters can be put together to."""

IN_ERROR = frozenset(state.code for state in STATES.states if "E" in state.code)
"""States in which a job stays until somebody deletes it."""
HELD = frozenset(
    state.code for state in STATES.states if "h" in state.code and state.state is JobState.QUEUED
)

RAN_AND_ENDED, KILLED, OVER_LIMIT = 0, 100, 37
"""`failed` of qacct: nothing failed; ended by a signal; killed over h_rt, h_cpu or h_vmem."""
RUNS_AGAIN = (24, 25)
"""`failed` of a run that is not the job's last: migrating, rescheduling."""
RETURNED_ERROR = 30
"""`failed` of a job that ended with 100."""

CAUSES = {
    # sge_status(5), `failed` values of jobs that were not the script's own doing
    **dict.fromkeys((1, 3, 4, 6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 29, 36, 38), FailureCause.NODE),
    **dict.fromkeys((26, 27, 28, 31, 32, 33, 34, 35), FailureCause.SUBMIT),
}

UNREACHABLE = re.compile(
    r"commlib error|unable to (?:send message|contact)|can't connect|cannot connect"
    r"|failed receiving gdi request|denied: .*(?:submit|admin) host"
)
"""Complaints of commands that did not get through to qmaster."""
HARMLESS = re.compile(
    r"does not exist|comprises no tasks|has deleted|has registered|already in deletion"
)
"""What qdel says of jobs that are gone, or that it has ended."""
NOT_IN_ACCOUNTING = re.compile(r"not found|No such file or directory|no jobs running since startup")

TRANSIENT = (r"got (?:read|sync\. receive) (?:error|timeout)", r"got select timeout")

_SUBMIT_ERRORS: tuple[tuple[str, type[ExecutorError]], ...] = (
    (r"got send error|Connection refused|can't resolve master", SchedulerUnavailableError),
    (r"got (?:read|sync\. receive)|failed receiving gdi request", SubmissionUncertainError),
    (r"commlib error|unable to (?:send message|contact)", SchedulerUnavailableError),
    # A node that may not submit; another machine may.
    (r"denied: host .*(?:submit|admin) host", SchedulerUnavailableError),
    (r"only \d+ jobs are allowed|max_u_jobs|maximum number of jobs", SubmissionDeferredError),
    (r"try (?:again )?later", SubmissionDeferredError),
)
"""What is not for good, in the order it is looked for; any other complaint is."""
TOO_MANY_JOBS = 25
"""Exit code of qsub over max_u_jobs or max_jobs."""

_ADVICE = (
    (r"unknown queue", "Set queue= to one that `qconf -sql` lists"),
    (
        r"parallel environment",
        "Set parallel_environment under [executor.sge] to one that `qconf -spl` lists",
    ),
    (r"project", "Set account= to a project that `qconf -sprjl` lists"),
    (
        r"unknown resource",
        "`qconf -sc` lists what resources are called here; see memory_resource and gpu_resource "
        "under [executor.sge]",
    ),
    (r"no suitable queues", "Ask for no more than a host has: `qhost -F` lists it"),
    (r"more than \d+ tasks", "Set max_array_size under [executor.sge] to that number"),
    (
        r"invalid option|Unknown option|illegal",
        "Is this Grid Engine's qsub? Name the right one under [executor.sge]",
    ),
)


def submission_error(said: str, exit_code: int) -> ExecutorError:
    """What qsub's complaint means, in its own words and with what to do about it."""
    if exit_code == TOO_MANY_JOBS:
        return SubmissionDeferredError(f"qsub: {said}")
    for pattern, kind in _SUBMIT_ERRORS:
        if re.search(pattern, said):
            return kind(f"qsub: {said}")
    for pattern, advice in _ADVICE:
        if re.search(pattern, said):
            return SubmissionRefusedError(f"Grid Engine refused the job: {said}. {advice}")
    return SubmissionRefusedError(f"Grid Engine refused the job: {said}")
