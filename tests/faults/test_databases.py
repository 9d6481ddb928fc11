"""Manifest databases that go away under a run: it waits for them, and goes on by itself."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from reflow.executors.local import LocalExecutor
from reflow.rundir.layout import RunLayout
from reflow.runs import dispatch_job, failure_policy

from tests.e2e.support import FlowFile, processes_of, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor
from tests.services.postgres import postgres_server, programs_or_skip

Flows = Callable[..., FlowFile]

FLOW = """
    wf = Workflow("away")

    @wf.job()
    def items() -> list[int]:
        did("items")
        wait_for("{here}/go-items")
        return [1, 2, 3]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"each-{x}")
        wait_for("{here}/go-each")
        return x * 10

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="each")]) -> int:
        did("total")
        return sum(xs)

    if __name__ == "__main__":
        wf.run_local(max_workers=int(sys.argv[1]))
"""
ONCE = {"items": 1, "each-1": 1, "each-2": 1, "each-3": 1, "total": 1}


class Sqlite:
    """A file that another process can keep locked; nobody waits long for it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "manifest.db"
        monkeypatch.setenv("REFLOW_STORE", str(self.path))
        # Python runs this at its start, in supervisors too.
        (folder / "sitecustomize.py").write_text(
            "import reflow.stores.sqlite\nreflow.stores.sqlite.PATIENCE = 0.2\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(folder))

    @contextmanager
    def away(self) -> Iterator[None]:
        """Lock the file."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")


class Postgres:
    """A server that can be stopped."""

    def __init__(self, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        monkeypatch.setenv("REFLOW_STORE", server.url)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server, and start it again."""
        self._server.stop()
        yield
        self._server.start()


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """A PostgreSQL server of the test's own."""
    with postgres_server(programs_or_skip()) as running:
        yield Postgres(running, monkeypatch)


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A manifest database that goes away at will."""
    if request.param == "postgres":
        return request.getfixturevalue("server")
    return Sqlite(tmp_path, monkeypatch)


@contextmanager
def begun(flow: FlowFile, way: str) -> Iterator[Any]:
    """A run that was started one way, with two workers at most."""
    if way == "background":
        yield flow.load().submit(executor=LocalExecutor(slots=2))
        return
    process = start(flow, 1 if way == "inline" else 2)
    try:
        workflow = flow.load()
        until(lambda: flow.calls)
        yield workflow.open_run(workflow.store.list_runs()[0].run_id)
        assert process.wait(timeout=30) == 0, (flow.folder / "said").read_text()
    finally:
        process.kill()
        process.wait()


def start(flow: FlowFile, workers: int) -> subprocess.Popen[bytes]:
    """Run a flow in a process of its own."""
    with (flow.folder / "said").open("w") as said:
        command = [sys.executable, str(flow.path), str(workers)]
        return subprocess.Popen(command, cwd=flow.folder, stderr=said)


def word_of(run: Any) -> Path:
    return RunLayout(run.run_dir, run.run_id).dispatch_trouble


def go_on(flow: FlowFile, *tasks: str) -> None:
    for task in tasks:
        (flow.folder / f"go-{task}").touch()


@pytest.mark.parametrize("way", ["background", "inline", "pool"])
def test_a_run_waits_for_its_database_and_each_element_runs_once(
    flow_file: Flows, database: Any, way: str
) -> None:
    flow = flow_file(FLOW)
    go_on(flow, "items")
    with begun(flow, way) as run:
        # Others of the array run, or wait for a worker.
        until(lambda: flow.calls["each-1"])
        with database.away():
            go_on(flow, "each")
            until(word_of(run).exists)
            said = word_of(run).read_text()
            assert "waits for the database: The manifest" in said
            assert said.endswith("It is tried again")
        until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", run.status(as_dict=True)
    assert run.result("total") == 60
    assert flow.calls == ONCE
    assert not word_of(run).exists()
    assert {item.attempt for item in run.store.instances(run.run_id)} == {1}


@pytest.mark.parametrize("way", ["background", "pool"])
def test_what_runs_and_what_waits_for_a_worker_stays_so_through_an_outage(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    flow, database = flow_file(FLOW), Sqlite(tmp_path, monkeypatch)
    go_on(flow, "items")
    with begun(flow, way) as run:
        until(lambda: sum(flow.calls.values()) == 3)
        with database.away():
            until(word_of(run).exists)
        until(lambda: not word_of(run).exists())
        assert sum(flow.calls.values()) == 3
        go_on(flow, "each")
        until(lambda: run.state != "RUNNING")
    assert flow.calls == ONCE
    assert {item.attempt for item in run.store.instances(run.run_id)} == {1}


def test_status_says_that_a_supervisor_waits_for_the_database(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow, database = flow_file(FLOW), Sqlite(tmp_path, monkeypatch)
    with begun(flow, "background") as run:
        until(lambda: flow.calls["items"])
        with database.away():
            go_on(flow, "items", "each")
            until(word_of(run).exists)
            # Who only reads a locked file is not kept waiting.
            notes = run.status(as_dict=True)["notes"]
            assert "its supervisor waits for the database" in " ".join(notes)
        until(lambda: run.state == "SUCCESS")


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_a_run_that_waits_for_its_database(
    flow_file: Flows, server: Postgres, workers: int
) -> None:
    flow = flow_file(FLOW)
    process = start(flow, workers)
    until(lambda: flow.calls["items"])
    workflow = flow.load()
    run = workflow.open_run(workflow.store.list_runs()[0].run_id)
    with server.away():
        go_on(flow, "items")
        until(word_of(run).exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) != 0
        assert "KeyboardInterrupt" in (flow.folder / "said").read_text()
        assert processes_of(flow.folder) == []
    assert run.state == "FAILED"
    go_on(flow, "each")
    run.retry()
    assert run.result("total") == 60


def test_a_supervisor_that_waits_for_the_database_ends_when_told(
    flow_file: Flows, server: Postgres
) -> None:
    flow = flow_file(FLOW)
    with begun(flow, "background") as run:
        until(lambda: flow.calls["items"])
        owner = run.store.lease(run.run_id).owner["pid"]
        with server.away():
            until(word_of(run).exists)
            os.kill(owner, signal.SIGTERM)
            until(lambda: not Path(f"/proc/{owner}").exists())
        go_on(flow, "items", "each")
        run.wait(timeout=60)
    assert run.state == "SUCCESS"
    assert flow.calls == ONCE


def test_dispatch_jobs_wait_for_the_database_and_nobody_needs_to_look(
    flow_file: Flows, server: Postgres, scheduler: Folder
) -> None:
    flow = flow_file(FLOW)
    run = flow.load().submit(executor=ScriptedExecutor(folder=str(scheduler.path)))
    until(lambda: flow.calls["items"])
    with server.away():
        go_on(flow, "items", "each")
        until(word_of(run).exists)
        assert "a dispatch job on" in word_of(run).read_text()
    until(lambda: run.store.run(run.run_id).state != "RUNNING")
    assert run.result("total") == 60
    assert flow.calls == ONCE


def test_a_dispatch_job_leaves_a_longer_outage_to_the_next_watchdog(
    flow_file: Flows,
    server: Postgres,
    scheduler: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = Folder(tmp_path / "idle").make()
    run = flow_file(FLOW).load().submit(executor=ScriptedExecutor(folder=str(idle.path)))
    monkeypatch.setattr(failure_policy, "LONGEST_OUTAGE_IN_A_JOB", 0.1)
    # What belongs to the whole process stays as it is.
    monkeypatch.setattr(dispatch_job, "open_file", lambda *given: io.StringIO())
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    with server.away():
        # Its script submits a watchdog again where it fails.
        assert dispatch_job.main([str(run.run_dir), run.run_id]) == 1
        assert "The run's next watchdog tries again" in word_of(run).read_text()
    # The lease that it could not release is no hindrance.
    assert dispatch_job.main([str(run.run_dir), run.run_id]) == 0
    assert not word_of(run).exists()
