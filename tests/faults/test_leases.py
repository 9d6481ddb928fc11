"""Several that want to dispatch one run, and those that hold it and do nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from reflow.dispatch.lease import take, take_from
from reflow.errors import LeaseLostError
from reflow.model.jobs import JobRequest, Limits
from reflow.model.records import RunRecord
from reflow.rundir.run_settings import read_settings
from reflow.runs.driver import Command, drive
from reflow.runs.open_dispatcher import open_dispatcher

from tests.e2e.support import FlowFile, failed, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor, Trouble
from tests.faults.test_batch import FLOW, ONCE

Flows = Callable[..., FlowFile]


def dispatch(scheduler: Folder, run: Any, token: str) -> None:
    """Have the scheduler run a dispatch job that nobody has written down."""
    directory = scheduler.path / token
    directory.mkdir()
    ScriptedExecutor(folder=str(scheduler.path)).submit(
        JobRequest(
            token=token,
            command=(
                sys.executable, "-P", "-m", "reflow.runs.dispatch_job",
                str(run.run_dir), run.run_id,
            ),
            directory=directory,
            working_directory=scheduler.path,
            begin_in=timedelta(0),
        )
    )  # fmt: skip


def start(scheduler: Folder, flow: FlowFile, **given: Any) -> Any:
    return flow.load().submit(executor=ScriptedExecutor(folder=str(scheduler.path)), **given)


def everything(run: Any) -> tuple[RunRecord, list[Any], list[Any], list[Any]]:
    """All that the store knows of a run."""
    store, run_id = run.store, run.run_id
    return (
        store.run(run_id),
        store.instances(run_id),
        [list(store.outputs(run_id, task.name)) for task in store.tasks(run_id)],
        store.submissions(run_id, open_only=False),
    )


def test_any_number_of_dispatchers_at_once_do_everything_once(
    scheduler: Folder, flow_file: Flows
) -> None:
    flow = flow_file(FLOW)
    run = start(scheduler, flow, size=12)
    for number in range(8):
        dispatch(scheduler, run, f"extra-{number}")
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert run.result("total") == sum(range(12)) * 10
    assert set(flow.calls.values()) == {1}
    until(lambda: not scheduler.in_queue())
    assert not any(
        "Traceback" in path.read_text() for path in scheduler.path.glob("extra-*/scheduler.log")
    )


def test_a_holder_that_was_stopped_and_wakes_up_writes_nothing(
    scheduler: Folder, flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_LEASE_SECONDS", "0.5")
    flow = flow_file(FLOW)
    # Stopped between writing down that it will submit, and submitting.
    scheduler.arrange(Trouble("submit", "stop", "each"))
    run = start(scheduler, flow)
    stopped = scheduler.path / "stopped"
    until(stopped.exists)
    holder = int(stopped.read_text())
    try:
        until(lambda: run.state != "RUNNING")
        assert run.state == "SUCCESS"
        assert flow.calls == ONCE
        # Its successor records the end of the run first, and cancels what is queued after that.
        until(lambda: not run.store.submissions(run.run_id))
        until(lambda: run.store.lease(run.run_id).owner is None)
        known = everything(run)
    finally:
        os.kill(holder, signal.SIGCONT)
    until(lambda: not Path(f"/proc/{holder}").exists())
    # It has submitted once more; those jobs find the work done.
    until(lambda: not scheduler.in_queue())
    assert flow.calls == ONCE
    run_record, instances, outputs, submissions = everything(run)
    assert (run_record, instances, outputs) == known[:3]
    assert [item.state for item in submissions] == [item.state for item in known[3]]


def test_a_holder_that_was_overtaken_leaves_its_successors_waves_alone(
    scheduler: Folder, flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    for leg in ("WATCHDOG", "FOLLOW_UP", "LAST_WORKER"):
        monkeypatch.setenv(f"REFLOW_DISPATCH_{leg}", "false")
    run = start(scheduler, flow_file(FLOW))
    until(lambda: not scheduler.in_queue())
    settings = read_settings(run.run_dir, run.run_id)
    slow = ScriptedExecutor(folder=str(scheduler.path))
    allowed = slow.limits()
    written: dict[Path, int] = {}

    def overtaken() -> Limits:
        if not written:
            lease = take_from(run.store, run.run_id, run.store.lease(run.run_id))
            assert lease is not None
            drive(open_dispatcher(run.store, settings, lease), Command())
            files = settings.layout.waves.glob("*/*")
            written.update((path, path.stat().st_ino) for path in files if path.is_file())
        return allowed

    # The scheduler takes its time to answer, and another dispatcher takes over meanwhile.
    monkeypatch.setattr(slow, "limits", overtaken)
    lease = take(run.store, run.run_id)
    assert lease is not None
    with pytest.raises(LeaseLostError):
        open_dispatcher(run.store, settings, lease, slow).step()

    assert len(written) > 4
    assert {path: path.stat().st_ino for path in written} == written


def test_a_holder_on_another_machine_that_says_nothing_is_replaced(
    scheduler: Folder, flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFLOW_DISPATCH_LEASE_SECONDS", "0.5")
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "false")
    flow = flow_file(FLOW)
    run = start(scheduler, flow)
    elsewhere = {"host": "elsewhere", "boot": "x", "pid": 1, "start": 1, "native_id": ""}
    assert run.store.acquire(run.run_id, elsewhere) is not None
    until(lambda: flow.calls["items"])
    # Nobody can tell whether it lives, so a look does nothing.
    assert run.status(as_dict=True)["tasks"]["each"]["state"] == "PENDING"
    dispatch(scheduler, run, "extra")
    until(lambda: flow.calls["each-2"])
    assert run.store.lease(run.run_id).owner is None


def supervisor_of(run: Any) -> int:
    owner = run.store.lease(run.run_id).owner
    assert owner is not None
    return int(owner["pid"])


SLOW = """
    wf = Workflow("slow")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2, 3]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"begun-{x}")
        wait_for("{here}/go")
        did(f"done-{x}")
        return x
"""


def test_a_look_replaces_a_killed_supervisor_and_its_workers_go_on(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody waits until the lease of the dead has run out.
    monkeypatch.setenv("REFLOW_DISPATCH_LEASE_SECONDS", "600")
    flow = flow_file(SLOW)
    run = flow.load().submit(executor="local")
    until(lambda: sum(flow.calls[f"begun-{x}"] for x in range(4)) >= 2)
    first = supervisor_of(run)
    begun = {word for word in flow.calls if word.startswith("begun")}
    os.kill(first, signal.SIGKILL)
    until(lambda: not _lives(first))
    # Several people look at once.
    looks = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import flow; print(flow.wf.open_run({run.run_id!r}).status(as_dict=True))",
            ],
            cwd=flow.folder,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(3)
    ]
    until(lambda: _supervised_by_another(run, first))
    for look in looks:
        assert look.wait(timeout=30) == 0
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    # Those that had begun were not begun again.
    assert all(flow.calls[word] == 1 for word in begun), flow.calls
    assert sum(flow.calls[f"done-{x}"] for x in range(4)) == 4


def _supervised_by_another(run: Any, first: int) -> bool:
    """Who looks holds the lease for a moment too, and nobody does between the two."""
    owner = run.store.lease(run.run_id).owner
    return bool(owner) and int(owner["pid"]) != first and _lives(int(owner["pid"]))


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text()
        return text[text.rindex(")") + 2] not in "ZX"
    return False


def test_a_supervisor_told_to_end_lets_go_and_the_next_goes_on(flow_file: Flows) -> None:
    flow = flow_file(SLOW)
    run = flow.load().submit(executor="local")
    until(lambda: sum(flow.calls[f"begun-{x}"] for x in range(4)) >= 2)
    os.kill(supervisor_of(run), signal.SIGTERM)
    until(lambda: run.store.lease(run.run_id).owner is None)
    assert run.state == "RUNNING"
    (note,) = run.status(as_dict=True)["notes"]
    assert "a new one was started" in note
    (flow.folder / "go").touch()
    assert run.wait(timeout=60) == "SUCCESS"
    assert sum(flow.calls[f"done-{x}"] for x in range(4)) == 4
