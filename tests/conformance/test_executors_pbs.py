"""The executor for PBS on OpenPBS, through the kit that authors of executors are given."""

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
from reflow_pbs.executor import PBSExecutor

STATES = {
    # "Job States" of qstat(1B)
    **dict.fromkeys("BER", JobState.RUNNING),
    **dict.fromkeys("HQTW", JobState.QUEUED),
    **dict.fromkeys("SU", JobState.SUSPENDED),
    **dict.fromkeys("FX", JobState.COMPLETED),
    "M": JobState.UNKNOWN,
}
COMPLAINTS = {
    (170 % 256, "qsub: Unknown queue"): SubmissionRefusedError,
    (38, "qsub: would exceed complex's per-user limit of jobs in 'Q' state"): (
        SubmissionDeferredError
    ),
    (111, "qsub: cannot connect to server pbs (errno=111)"): SchedulerUnavailableError,
    (1, "qsub: End of File"): SubmissionUncertainError,
}


class TestPbs(ExecutorConformance):
    executor_class = PBSExecutor
    documented_states = STATES
    submission_answers = {
        "24.pbs\n": "24.pbs",
        "25[].pbs-1.example.org\n": "25[].pbs-1.example.org",
    }
    complaints = COMPLAINTS
    fake = "tests.fakes.pbs:PbsEmulator"
    fake_settings = {"cpus_per_node": 16}
    submit_command = "qsub"
    query_commands = ("qstat",)
    telling_commands = ("pbsnodes",)
    # The shell above the script dies of it at once, and with it the job.
    warns_before_kill = False

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"^#PBS -l walltime=(\S+)$", submission, re.MULTILINE)
        return parse_time(found[1]) if found else None

    def asked_memory(self, submission: str) -> int | None:
        found = re.search(r"^#PBS -l '?select=1:ncpus=\d+:mem=(\w+)'?$", submission, re.MULTILINE)
        return parse_memory(found[1]) if found else None
