"""Supervisors that were stopped: by a person, a debugger, or a file system that hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflow.executors.local import LocalExecutor
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import read_settings
from reflow.stores import sqlite

from tests.e2e.support import FlowFile, failed, processes_of, until
from tests.faults.test_leases import SLOW, everything, supervisor_of

Flows = Callable[..., FlowFile]


class Frozen:
    """A run in the background whose supervisor was stopped once two of its elements had begun."""

    def __init__(self, flow: FlowFile) -> None:
        self.flow = flow
        self.run = flow.load().submit(executor=LocalExecutor(slots=2))
        until(lambda: sum(flow.calls[f"begun-{x}"] for x in range(4)) >= 2)
        self.supervisor = supervisor_of(self.run)
        until(self._stop_between_transactions)

    def _stop_between_transactions(self) -> bool:
        os.kill(self.supervisor, signal.SIGSTOP)
        until(lambda: "T (stopped)" in Path(f"/proc/{self.supervisor}/status").read_text())
        try:
            with locked(manifest_of(self.run)):
                return True
        except sqlite3.OperationalError:
            os.kill(self.supervisor, signal.SIGCONT)
            return False

    def wake(self) -> None:
        """Let the supervisor go on, and wait until it has ended."""
        os.kill(self.supervisor, signal.SIGCONT)
        # It is a child of this process, which does not wait for it in time.
        until(lambda: not _lives(self.supervisor))

    @property
    def notes(self) -> str:
        return "; ".join(self.run.status(as_dict=True)["notes"])

    @property
    def log(self) -> str:
        (path,) = self.run.run_dir.glob(".reflow/*/dispatch.log")
        return str(path.read_text())


def manifest_of(run: Any) -> str:
    return str(run.store.url.partition("://")[2])


@contextlib.contextmanager
def locked(manifest: str) -> Iterator[None]:
    """Keep others from writing to an SQLite manifest."""
    with contextlib.closing(sqlite3.connect(manifest, timeout=0.2)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def _lives(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text[text.rindex(")") + 2] not in "ZX"


@pytest.fixture
def frozen(flow_file: Flows, monkeypatch: pytest.MonkeyPatch) -> Iterator[Frozen]:
    monkeypatch.setenv("REFLOW_DISPATCH_LEASE_SECONDS", "2")
    made = Frozen(flow_file(SLOW))
    yield made
    if _lives(made.supervisor):
        os.kill(made.supervisor, signal.SIGKILL)


def test_a_supervisor_that_was_stopped_in_a_transaction_is_named_beside_the_lock(
    frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE", 0.2)
    frozen.run.store.close()
    with locked(manifest_of(frozen.run)):
        until(lambda: "cannot be taken over" in frozen.notes)
        assert f"kill -CONT {frozen.supervisor}" in frozen.notes
        assert "locked by another process" in frozen.notes


def last_wave(layout: RunLayout) -> int:
    return max(int(folder.name) for folder in layout.waves.iterdir())


def take_over(frozen: Frozen) -> None:
    """Look until another supervisor is at work."""
    until(lambda: "taken over" in frozen.notes)
    until(lambda: frozen.run.store.lease(frozen.run.run_id).owner is not None)


def test_status_says_that_the_supervisor_is_stopped_and_what_to_do(frozen: Frozen) -> None:
    assert f"process {frozen.supervisor}, which is stopped" in frozen.notes
    assert f"kill -CONT {frozen.supervisor}" in frozen.notes


def test_a_look_after_the_leases_time_takes_the_run_over_and_the_frozen_one_writes_nothing(
    frozen: Frozen,
) -> None:
    take_over(frozen)
    (frozen.flow.folder / "go").touch()
    assert frozen.run.wait(timeout=60) == "SUCCESS", failed(frozen.run)
    known = everything(frozen.run)
    results = sorted(frozen.run.run_dir.glob(".reflow/*/waves/*/results/*/*"))

    frozen.wake()

    until(lambda: not processes_of(frozen.flow.folder))
    assert everything(frozen.run) == known
    assert sorted(frozen.run.run_dir.glob(".reflow/*/waves/*/results/*/*")) == results
    assert f"pid {frozen.supervisor}: another supervisor has taken over" in frozen.log
    assert all(number == 1 for number in frozen.flow.calls.values()), frozen.flow.calls


def test_what_the_frozen_one_had_queued_begins_only_for_its_successor(frozen: Frozen) -> None:
    settings = read_settings(frozen.run.run_dir, frozen.run.run_id)
    wave = last_wave(settings.layout)
    take_over(frozen)
    until(lambda: last_wave(settings.layout) > wave)
    # It may wake up right where it starts workers, before it learns that it was replaced.
    for position in range(4):
        command = [
            "-m",
            "reflow.execution.job_worker",
            *map(str, (settings.run_dir, settings.run_id, wave, position)),
        ]
        worker = subprocess.run([sys.executable, "-P", *command], timeout=20, check=False)
        assert worker.returncode == 0
    frozen.wake()
    (frozen.flow.folder / "go").touch()
    assert frozen.run.wait(timeout=60) == "SUCCESS", failed(frozen.run)
    assert all(number == 1 for number in frozen.flow.calls.values()), frozen.flow.calls


def test_cancel_is_carried_out_though_the_supervisor_is_frozen(frozen: Frozen) -> None:
    assert frozen.run.cancel() == 4
    assert frozen.run.state == "CANCELLED"
    frozen.wake()
    assert not any(frozen.flow.calls[f"done-{x}"] for x in range(4))
    assert frozen.run.state == "CANCELLED"


def test_retry_is_carried_out_though_the_supervisor_is_frozen(frozen: Frozen) -> None:
    (frozen.flow.folder / "go").touch()
    frozen.run.cancel(task="each")
    frozen.run.retry()
    assert frozen.run.wait(timeout=60) == "SUCCESS", failed(frozen.run)
    assert frozen.run.result("each") == [0, 1, 2, 3]


def test_a_run_in_the_foreground_that_was_suspended_is_named_and_never_taken_over(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_LEASE_SECONDS", "0.2")
    flow = flow_file(SLOW)
    command = [sys.executable, "-c", "import flow; flow.wf.run_local(max_workers=2)"]
    process = subprocess.Popen(command, cwd=flow.folder)
    until(lambda: flow.calls["begun-0"])
    workflow = flow.load()
    run = workflow.open_run(workflow.store.list_runs()[0].run_id)
    process.send_signal(signal.SIGSTOP)
    noted = f"it runs in process {process.pid}, which is stopped: `kill -CONT {process.pid}`"
    until(lambda: any(noted in note for note in run.status(as_dict=True)["notes"]))
    silent = time.monotonic() + 1
    while time.monotonic() < silent:
        run.status(as_dict=True)
    assert run.state == "RUNNING"
    process.send_signal(signal.SIGCONT)
    (flow.folder / "go").touch()
    assert process.wait(timeout=60) == 0
    assert run.state == "SUCCESS"


def test_a_supervisor_that_is_at_work_is_not_replaced(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_LEASE_SECONDS", "3")
    flow = flow_file(SLOW)
    run: Any = flow.load().submit(executor="local")
    until(lambda: flow.calls["begun-0"])
    first, end = supervisor_of(run), time.monotonic() + 4
    until(lambda: run.status(as_dict=True)["notes"] or time.monotonic() > end)
    assert supervisor_of(run) == first
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
