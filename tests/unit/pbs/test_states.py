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
from reflow_pbs.errors import is_own_limit, submission_error
from reflow_pbs.states import STATES

from tests.unit.pbs.recordings import Step, steps

DOCUMENTED = {
    # qstat(1B)
    **dict.fromkeys("QHWT", JobState.QUEUED),
    **dict.fromkeys("RBE", JobState.RUNNING),
    **dict.fromkeys("SU", JobState.SUSPENDED),
    **dict.fromkeys("FX", JobState.COMPLETED),
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
FOR_NOW = {"reject-too-many-array", "reject-disabled-queue", "submit-array-too-large"}


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
        ("qsub: Bad UID for job execution", SchedulerUnavailableError),
        ("qsub: Access from host not allowed, or unknown host", SchedulerUnavailableError),
        # Where the server has not got room on its disk, or none for one more connection.
        ("qsub: Failed to save job/resv, refer server logs for details", SubmissionDeferredError),
        ("qsub: System error:", SubmissionDeferredError),
        ("qsub: Server connection table full", SubmissionDeferredError),
        # A limit that was not told beforehand: fewer elements may be taken.
        ("qsub: Array job exceeds server or queue size limit", SubmissionDeferredError),
        # The server went away while qsub talked to it.
        ("qsub: Error (15031) submitting job", SubmissionUncertainError),
        ("exit code 167 and no message", SubmissionUncertainError),
        # What a site's hook says is for good, whatever its words.
        ("qsub: your job would exceed the allocation of project x", SubmissionRefusedError),
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
        ("qsub: Bad UID for job execution", "--follow"),
        ("qsub: Invalid Account", "Set account="),
        ("qsub: illegal -J value", "needs PBS 2020.1"),
    ],
)
def test_a_refusal_says_what_to_do(said: str, advice: str) -> None:
    assert advice in str(submission_error(said))


LIMITS = """\
Maximum number of jobs already in queue workq
Maximum number of jobs already in complex
would exceed queue generic's per-group limit
would exceed complex's per-project limit of jobs in 'Q' state
Maximum number of jobs for group hpc already in complex
would exceed limit on resource mem in queue workq
would exceed per-group limit on resource ncpus in complex
would exceed group hpc's limit on resource ncpus in queue workq for jobs in 'Q' state
would exceed project _pbs_project_default's limit on resource mem in complex
""".splitlines()
OWN_LIMITS = """\
would exceed queue generic's per-user limit
would exceed complex's per-user limit of jobs in 'Q' state
Maximum number of jobs for user ada already in queue workq
Maximum number of jobs in 'Q' state for user ada already in complex
would exceed per-user limit on resource ncpus in complex
would exceed user ada's limit on resource mem in queue workq
""".splitlines()


@pytest.mark.parametrize("said", LIMITS + OWN_LIMITS)
def test_limits_put_a_job_off(said: str) -> None:
    error = submission_error(f"qsub: {said}")

    assert isinstance(error, SubmissionDeferredError)
    assert is_own_limit(error) == (said in OWN_LIMITS)
