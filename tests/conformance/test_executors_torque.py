"""The executor for PBS on Torque, through the kit that authors of executors are given."""

from __future__ import annotations

import re
from datetime import timedelta

from reflow.model.resources import parse_memory, parse_time
from reflow.testing.executors import ExecutorConformance
from reflow_pbs.executor import PBSExecutor

from tests.conformance.test_executors_pbs import COMPLAINTS, STATES


class TestTorque(ExecutorConformance):
    executor_class = PBSExecutor
    settings = {"variant": "torque"}
    documented_states = STATES
    submission_answers = {"24.torque\n": "24.torque", "25[].torque\n": "25[].torque"}
    complaints = COMPLAINTS
    fake = "torque"
    fake_settings = {"cpus_per_node": 16}
    submit_command = "qsub"
    query_commands = ("qstat",)
    telling_commands = ("pbsnodes",)
    # As with PBS Pro.
    warns_before_kill = False
    # reflow's watchdog goes on with the run.
    follow_up_survives_oblivion = False
    follow_up_survives_deletion = False

    def asked_time(self, submission: str) -> timedelta | None:
        found = re.search(r"^#PBS -l walltime=(\S+)$", submission, re.MULTILINE)
        return parse_time(found[1]) if found else None

    def asked_memory(self, submission: str) -> int | None:
        found = re.search(r"^#PBS -l mem=(\w+)$", submission, re.MULTILINE)
        return parse_memory(found[1]) if found else None
