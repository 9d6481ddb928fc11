"""An executor of a third party's whose scheduler has no begin times, through the kit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from reflow.plugin_api import Capabilities, Command, JobHandle, JobRequest
from reflow.testing.executors import RunningConformance
from reflow_slurm.executor import SlurmExecutor


class PlainExecutor(SlurmExecutor):
    capabilities: ClassVar[Capabilities] = replace(SlurmExecutor.capabilities, begin_time=False)

    def submit_command(self, script: Path, request: JobRequest, after: JobHandle | None) -> Command:
        assert request.begin_in is None
        return super().submit_command(script, request, after)


class TestWithoutBeginTimes(RunningConformance):
    executor_class = PlainExecutor
    fake = "tests.fakes.slurm:SlurmEmulator"
    submit_command = "sbatch"
    query_commands = ("squeue",)
