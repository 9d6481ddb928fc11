"""What the states of Grid Engine, and the failures in its accounting, mean."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from reflow.plugin_api import FailureCause, JobState, NativeState, StateTable

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
"""Letters that may precede a state, in this order."""


def _states() -> Iterator[NativeState]:
    for chosen in product((False, True), repeat=len(_FLAGS)):
        flags = [flag for flag, is_set in zip(_FLAGS, chosen, strict=True) if is_set]
        letters = "".join(letter for letter, _ in flags)
        for core, name, state in _CORES:
            described = ", ".join([name, *(word for _, word in flags)])
            broken = "E" in letters
            yield NativeState(letters + core, described, JobState.FAILED if broken else state)
    # It tells that the job is over, but not how it ended.
    yield NativeState("z", "finished", JobState.UNKNOWN)


STATES = StateTable("Grid Engine", _states())
"""Every documented state, and the other combinations of its letters."""

IN_ERROR = frozenset(state.code for state in STATES.states if "E" in state.code)
"""States in which a job stays until it is deleted."""
HELD = frozenset(
    state.code for state in STATES.states if "h" in state.code and state.state is JobState.QUEUED
)

RAN_AND_ENDED, KILLED, OVER_LIMIT = 0, 100, 37
"""`failed` in qacct: nothing failed; ended by a signal; killed over h_rt, h_cpu or h_vmem."""
RUNS_AGAIN = (24, 25)
"""`failed` of a run that is not the job's last: migrating, rescheduling."""
RETURNED_ERROR = 30
"""`failed` of a job that ended with 100."""

CAUSES = {
    # sge_status(5), `failed` values of jobs that did not fail by their script
    **dict.fromkeys((1, 3, 4, 6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 29, 36, 38), FailureCause.NODE),
    **dict.fromkeys((26, 27, 28, 31, 32, 33, 34, 35), FailureCause.SUBMIT),
}
