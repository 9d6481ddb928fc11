"""The executor for Flux, through the kit that authors of executors are given."""

from __future__ import annotations

import re
from datetime import timedelta

from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
)
from reflow.model.states import JobState
from reflow.testing.executors import ExecutorConformance
from reflow_flux.executor import FluxExecutor

_WORDS = {
    # "JOB STATUS" of flux-jobs(1)
    JobState.QUEUED: "NEW DEPEND PRIORITY SCHED N D P S",
    JobState.RUNNING: "RUN CLEANUP R C",
    JobState.COMPLETED: "COMPLETED CD",
    JobState.FAILED: "FAILED TIMEOUT F TO",
    JobState.CANCELLED: "CANCELED CA",
}


class TestFlux(ExecutorConformance):
    executor_class = FluxExecutor
    documented_states = {word: state for state, words in _WORDS.items() for word in words.split()}
    submission_answers = {"f2CdTGeK\n": "f2CdTGeK", "f2CdTGeM\nf2CdTGeN\n": "f2CdTGeN"}
    complaints = {
        (1, "flux-submit: ERROR: [Errno 22] Queue 'nosuch' is not configured"): (
            SubmissionRefusedError
        ),
        (1, "flux-submit: ERROR: [Errno 22] job submission to batch is disabled: maintenance"): (
            SubmissionDeferredError
        ),
        (1, "flux-submit: ERROR: Unable to connect to Flux: Connection refused"): (
            SchedulerUnavailableError
        ),
    }
    fake = "tests.fakes.flux:FluxEmulator"
    fake_settings = {"cpus_per_node": 16}
    submit_command = "flux submit"
    query_commands = ("flux jobs",)
    # Each element is a job, and 500 ids go on one command line.
    more_commands = 2
    # They are processes of the instance's own.
    jobs_survive_outages = False

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"--time-limit=(\d+)s", submission.splitlines()[0])
        return timedelta(seconds=int(found[1])) if found else None

    def asked_memory(self, submission: str) -> int | None:
        return None
