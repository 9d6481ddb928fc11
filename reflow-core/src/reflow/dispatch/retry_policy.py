"""Whether and how an instance is tried again after an attempt that did not succeed."""

from __future__ import annotations

from dataclasses import dataclass

from reflow.model.records import Instance
from reflow.model.states import FailureCause
from reflow.model.tasks import TaskSpec

NODE_LOSS_CAUSES = frozenset({FailureCause.NODE, FailureCause.PREEMPTED})
MOST_NODE_LOSSES = 10
"""How often an instance may lose its node before that counts."""
FIRST_PAUSE = 5.0
"""Seconds before an instance that lost its node is tried again; doubled each time."""
LONGEST_PAUSE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How an instance is to be tried again."""

    uses_retry: bool
    """Whether it is one of the retries that the task allows."""
    mem_scale: float
    time_scale: float
    pause: float
    """Seconds to wait before the next try."""


def pause_after(instance: Instance, cause: FailureCause | None) -> float:
    """Return how many seconds an element waits that has lost its node once more; else none."""
    if cause not in NODE_LOSS_CAUSES:
        return 0.0
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**instance.node_losses)


def decide_retry(spec: TaskSpec, instance: Instance, cause: FailureCause | None) -> Retry | None:
    """Decide whether an instance is tried again after failing from `cause`."""
    if cause in NODE_LOSS_CAUSES and instance.node_losses < MOST_NODE_LOSSES:
        return Retry(
            uses_retry=False,
            mem_scale=instance.mem_scale,
            time_scale=instance.time_scale,
            pause=pause_after(instance, cause),
        )
    if cause is FailureCause.SUBMIT or instance.retries_used >= spec.retries:
        return None
    more_mem = spec.retry_mem if cause is FailureCause.MEMORY else None
    more_time = spec.retry_time if cause is FailureCause.WALLTIME else None
    return Retry(
        uses_retry=True,
        mem_scale=instance.mem_scale * (more_mem or 1.0),
        time_scale=instance.time_scale * (more_time or 1.0),
        pause=0.0,
    )
