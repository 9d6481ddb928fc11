"""What PBS Pro and Torque call by different names, or do not both have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reflow.plugin_api import FailureCause, JobHandle, JobRequest

from reflow_pbs.dependencies import pro_words, torque_words
from reflow_pbs.ids import by_ranges, one_by_one
from reflow_pbs.installation import PRO, TORQUE
from reflow_pbs.states import PRO_CAUSES, TORQUE_CAUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One of the two."""

    array_option: str
    output: str
    """Where to send what a job prints, so that nothing is copied to the submitting machine."""
    dependency: Callable[[JobRequest, JobHandle], tuple[str, ...]]
    follow_up_first: bool
    """Whether a follow-up can wait for an array that is submitted after it."""
    causes: Mapping[int, FailureCause]
    remembers: bool
    """Whether qstat and qselect have `-x`, for jobs that are over."""
    alive: str
    """Letters that qselect takes for the states of what takes a place in the queue."""
    expand: tuple[str, ...]
    """What makes qselect list the elements of arrays, one by one."""
    elements: Callable[[str, Sequence[int]], list[str]]
    """The ids of some elements, as qdel takes them."""
    names_arrays: bool
    """Whether qselect finds arrays by their names."""
    largest_array: int | None
    """The most elements where the server says nothing."""


DIALECTS = {
    PRO: Dialect(
        array_option="-J",
        # A node that cannot copy to the submitting machine tries for 32 seconds, in which the job
        # is not over; its own /dev/null it leaves alone.
        output="localhost:/dev/null",
        dependency=pro_words,
        follow_up_first=True,
        causes=PRO_CAUSES,
        remembers=True,
        alive="BEHQRSTUW",
        expand=("-T",),
        elements=by_ranges,
        names_arrays=True,
        largest_array=10000,
    ),
    TORQUE: Dialect(
        array_option="-t",
        # Torque leaves the submitting machine's alone, and fails with a node's own.
        output="/dev/null",
        dependency=torque_words,
        follow_up_first=False,
        causes=TORQUE_CAUSES,
        remembers=False,
        alive="EHQRTW",
        expand=(),
        elements=one_by_one,
        names_arrays=False,
        largest_array=None,
    ),
}
