from __future__ import annotations

import pytest
from reflow.errors import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.states import JobState
from reflow_pbs.states import STATES, submission_error

from tests.unit.pbs.recordings import Step, steps

DOCUMENTED = {
    # qstat(1B) of PBS Pro; C is Torque's
    **dict.fromkeys("QHWT", JobState.QUEUED),
    **dict.fromkeys("RBE", JobState.RUNNING),
    **dict.fromkeys("SU", JobState.SUSPENDED),
    **dict.fromkeys("FXC", JobState.COMPLETED),
    "M": JobState.UNKNOWN,
}


@pytest.mark.parametrize(("code", "state"), DOCUMENTED.items())
def test_every_documented_state_is_known(code: str, state: JobState) -> None:
    assert STATES.look_up(code).state is state
    assert STATES.look_up(STATES.look_up(code).name).state is state


def test_no_state_is_known_that_is_not_documented() -> None:
    assert {state.code for state in STATES.states} == set(DOCUMENTED)


REFUSALS = [
    step
    for step in steps()
    if step.exit_code and step.command.startswith("qsub") and step.stderr.startswith("qsub:")
]
FOR_NOW = {"reject-too-many-array", "reject-disabled-queue"}


@pytest.mark.parametrize("step", REFUSALS, ids=lambda step: step.scene)
def test_every_recorded_refusal_is_sorted(step: Step) -> None:
    error = submission_error(" ".join(step.stderr.split()))
    expected: type[ExecutorError] = (
        SubmissionDeferredError if step.scene in FOR_NOW else SubmissionRefusedError
    )
    assert type(error) is expected
    assert "usage:" not in str(error)


def test_there_are_refusals_of_each_kind() -> None:
    assert len(REFUSALS) > 15
    assert {step.scene for step in REFUSALS} >= FOR_NOW


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Connection refused qsub: cannot connect to server node01", SchedulerUnavailableError),
        ("qsub: Premature end of message", SubmissionUncertainError),
        ("qsub: End of File", SubmissionUncertainError),
        ("qsub: Maximum number of jobs already in queue", SubmissionDeferredError),
        ("qsub: Bad UID for job execution", SubmissionRefusedError),
    ],
)
def test_complaints_are_sorted(said: str, kind: type[ExecutorError]) -> None:
    assert type(submission_error(said)) is kind


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("qsub: Unknown queue", "qstat -Q"),
        ("qsub: Unknown resource: ngpus", "gpu_resource"),
        ("qsub: cannot send environment with the job", "export_environment"),
        ("qsub: invalid option -- 'J'", "Is this PBS's qsub?"),
        ("qsub: Array job exceeds server or queue size limit", "max_array_size"),
    ],
)
def test_a_refusal_says_what_to_do(said: str, advice: str) -> None:
    assert advice in str(submission_error(said))
