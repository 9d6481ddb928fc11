"""SlurmExecutor on clusters that are set up in other ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from reflow.errors import SchedulerUnavailableError
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow_slurm.executor import SlurmExecutor

from tests.live.conftest import MakeJob, by_position, client_of, poll, running, until_over
from tests.live.daemons import wait_for
from tests.live.slurm_cluster import Options, SlurmCluster, cgroup_is_possible

MIB = 1024**2


@pytest.fixture(scope="module")
def forgetful() -> Iterator[SlurmCluster]:
    """A cluster with accounting that forgets finished jobs after some seconds."""
    with running(Options(nodes=1, min_job_age=2, max_array=101)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def bare() -> Iterator[SlurmCluster]:
    """A cluster without accounting that forgets finished jobs after some seconds."""
    with running(Options(nodes=1, min_job_age=2, accounting=False)) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def confined() -> Iterator[SlurmCluster]:
    """A cluster whose jobs are confined by the kernel."""
    if not cgroup_is_possible():
        pytest.skip("needs the memory controller of cgroup v1")
    with running(Options(nodes=1, cgroup=True, accounting=False)) as cluster:
        yield cluster


def until_forgotten(cluster: SlurmCluster, native_id: str) -> None:
    """Wait until slurmctld does not know a job any more."""
    ask = ("squeue", "--noheader", "--states=all", f"--jobs={native_id}")
    wait_for("forgetting", lambda: not cluster.run(*ask, check=False).strip(), 90)


def test_accounting_tells_how_forgotten_jobs_ended(
    forgetful: SlurmCluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(forgetful, monkeypatch):
        executor = SlurmExecutor()
        array = executor.submit(job("codes=(0 3 130); exit ${codes[$0]}", size=3)).job
        killed = executor.submit(job("kill -9 $$")).job
        until_over(executor, array, killed)
        until_forgotten(forgetful, array.native_id)
        until_forgotten(forgetful, killed.native_id)

        until_over(executor, array, killed)

        said = by_position(executor, array)
        assert said[0].state is JobState.COMPLETED
        assert said[1].cause is FailureCause.EXIT_CODE
        assert "exit code 3 or 131" in said[1].reason
        assert "exit code 2 or 130" in said[2].reason
        assert poll(executor, killed).signal == 9


def test_a_forgotten_job_cannot_be_judged_while_accounting_is_away(
    forgetful: SlurmCluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(forgetful, monkeypatch):
        executor = SlurmExecutor()
        handle = executor.submit(job("exit 3")).job
        until_over(executor, handle)
        until_forgotten(forgetful, handle.native_id)
        forgetful.daemons.stop("slurmdbd")
        try:
            with pytest.raises(SchedulerUnavailableError):
                poll(executor, handle)
        finally:
            forgetful.start_accounting()
        until_over(executor, handle)
        assert poll(executor, handle).cause is FailureCause.EXIT_CODE


def test_a_small_largest_array_is_found_out(
    forgetful: SlurmCluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(forgetful, monkeypatch):
        executor = SlurmExecutor()
        largest = executor.limits().max_array_size
        assert largest == 101

        handle = executor.submit(job("true", size=largest)).job

        until_over(executor, handle)


def test_without_accounting_the_queue_tells_what_it_remembers(
    bare: SlurmCluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(bare, monkeypatch):
        executor = SlurmExecutor()
        request = job("exit $0", size=2)
        handle = executor.submit(request).job
        until_over(executor, handle)
        assert by_position(executor, handle)[1].exit_code == 1

        until_forgotten(bare, handle.native_id)

        states = {status.state for status in by_position(executor, handle).values()}
        assert states == {JobState.UNKNOWN}
        assert executor.find(request.token) == []
        assert executor.limits().max_array_size == 10001


def test_running_out_of_memory_is_told_where_the_kernel_confines(
    confined: SlurmCluster, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client_of(confined, monkeypatch):
        executor = SlurmExecutor()
        line = 'exec python3 -c "x = bytearray($0 * 300 * 1024**2)"'
        handle = executor.submit(job(line, size=2, resources=Resources(mem=100 * MIB))).job

        until_over(executor, handle)

        said = by_position(executor, handle)
        assert said[0].state is JobState.COMPLETED
        assert said[1].cause is FailureCause.MEMORY
