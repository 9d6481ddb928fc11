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
from reflow.model.states import FailureCause, JobState
from reflow_slurm.executor import SlurmExecutor
from reflow_slurm.states import IMPOSSIBLE, STATES

from tests.unit.slurm.recordings import RECORDINGS, steps


def sbatch_error(said: str) -> ExecutorError:
    result = CommandResult(argv=("sbatch",), exit_code=1, stdout="", stderr=said)
    return SlurmExecutor().submission_error(result)


QUEUED, RUNNING, SUSPENDED = JobState.QUEUED, JobState.RUNNING, JobState.SUSPENDED
FAILED = JobState.FAILED

DOCUMENTED = {
    # squeue(1), JOB STATE CODES
    "BF BOOT_FAIL": FAILED,
    "CA CANCELLED": JobState.CANCELLED,
    "CD COMPLETED": JobState.COMPLETED,
    "CF CONFIGURING": QUEUED,
    "CG COMPLETING": RUNNING,
    "DL DEADLINE": FAILED,
    "F FAILED": FAILED,
    "NF NODE_FAIL": FAILED,
    "OOM OUT_OF_MEMORY": FAILED,
    "PD PENDING": QUEUED,
    "PR PREEMPTED": FAILED,
    "R RUNNING": RUNNING,
    "RD RESV_DEL_HOLD": QUEUED,
    "RF REQUEUE_FED": QUEUED,
    "RH REQUEUE_HOLD": QUEUED,
    "RQ REQUEUED": QUEUED,
    "RS RESIZING": RUNNING,
    "RV REVOKED": JobState.UNKNOWN,
    "SI SIGNALING": RUNNING,
    "SE SPECIAL_EXIT": QUEUED,
    "SO STAGE_OUT": RUNNING,
    "ST STOPPED": SUSPENDED,
    "S SUSPENDED": SUSPENDED,
    "TO TIMEOUT": FAILED,
    # Slurm's page on job states, since 23.02
    "LF LAUNCH_FAILED": FAILED,
    "RC RECONFIG_FAIL": FAILED,
    "PO POWER_UP_NODE": QUEUED,
    "EX EXPEDITING": QUEUED,
}


@pytest.mark.parametrize(("documented", "state"), DOCUMENTED.items())
def test_every_documented_state_is_known_by_code_and_name(documented: str, state: JobState) -> None:
    code, name = documented.split()
    assert STATES.look_up(code).state is state
    assert STATES.look_up(name).state is state


def test_no_state_is_known_that_is_not_documented() -> None:
    assert {f"{state.code} {state.name}" for state in STATES.states} == set(DOCUMENTED)


def test_ends_that_are_nobodys_exit_code_have_a_cause() -> None:
    causes = {state.name: state.cause for state in STATES.states if state.cause is not None}
    assert causes == {
        "BOOT_FAIL": FailureCause.NODE,
        "DEADLINE": FailureCause.WALLTIME,
        "LAUNCH_FAILED": FailureCause.NODE,
        "NODE_FAIL": FailureCause.NODE,
        "OUT_OF_MEMORY": FailureCause.MEMORY,
        "PREEMPTED": FailureCause.PREEMPTED,
        "RECONFIG_FAIL": FailureCause.NODE,
        "TIMEOUT": FailureCause.WALLTIME,
    }


@pytest.mark.parametrize(
    "reason",
    [
        "PartitionConfig",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "MaxMemPerLimit",
        "BadConstraints",
        "DependencyNeverSatisfied",
        "AssocMaxCpuPerJobLimit",
        "QOSMaxWallDurationPerJobLimit",
        "QOSMaxMemoryPerNode",
        "QOSMinCpuNotSatisfied",
        "InvalidAccount",
        "launch failed requeued held",
        "JobHoldMaxRequeue",
    ],
)
def test_reasons_that_do_not_pass_are_known(reason: str) -> None:
    assert IMPOSSIBLE.match(reason)


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "Resources",
        "Priority",
        "Dependency",
        "BeginTime",
        "JobHeldUser",
        "JobHeldAdmin",
        "job requeued in held state",
        "JobArrayTaskLimit",
        "PartitionDown",
        "PartitionInactive",
        "ReqNodeNotAvail, UnavailableNodes:node02",
        "QOSMaxJobsPerUserLimit",
        "QOSMaxCpuPerUserLimit",
        "AssocGrpCpuLimit",
        "AssocMaxJobsLimit",
        "Licenses",
        "Reservation",
    ],
)
def test_reasons_that_pass_are_not_taken_for_others(reason: str) -> None:
    assert not IMPOSSIBLE.match(reason)


def refusals() -> list[str]:
    """What sbatch has complained about, in every recording."""
    return [
        " ".join(step["stderr"].split())
        for path in sorted(RECORDINGS.glob("*.json"))
        for step in steps(path.stem)
        if step["exit_code"] and "sbatch" in step["command"]
    ]


@pytest.mark.parametrize("said", refusals())
def test_every_recorded_complaint_is_told_with_slurms_words(said: str) -> None:
    error = sbatch_error(said)

    assert said in str(error)
    if "Unable to contact" in said:
        assert type(error) is SchedulerUnavailableError
    elif "MaxSubmitJob" in said:
        assert type(error) is SubmissionDeferredError
    else:
        assert type(error) is SubmissionRefusedError


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying",
            SubmissionDeferredError,
        ),
        (
            "Batch job submission failed: Resource temporarily unavailable",
            SubmissionDeferredError,
        ),
        ("AssocGrpSubmitJobsLimit", SubmissionDeferredError),
        (
            "Batch job submission failed: I/O error writing script/environment to file",
            SubmissionDeferredError,
        ),
        (
            "Batch job submission failed: Socket timed out on send/recv operation",
            SubmissionUncertainError,
        ),
        ("Zero Bytes were transmitted or received", SubmissionUncertainError),
        (
            "Batch job submission failed: Protocol authentication error",
            SchedulerUnavailableError,
        ),
        ("QOSMaxWallDurationPerJobLimit", SubmissionRefusedError),
    ],
)
def test_what_may_pass_is_told_from_what_is_for_good(said: str, kind: type[ExecutorError]) -> None:
    assert type(sbatch_error(said)) is kind


def test_a_wrong_partition_says_what_to_type_next() -> None:
    said = "sbatch: error: Batch job submission failed: Invalid partition name specified"
    assert "sinfo --summarize" in str(sbatch_error(said))
