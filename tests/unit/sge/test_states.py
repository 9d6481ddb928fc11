from __future__ import annotations

import pytest
from reflow.errors import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.executors.batch.command import CommandResult
from reflow.model.states import JobState
from reflow_sge.executor import SGEExecutor
from reflow_sge.states import CAUSES, STATES

from tests.unit.sge.recordings import Step, steps


def qsub_error(said: str, exit_code: int = 1) -> ExecutorError:
    result = CommandResult(argv=("qsub",), exit_code=exit_code, stdout="", stderr=said)
    return SGEExecutor().submission_error(result)


QUEUED, RUNNING, SUSPENDED = JobState.QUEUED, JobState.RUNNING, JobState.SUSPENDED

DOCUMENTED = {
    # sge_status(5)
    "qw Rq hqw hRwq": QUEUED,
    "r hr t Rr Rt": RUNNING,
    "s ts S tS T tT Rs Rts RS RtS RT RtT": SUSPENDED,
    "Eqw Ehqw EhRqw": JobState.FAILED,
    "dr dt dRr dRt": RUNNING,
    "ds dS dT dRs dRS dRT": SUSPENDED,
    "z": JobState.UNKNOWN,
}


@pytest.mark.parametrize(
    ("code", "state"),
    [(code, state) for codes, state in DOCUMENTED.items() for code in codes.split()],
)
def test_every_documented_state_is_known(code: str, state: JobState) -> None:
    native = STATES.look_up(code)
    assert native in STATES.states
    assert native.state is state


def test_names_of_states_are_as_good_as_their_letters() -> None:
    for state in STATES.states:
        assert STATES.look_up(state.name) is state


def test_a_state_that_no_manual_has_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    assert STATES.look_up("qr!").state is JobState.UNKNOWN
    assert "qr!" in caplog.text


def test_every_documented_failure_has_a_meaning() -> None:
    before_the_job = {*range(1, 39)} - {2, 5, 12, 13, 14, 15, 16, 17, 22, 23, 24, 25, 30, 37}
    assert set(CAUSES) == before_the_job


REFUSALS = [
    step
    for step in steps()
    if "qsub" in step.command
    and step.exit_code
    and step.stderr
    and "-sync" not in step.command
    and "-w v" not in step.command
]


@pytest.mark.parametrize("step", REFUSALS, ids=lambda step: step.command[:60])
def test_every_recorded_refusal_is_sorted(step: Step) -> None:
    error = qsub_error(" ".join(step.stderr.split()), step.exit_code)
    expected: type[ExecutorError] = SubmissionRefusedError
    if step.exit_code == 25:
        expected = SubmissionDeferredError
    elif "commlib" in step.stderr:
        expected = SchedulerUnavailableError
    assert type(error) is expected
    assert step.stderr.split()[-2] in str(error)


def test_there_are_refusals_of_each_kind() -> None:
    assert {25} < {step.exit_code for step in REFUSALS}
    assert any("commlib" in step.stderr for step in REFUSALS)


def test_an_answer_that_was_lost_is_uncertain() -> None:
    said = "Unable to run job: failed receiving gdi request response for mid=1"
    assert type(qsub_error(said)) is SubmissionUncertainError


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('job requests unknown queue "x"', "qconf -sql"),
        ('the requested parallel environment "x" does not exist', "parallel_environment"),
        ('unknown resource "x"', "memory_resource"),
        ('invalid option argument "-terse"', "Is this Grid Engine's qsub?"),
    ],
)
def test_a_refusal_says_what_to_do(said: str, advice: str) -> None:
    assert advice in str(qsub_error(said))
