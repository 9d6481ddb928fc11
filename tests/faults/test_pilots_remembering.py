"""Pilots on other machines than whoever dispatches, which remember what they saw of files.

What is opened to pilots, and their signs of life, lie on a mount that remembers for half a minute.
Claims are made there by creating files: the mount remembers link counts, too, which NFS does not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from reflow.execution.pool.open_waves import OpenWaves, opened, tell
from reflow.execution.pool.pilot_files import SILENT_AFTER, silent_pilots
from reflow.rundir import probe

from tests.e2e.support import failed, until
from tests.e2e.test_remembering_clients import Mount, remember
from tests.e2e.test_remembering_clients import mount as mount
from tests.faults.scripted_scheduler import Folder, JobFault
from tests.faults.test_batch import Flows
from tests.faults.test_batch import quick as quick
from tests.faults.test_pilots import PILOT, ROOT, TWO, layout_of, once, over, piloted


def test_a_wave_that_is_opened_on_another_machine_is_seen_at_the_next_look(mount: Mount) -> None:
    tell(mount.server / "open", 1, [opened(1)])
    of_client = OpenWaves(mount.client / "open")
    of_client.look()
    for number in (2, 3):
        remember(mount)
        tell(mount.server / "open", 1, [opened(number)])
        of_client.look()
    assert list(of_client.numbers) == [1, 2, 3]


def test_a_file_that_was_not_there_is_seen_once_it_is(mount: Mount) -> None:
    of_client = OpenWaves(mount.client / "open")
    of_client.look()
    assert not (mount.client / "open").exists()
    tell(mount.server / "open", 1, [opened(1)])
    of_client.look()
    assert list(of_client.numbers) == [1]


def test_signs_of_life_that_were_given_elsewhere_count(mount: Mount) -> None:
    own, other = (f"{job}.0.1.5.0.slots" for job in (70, 71))
    for name in (own, other):
        (mount.server / name).touch()
    aged = (mount.server / other).stat().st_mtime - SILENT_AFTER - 10
    os.utime(mount.server / other, (aged, aged))
    remember(mount)
    assert silent_pilots(mount.client, mount.client / own) == {mount.client / other}
    os.utime(mount.server / other)
    assert silent_pilots(mount.client, mount.client / own) == set()


@pytest.fixture
def machines(mount: Mount) -> Iterator[Any]:
    """Start pilots of a run, on the machine that remembers or on one that does not."""
    line = 'mount --bind "$0" "$1" && shift && exec "$@"'
    seen = ["unshare", "--mount", "sh", "-c", line, str(mount.server), str(mount.client)]
    if subprocess.run([*seen, "true"], capture_output=True, check=False).returncode:
        pytest.skip("another view of the file system cannot be made here")
    with ExitStack() as started:

        def start(run: Any, job: int, *, remembers: bool) -> None:
            (submission,) = (layout_of(run).root / "pilots").iterdir()
            words = [str(run.run_dir), run.run_id, submission.name, str(job)]
            given = {**os.environ, "REFLOW_NATIVE_ID": f"70_{job}", "REFLOW_INCARNATION": "0"}
            command = [sys.executable, "-c", PILOT, *words]
            process = subprocess.Popen(
                command if remembers else [*seen, *command], env=given, cwd=ROOT
            )
            started.callback(process.wait)
            started.callback(process.kill)

        yield start


def test_pilots_that_remember_take_what_others_open(
    scheduler: Folder,
    flow_file: Flows,
    quick: None,
    mount: Mount,
    machines: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probe, "_counts_links", lambda first, second: False)
    monkeypatch.setenv("REFLOW_DISPATCH_WATCHDOG", "false")
    monkeypatch.setenv("REFLOW_DISPATCH_FOLLOW_UP", "false")
    batch = piloted(scheduler, flow_file, 'wait_for("{here}/go")')
    batch.flow.replace('did("items")', f'did("items"); wait_for("{batch.flow.folder}/items")')
    scheduler.arrange(JobFault("impossible", "pilots", times=100))
    run = batch.start(run_dir=mount.client / "run", pilots=TWO)
    machines(run, 0, remembers=False)
    until(lambda: batch.flow.calls["items"] == 1)
    machines(run, 1, remembers=True)
    until(lambda: len(list(layout_of(run).hosts.glob("*.slots"))) == 2)
    remember(mount)
    (batch.flow.folder / "items").touch()

    # The one that remembers takes half of what the other has opened.
    until(lambda: len([word for word in batch.flow.calls if word.startswith("each-")]) == 4)

    (batch.flow.folder / "go").touch()
    over(run, 120)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()
