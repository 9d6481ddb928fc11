"""The executor for LSF, through the kit that authors of executors are given."""

from __future__ import annotations

import re
from datetime import timedelta

from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.model.states import FailureCause, JobState
from reflow.testing.executors import ExecutorConformance
from reflow_lsf.executor import LSFExecutor


class TestLsf(ExecutorConformance):
    executor_class = LSFExecutor
    documented_states = {
        # "stat" of bjobs(1)
        **dict.fromkeys(("PEND", "PROV", "WAIT", "PSUSP"), JobState.QUEUED),
        "RUN": JobState.RUNNING,
        **dict.fromkeys(("USUSP", "SSUSP"), JobState.SUSPENDED),
        "DONE": JobState.COMPLETED,
        **dict.fromkeys(("EXIT", "ZOMBI"), JobState.FAILED),
        "UNKWN": JobState.UNKNOWN,
    }
    submission_answers = {
        "Job <24> is submitted to queue <normal>.\n": "24",
        "Job <25> is submitted to default queue <normal>.\n": "25",
    }
    complaints = {
        (255, "nosuch: No such queue. Job not submitted."): SubmissionRefusedError,
        (255, "normal: Queue has been closed. Job not submitted."): SubmissionDeferredError,
        (255, "LSF daemon not responding. Job not submitted."): SchedulerUnavailableError,
        (255, "Failed in sending/receiving a message. Job not submitted."): (
            SubmissionUncertainError
        ),
    }
    walltime_unit = timedelta(minutes=1)
    memory_unit = 1024
    fake = "tests.fakes.lsf:LsfEmulator"
    fake_settings = {"cpus_per_node": 16}
    submit_command = "bsub"
    query_commands = ("bjobs",)
    # What the fake is made after, OpenLava, limits none: the kernel kills.
    memory_may_look_like = (FailureCause.SIGNAL,)

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"^#BSUB -W (\d+):(\d\d)$", submission, re.MULTILINE)
        return timedelta(hours=int(found[1]), minutes=int(found[2])) if found else None

    def asked_memory(self, submission: str) -> int | None:
        found = re.search(r"^#BSUB -M (\d+)$", submission, re.MULTILINE)
        return int(found[1]) * 1024 if found else None
