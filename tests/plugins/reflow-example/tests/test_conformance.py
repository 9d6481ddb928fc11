"""The executor for Harbour, through the kit for executors."""

from __future__ import annotations

import re
from datetime import timedelta

from reflow.plugin_api import (
    JobState,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.testing.executors import ExecutorConformance
from reflow_example.executor import FULL, NO_ANSWER, HarbourExecutor


# [start:pure]
class TestHarbour(ExecutorConformance):
    executor_class = HarbourExecutor
    documented_states = {
        "WAITING": JobState.QUEUED,
        "HELD": JobState.QUEUED,
        "SAILING": JobState.RUNNING,
        "PAUSED": JobState.SUSPENDED,
        "ARRIVED": JobState.COMPLETED,
        "FOUNDERED": JobState.FAILED,
        "LATE": JobState.FAILED,
        "OVERLOADED": JobState.FAILED,
        "DRIFTED": JobState.FAILED,
        "RECALLED": JobState.CANCELLED,
    }
    submission_answers = {"job 24 waits\n": "24"}
    complaints = {
        (2, "hsub: there is no pier 'west'"): SubmissionRefusedError,
        (FULL, "hsub: the harbour takes 9 jobs; try again later"): SubmissionDeferredError,
        (NO_ANSWER, "hsub: the harbour master does not answer"): SubmissionUncertainError,
    }

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"^#HARBOUR --seconds=(\d+)$", submission, re.MULTILINE)
        return timedelta(seconds=int(found[1])) if found else None

    def asked_memory(self, submission: str) -> int | None:
        found = re.search(r"^#HARBOUR --memory=(\d+)$", submission, re.MULTILINE)
        return int(found[1]) * 2**20 if found else None

    # [end:pure]
    # [start:running]
    fake = "harbour_fake:HarbourEmulator"
    submit_command = "hsub"
    query_commands = ("hjobs",)
    live = False  # no cluster has Harbour


# [end:running]
