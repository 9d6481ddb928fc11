"""Whole runs on file systems that lack what the protocol prefers."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import ReflowError, StoreError
from reflow.rundir import probe
from reflow.rundir.claims import BY_CREATION, BY_LINK
from reflow.rundir.run_settings import read_settings
from reflow.stores import sqlite
from reflow.stores.filesystem import Mount

from tests.e2e.support import FlowFile, failed, until
from tests.faults.scripted_scheduler import Folder, ScriptedExecutor, Trouble
from tests.faults.test_batch import FLOW, ONCE

Flows = Callable[..., FlowFile]


@pytest.fixture
def uncounted(tmp_path: Path) -> Iterator[Path]:
    """A folder in which links can be made, and every file's link count is 1, as on sshfs."""
    if shutil.which("bindfs") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("bindfs (a Debian package) and /dev/fuse are needed")
    behind, folder = tmp_path / "behind", tmp_path / "uncounted"
    behind.mkdir()
    folder.mkdir()
    command = ["bindfs", "--hide-hard-links", str(behind), str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"bindfs cannot mount here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["fusermount", "-u", "-z", str(folder)], check=True)


def claims_of(run: Any) -> str:
    return read_settings(run.run_dir, run.run_id).claims


def refuse_links(source: object, target: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_where_links_do_not_count_each_element_of_a_cluster_runs_once(
    scheduler: Folder, flow_file: Flows, uncounted: Path
) -> None:
    flow = flow_file(FLOW)
    executor = ScriptedExecutor(folder=str(scheduler.path))
    # A job of which nothing is seen at first: its elements are submitted twice, and run once.
    scheduler.arrange(Trouble("submit", "swallow", "each"), Trouble("find", "blind", "each"))

    run = flow.load().submit(executor=executor, run_dir=uncounted / "run")

    assert claims_of(run) == BY_CREATION
    until(lambda: run.state != "RUNNING")
    assert run.state == "SUCCESS", failed(run)
    assert flow.calls == ONCE
    until(lambda: not scheduler.in_queue())


def test_where_links_do_not_count_a_run_in_the_background_succeeds(
    flow_file: Flows, uncounted: Path
) -> None:
    flow = flow_file(FLOW)
    run = flow.run("background", run_dir=uncounted / "run")
    assert claims_of(run) == BY_CREATION
    assert run.state == "SUCCESS", failed(run)
    assert flow.calls == ONCE


@pytest.mark.parametrize("way", ["inline", "pool", "background"])
def test_where_there_are_no_links_a_run_succeeds(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(os, "link", refuse_links)
    monkeypatch.setattr(Path, "symlink_to", refuse_links)
    flow = flow_file(FLOW)
    run = flow.run(way)
    assert claims_of(run) == BY_CREATION
    assert run.state == "SUCCESS", failed(run)
    assert flow.calls == ONCE


def test_where_links_count_claims_are_made_by_them(flow_file: Flows) -> None:
    assert claims_of(flow_file(FLOW).run()) == BY_LINK


def test_a_run_directory_that_cannot_hold_a_run_is_refused_with_what_to_do(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_CREATE", probe._CREATE & ~os.O_EXCL)
    flow = flow_file(FLOW)
    with pytest.raises(ReflowError, match=r"cannot hold a run: .*--run-dir"):
        flow.load().submit(executor="local")
    assert not flow.load().store.list_runs()


def test_submit_refuses_a_manifest_whose_locks_other_hosts_do_not_see(
    flow_file: Flows, scheduler: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Mount(Path("/home"), "fuse.sshfs", frozenset({"rw"}))
    monkeypatch.setattr(sqlite, "mount_of", lambda path: mount)
    workflow = flow_file(FLOW).load()
    with pytest.raises(StoreError, match=r"fuse\.sshfs.*REFLOW_STORE.*PostgreSQL"):
        workflow.submit(executor=ScriptedExecutor(folder=str(scheduler.path)))
    assert not scheduler.submitted()
