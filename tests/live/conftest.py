"""Real schedulers for tests. They run only where LIVE_TESTS=1 is set, one test at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reflow.executors.contract import Executor
from reflow.model.jobs import JobHandle, JobRequest, JobStatus
from reflow.model.resources import Resources
from reflow_slurm.executor import SlurmExecutor

from tests.live.clusters import Cluster
from tests.live.daemons import install_packages, wait_for
from tests.live.people import Person
from tests.live.slurm_cluster import ACCOUNTING_PACKAGES, PACKAGES, Options, SlurmCluster

pytest.register_assert_rewrite("tests.live.scenes")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.live)
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
            item.add_marker(pytest.mark.timeout(300))
            if os.environ.get("LIVE_TESTS") != "1":
                item.add_marker(pytest.mark.skip(reason="needs LIVE_TESTS=1, and root on Debian"))


@contextmanager
def running(options: Options) -> Iterator[SlurmCluster]:
    """A cluster for as long as it is needed."""
    install_packages([*PACKAGES, *(ACCOUNTING_PACKAGES if options.accounting else ())])
    # Short, as it holds sockets whose paths may have 107 characters.
    directory = Path(tempfile.mkdtemp(prefix="rs-", dir="/tmp"))
    cluster = SlurmCluster(directory, options)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


ACCOUNTING = os.environ.get("LIVE_ACCOUNTING") != "0"
needs_accounting = pytest.mark.skipif(not ACCOUNTING, reason="LIVE_ACCOUNTING is 0")


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmCluster]:
    """A cluster with two nodes and everything else as it comes; LIVE_ACCOUNTING=0 without that."""
    with running(Options(accounting=ACCOUNTING)) as cluster:
        yield cluster


@pytest.fixture
def client(slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """The cluster, with this process as its client; its queue is empty before and after."""
    with client_of(slurm, monkeypatch):
        yield slurm


@contextmanager
def client_of(cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make this process a client of a cluster."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "SBATCH_")):
            monkeypatch.delenv(name)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield
    cluster.end_all_jobs()


@pytest.fixture(scope="module")
def cluster(slurm: SlurmCluster) -> Cluster:
    """Where people are; modules for other schedulers have a fixture of this name, too."""
    return slurm


@pytest.fixture
def newcomer(cluster: Cluster, tmp_path: Path) -> Iterator[Person]:
    """Somebody who has installed the two packages and configured nothing."""
    person = Person(cluster=cluster, folder=tmp_path / "work")
    yield person
    person.ends_all_jobs()


@pytest.fixture
def executor(client: SlurmCluster) -> SlurmExecutor:
    return SlurmExecutor()


MakeJob = Callable[..., JobRequest]


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    """Makes requests whose work is a line of shell; `$0` is the position."""
    numbers = iter(range(1, 1000))

    def make(line: str = "true", **fields: object) -> JobRequest:
        number = next(numbers)
        directory = tmp_path / f"job-{number}"
        directory.mkdir()
        given: dict[str, object] = {
            "token": f"test-{tmp_path.parent.name}-{tmp_path.name[:20]}-{number}".replace(".", "_"),
            "directory": directory,
            "working_directory": tmp_path,
            "resources": Resources(),
            "command": ("/bin/bash", "-c", line),
            **fields,
        }
        if given.get("size") is None:
            given["command"] = (*given["command"], "0")  # type: ignore[misc]
        return JobRequest(**given)  # type: ignore[arg-type]

    return make


def poll(executor: Executor, handle: JobHandle) -> JobStatus:
    """How a plain job stands."""
    (status,) = executor.poll([handle])
    return status


def by_position(executor: Executor, handle: JobHandle) -> dict[int, JobStatus]:
    """How the elements of an array stand."""
    return {
        position: status
        for status in executor.poll([handle])
        for position in status.positions or ()
    }


def until_over(executor: Executor, *handles: JobHandle, seconds: float = 60) -> None:
    """Wait until every position of these jobs has ended."""
    wait_for(
        "the end of the jobs",
        lambda: all(status.state.over for status in executor.poll(handles)),
        seconds,
    )


def log_of(handle: JobHandle) -> str:
    """What a job has printed so far."""
    assert handle.directory is not None
    log = handle.directory / "scheduler.log"
    return log.read_text() if log.exists() else ""
