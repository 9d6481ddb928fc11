"""SlurmExecutor on a real cluster, through the kit that authors of executors are given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from reflow.testing.executors import LiveSite, RunningConformance, Site, WorkflowConformance
from reflow_slurm.executor import SlurmExecutor

from tests.live.slurm_cluster import SlurmCluster


class ClusterSite(LiveSite):
    """A cluster that the tests may harm."""

    def __init__(self, cluster: SlurmCluster, folder: Path) -> None:
        super().__init__(folder, "sbatch", ("squeue",))
        self._cluster = cluster

    @property
    def variables(self) -> Mapping[str, str]:
        return {**super().variables, **self._cluster.environment}

    def renew(self) -> None:
        self._cluster.end_all_jobs()

    def mend(self) -> None:
        super().mend()
        self.come_up()

    def go_down(self) -> None:
        self._cluster.daemons.stop("slurmctld")

    def come_up(self) -> None:
        self._cluster.start_controller()


class TestSlurm(RunningConformance, WorkflowConformance):
    executor_class = SlurmExecutor
    submit_command = "sbatch"
    query_commands = ("squeue",)

    @classmethod
    def wants_live(cls, config: pytest.Config) -> bool:
        return True

    @classmethod
    def live_site(cls, request: pytest.FixtureRequest, folder: Path) -> Site:
        return ClusterSite(request.getfixturevalue("slurm"), folder)
