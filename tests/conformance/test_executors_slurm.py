"""The executor for Slurm, through the kit that authors of executors are given."""

from __future__ import annotations

import re
from datetime import timedelta

from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.resources import parse_memory, parse_time
from reflow.model.states import JobState
from reflow.testing.executors import ExecutorConformance
from reflow_slurm.executor import SlurmExecutor

_WORDS = {
    # "JOB STATE CODES" of squeue(1) and sacct(1)
    JobState.QUEUED: "CONFIGURING PENDING RESV_DEL_HOLD REQUEUE_FED REQUEUE_HOLD REQUEUED "
    "SPECIAL_EXIT POWER_UP_NODE EXPEDITING PD CF RD RF RH RQ SE",
    JobState.RUNNING: "COMPLETING RUNNING RESIZING SIGNALING STAGE_OUT R CG SI SO RS",
    JobState.SUSPENDED: "STOPPED SUSPENDED ST S",
    JobState.COMPLETED: "COMPLETED CD",
    JobState.CANCELLED: "CANCELLED CA",
    JobState.FAILED: "BOOT_FAIL DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED TIMEOUT "
    "LAUNCH_FAILED RECONFIG_FAIL BF DL F NF OOM PR TO",
    JobState.UNKNOWN: "REVOKED RV",
}


class TestSlurm(ExecutorConformance):
    executor_class = SlurmExecutor
    documented_states = {word: state for state, words in _WORDS.items() for word in words.split()}
    submission_answers = {"24\n": "24", "25;lab\n": "25"}
    complaints = {
        (1, "sbatch: error: invalid partition specified: nosuch"): SubmissionRefusedError,
        (1, "sbatch: error: QOSMaxSubmitJobPerUserLimit"): SubmissionDeferredError,
        (1, "sbatch: error: Batch job submission failed: Unable to contact slurm controller"): (
            SchedulerUnavailableError
        ),
        (1, "sbatch: error: Socket timed out on send/recv operation"): SubmissionUncertainError,
    }
    fake = "tests.fakes.slurm:SlurmEmulator"
    submit_command = "sbatch"
    query_commands = ("squeue",)

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"^#SBATCH --time=(\S+)$", submission, re.MULTILINE)
        return parse_time(found[1]) if found else None

    def asked_memory(self, submission: str) -> int | None:
        found = re.search(r"^#SBATCH --mem=(\S+)$", submission, re.MULTILINE)
        return parse_memory(found[1]) if found else None
