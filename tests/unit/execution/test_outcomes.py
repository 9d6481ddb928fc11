"""What is said of elements whose job left no result."""

from __future__ import annotations

import pytest
from reflow.execution.outcomes import outcome_of_status
from reflow.model.jobs import JobStatus
from reflow.model.records import Instance
from reflow.model.states import FailureCause, JobState


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"exit_code": 3}, "exited with status 3 and left no result"),
        ({"exit_code": 0}, "exited with status 0 and left no result"),
        ({"signal": 9}, "killed by signal 9 (SIGKILL)"),
        ({"cause": FailureCause.SUBMIT}, "its job could not be started"),
        ({"cause": FailureCause.NODE, "reason": "Eq"}, "its node failed [Eq]"),
        ({}, "its job is gone and left no result"),
    ],
)
def test_a_failure_is_told_in_one_line(told: dict[str, object], said: str) -> None:
    status = JobStatus(native_id="24", state=JobState.FAILED, **told)  # type: ignore[arg-type]

    assert outcome_of_status(Instance(task="t", index=0), status, "").error == said
