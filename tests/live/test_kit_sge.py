"""SGEExecutor on a real cell, through the kit that authors of executors are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from reflow.testing.executors import LiveSite, RunningConformance, Site, WorkflowConformance
from reflow_sge.executor import SGEExecutor

from tests.live.sge_cluster import Options, SGECluster, running


@pytest.fixture(scope="module")
def cell() -> Iterator[SGECluster]:
    with running(Options(slots=16)) as cell:
        yield cell


class CellSite(LiveSite):
    """A cell that the tests may harm."""

    def __init__(self, cell: SGECluster, folder: Path) -> None:
        super().__init__(folder, "qsub", ("qstat",))
        self._cell = cell

    @property
    def variables(self) -> Mapping[str, str]:
        return {**super().variables, **self._cell.environment}

    def renew(self) -> None:
        self._cell.end_all_jobs()

    def mend(self) -> None:
        super().mend()
        self.come_up()

    def go_down(self) -> None:
        self._cell.daemons.kill("qmaster")

    def come_up(self) -> None:
        self._cell.start_qmaster()


class TestGridEngine(RunningConformance, WorkflowConformance):
    executor_class = SGEExecutor
    submit_command = "qsub"
    query_commands = ("qstat",)
    # It starts no more in a second than it has slots, and one host has not many.
    many_elements = 200
    # qdel kills at once; what `-notify` adds comes from the option of that name.
    warns_before_kill = False

    @classmethod
    def wants_live(cls, config: pytest.Config) -> bool:
        return True

    @classmethod
    def live_site(cls, request: pytest.FixtureRequest, folder: Path) -> Site:
        return CellSite(request.getfixturevalue("cell"), folder)
