"""The executor for Grid Engine, through the kit that authors of executors are given."""

from __future__ import annotations

import re
from datetime import timedelta

from reflow.errors import (
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
)
from reflow.model.resources import parse_memory
from reflow.model.states import FailureCause, JobState
from reflow.testing.executors import ExecutorConformance
from reflow_sge.executor import SGEExecutor

_WORDS = {
    # "Job state" of sge_status(5)
    JobState.QUEUED: "qw Rq hqw hRwq",
    JobState.RUNNING: "r hr t Rr Rt dr dt dRr dRt",
    JobState.SUSPENDED: "s ts S tS T tT Rs Rts RS RtS RT RtT ds dS dT dRs dRS dRT",
    JobState.FAILED: "Eqw Ehqw EhRqw",
    JobState.UNKNOWN: "z",
}


class TestGridEngine(ExecutorConformance):
    executor_class = SGEExecutor
    documented_states = {word: state for state, words in _WORDS.items() for word in words.split()}
    submission_answers = {"24\n": "24", "25.1-9:1\n": "25"}
    complaints = {
        (1, 'Unable to run job: unknown queue "nosuch".\nExiting.'): SubmissionRefusedError,
        (25, "Unable to run job: job rejected: only 2 jobs are allowed per user"): (
            SubmissionDeferredError
        ),
        (1, "error: commlib error: got select error (Connection refused)"): (
            SchedulerUnavailableError
        ),
    }
    fake = "tests.fakes.sge:SgeEmulator"
    # As on a real cell, accounting tells of a job some time after the queue has let go of it.
    fake_settings = {"cpus_per_node": 16, "flush_time": 1}
    submit_command = "qsub"
    query_commands = ("qstat",)
    telling_commands = ("qconf",)
    # qdel kills at once; what `-notify` adds comes from the option of that name.
    warns_before_kill = False
    whole_node_settings = {"exclusive_resource": "exclusive"}
    # h_vmem limits address space: a task over it sees its own allocation fail.
    memory_may_look_like = (FailureCause.SIGNAL,)

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"^#\$ -l h_rt=(\d+)$", submission, re.MULTILINE)
        return timedelta(seconds=int(found[1])) if found else None

    def asked_memory(self, submission: str) -> int | None:
        slots = re.search(r"^#\$ -pe \S+ (\d+)$", submission, re.MULTILINE)
        found = re.search(r"^#\$ -l h_vmem=(\S+)$", submission, re.MULTILINE)
        # It counts for each slot.
        return parse_memory(found[1]) * int(slots[1] if slots else 1) if found else None
