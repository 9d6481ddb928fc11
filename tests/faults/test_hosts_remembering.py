"""Elements that share jobs on other machines than the one that looks, which remembers what it saw.

Of a run directory on such a mount, what hosts write is remembered for half a minute. Claims and
counters are on the plain disk: the mount remembers link counts, too, which NFS does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from reflow.execution.pool.protocol import Slots, begun_elements
from reflow.model.outcomes import Outcome
from reflow.model.states import TaskState
from reflow.rundir.layout import WaveLayout
from reflow.rundir.packs import read_slots
from reflow.rundir.results import ResultReader, ResultRecord, SegmentWriter

from tests.e2e.support import counts, failed, until
from tests.e2e.test_remembering_clients import Mount, remember
from tests.e2e.test_remembering_clients import mount as mount
from tests.faults.scripted_scheduler import Folder, JobFault
from tests.faults.test_batch import Batch, Flows
from tests.faults.test_batch import quick as quick
from tests.faults.test_hosts import SHARED, host, once, recorded, wave_of

BODY = """
        x == 1 and wait_for("{here}/early")
        x == 3 and wait_for("{here}/late")
"""


def result(position: int) -> ResultRecord:
    outcome = Outcome(state=TaskState.SUCCESS, task="t", attempt=1, index=position, output="1")
    return ResultRecord(position=position, outcome=outcome)


def test_results_that_another_machine_has_appended_are_read_at_once(mount: Mount) -> None:
    (mount.server / "1").mkdir()
    writer, reader = SegmentWriter(WaveLayout(mount.server / "1"), "w"), []
    of_client = ResultReader(WaveLayout(mount.client / "1"))
    for position in range(3):
        writer.append(result(position))
        writer.flush()
        reader += [record.position for record in of_client.new()]
        remember(mount)
    writer.close()
    assert reader == [0, 1, 2]


def test_what_a_host_of_another_machine_is_at_is_read_as_it_is(mount: Mount) -> None:
    path = mount.server / "7-0.1.slots"
    path.touch()
    remember(mount)
    with path.open("r+b") as file:
        os.ftruncate(file.fileno(), Slots.size_for(1))
        Slots(file.fileno()).set(0, 3, 5)
    assert [begun.at for begun in begun_elements(read_slots(mount.client / path.name))] == [(3, 5)]


@pytest.fixture
def held(
    scheduler: Folder,
    flow_file: Flows,
    quick: None,
    mount: Mount,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> tuple[Batch, Any, WaveLayout]:
    """A run on the mount whose wave of shared jobs is submitted, and runs nothing."""
    monkeypatch.setenv("REFLOW_DISPATCH_LAST_WORKER", "false")
    batch = Batch(scheduler, flow_file(SHARED.format(per_job=4, at_once=1, body=BODY)))
    scheduler.arrange(JobFault("impossible", "each", times=100))
    run = batch.start(run_dir=mount.client / "run")
    until(lambda: bool(batch.jobs("each")))
    wave = wave_of(batch, run)
    for folder in (wave.claims, wave.counters):
        # Past the client, it would remember the folder.
        folder.mkdir(exist_ok=True)
        shutil.move(folder, tmp_path / folder.name)
        folder.symlink_to(tmp_path / folder.name)
    return batch, run, wave


Elsewhere = Callable[[WaveLayout, Any], "subprocess.Popen[bytes]"]


@pytest.fixture
def elsewhere(mount: Mount) -> Iterator[Elsewhere]:
    """Start the first host of a wave on a machine that sees the file server's files as they are."""
    line = 'mount --bind "$0" "$1" && shift && exec "$@"'
    seen = ["unshare", "--mount", "sh", "-c", line, str(mount.server), str(mount.client)]
    if subprocess.run([*seen, "true"], capture_output=True, check=False).returncode:
        pytest.skip("another view of the file system cannot be made here")
    command = [sys.executable, "-P", "-m", "reflow.execution.pool.host"]
    given = {**os.environ, "REFLOW_NATIVE_ID": "70_0", "REFLOW_INCARNATION": "0"}
    with ExitStack() as started:

        def start(wave: WaveLayout, run: Any) -> subprocess.Popen[bytes]:
            words = [str(run.run_dir), run.run_id, wave.directory.name, "0"]
            process = subprocess.Popen([*seen, *command, *words], env=given)
            started.callback(process.wait)
            started.callback(process.kill)
            return process

        yield start


Held = tuple[Batch, Any, WaveLayout]


def test_a_dispatcher_takes_up_at_once_what_hosts_of_other_machines_publish(
    held: Held, mount: Mount, elsewhere: Elsewhere
) -> None:
    batch, run, wave = held
    (batch.flow.folder / "early").touch()
    first = elsewhere(wave, run)
    until(lambda: counts(run, "each").get("SUCCESS") == 3)
    remember(mount)
    (batch.flow.folder / "late").touch()
    assert first.wait(60) == 0

    # That is less than the client remembers.
    until(lambda: run.state != "RUNNING", 20)
    assert run.state == "SUCCESS", failed(run)
    assert batch.flow.calls == once()


def test_a_host_that_comes_again_on_another_machine_skips_what_it_has_done(
    held: Held, mount: Mount, elsewhere: Elsewhere
) -> None:
    batch, run, wave = held
    first = elsewhere(wave, run)
    until(lambda: batch.flow.calls.get("each-1") == 1)
    until(lambda: len(recorded(wave)) == 1)
    remember(mount)
    (batch.flow.folder / "early").touch()
    until(lambda: batch.flow.calls.get("each-3") == 1)
    behind = WaveLayout(mount.server / wave.directory.relative_to(mount.client))
    until(lambda: len(recorded(behind)) == 3)
    first.kill()
    first.wait()
    (batch.flow.folder / "late").touch()

    assert host(wave, run, 0, "70_0", "1").wait(60) == 0

    assert recorded(behind) == list(range(12))
    assert batch.flow.calls == {**once(), "each-3": 2}
