"""Whether an element is tried again, and how."""

from __future__ import annotations

import pytest
from reflow.dispatch.retry_policy import MOST_NODE_LOSSES, Retry, decide_retry
from reflow.model.records import Instance
from reflow.model.states import FailureCause
from reflow.model.tasks import TaskSpec

LOST = (FailureCause.NODE, FailureCause.PREEMPTED)
COUNTED = tuple(cause for cause in FailureCause if cause not in {*LOST, FailureCause.SUBMIT})


def decide(cause: FailureCause | None, retries: int = 0, **state: float) -> Retry | None:
    spec = TaskSpec(name="t", function=len, retries=retries, retry_mem=2.0, retry_time=1.5)
    return decide_retry(spec, Instance(task="t", index=0, **state), cause)  # type: ignore[arg-type]


@pytest.mark.parametrize("cause", [*COUNTED, None])
def test_as_often_as_the_task_allows_and_no_more(cause: FailureCause | None) -> None:
    assert decide(cause) is None
    assert decide(cause, retries=2, retries_used=1) is not None
    assert decide(cause, retries=2, retries_used=2) is None


@pytest.mark.parametrize("cause", COUNTED)
def test_only_what_was_too_little_grows(cause: FailureCause) -> None:
    retry = decide(cause, retries=3, retries_used=1, mem_scale=2.0, time_scale=1.5)
    grown = {FailureCause.MEMORY: (4.0, 1.5), FailureCause.WALLTIME: (2.0, 2.25)}
    assert retry is not None
    assert (retry.mem_scale, retry.time_scale) == grown.get(cause, (2.0, 1.5))
    assert (retry.uses_retry, retry.pause) == (True, 0.0)


def test_a_request_stays_as_it_is_where_the_task_names_no_factor() -> None:
    spec = TaskSpec(name="t", function=len, retries=1)
    retry = decide_retry(spec, Instance(task="t", index=0), FailureCause.MEMORY)
    assert retry is not None
    assert (retry.mem_scale, retry.time_scale) == (1.0, 1.0)


@pytest.mark.parametrize("cause", LOST)
def test_a_lost_node_costs_no_retry_and_each_pause_is_longer_up_to_a_bound(
    cause: FailureCause,
) -> None:
    tries = [decide(cause, node_losses=lost, mem_scale=4.0) for lost in range(MOST_NODE_LOSSES)]
    assert all(retry is not None and not retry.uses_retry for retry in tries)
    assert all(retry is not None and retry.mem_scale == 4.0 for retry in tries)
    pauses = [retry.pause for retry in tries if retry is not None]
    assert pauses == sorted(pauses)
    assert pauses[0] > 0
    assert pauses[-1] <= 3600


@pytest.mark.parametrize("cause", LOST)
def test_a_node_that_is_lost_time_and_again_counts_in_the_end(cause: FailureCause) -> None:
    assert decide(cause, node_losses=MOST_NODE_LOSSES) is None
    used = decide(cause, retries=1, node_losses=MOST_NODE_LOSSES)
    assert used is not None
    assert used.uses_retry


def test_what_the_scheduler_refuses_is_not_tried_again_however_many_retries_there_are() -> None:
    assert decide(FailureCause.SUBMIT, retries=9) is None
