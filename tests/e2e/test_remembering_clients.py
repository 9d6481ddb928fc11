"""Files on a mount whose client remembers for half a minute what it has seen of them.

No network file system is needed: bindfs mounts a folder a second time, and with its timeouts set
the kernel answers from memory. Whoever writes past the mount is another host.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from reflow.fingerprint.files.look import Looks
from reflow.fingerprint.files.places import Surroundings
from reflow.fingerprint.files.states import State

from tests.e2e.fixtures import Way, in_process, in_process_and_by_jobs
from tests.e2e.support import FlowFile

Flows = Callable[..., FlowFile]


class Mount(NamedTuple):
    """A folder, and the same as a client sees it."""

    server: Path
    client: Path


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    if shutil.which("bindfs") is None or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("bindfs (a Debian package) and /dev/fuse are needed")
    found = Mount(tmp_path / "server", tmp_path / "client")
    for folder in found:
        folder.mkdir()
    command = ["bindfs", "-o", "attr_timeout=30,entry_timeout=30", *map(str, found)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"bindfs cannot mount here: {mounted.stderr.strip()}")
    yield found
    subprocess.run(["fusermount", "-u", "-z", str(found.client)], check=True)


FLOW = """
    wf = Workflow("mounted")

    @wf.job()
    def convert(factor: int = 1) -> list[Path]:
        did("convert")
        folder = Path("{server}/out.store")
        folder.mkdir(exist_ok=True)
        (folder / "chunk").write_text(str(factor * 11))
        Path("{server}/file").write_text(str(factor * 11))
        return [Path("{client}/out.store"), Path("{client}/file")]

    @wf.job(array=True)
    def read(path: Annotated[Path, Result(step="convert")]) -> str:
        did("read")
        return (path / "chunk" if path.is_dir() else path).read_text()
"""


def mounted_flow(flow_file: Flows, mount: Mount) -> FlowFile:
    return flow_file(
        FLOW.replace("{server}", str(mount.server)).replace("{client}", str(mount.client))
    )


def remember(mount: Mount) -> list[int]:
    """Let the client look at all that is there, and keep it in mind."""
    return [path.stat().st_size for path in mount.client.rglob("*")]


def test_the_client_does_remember(mount: Mount) -> None:
    (mount.server / "file").write_text("1")
    remember(mount)
    (mount.server / "file").write_text("123")
    assert (mount.client / "file").stat().st_size == 1


def test_what_was_written_elsewhere_counts_as_it_is(
    flow_file: Flows, way: Way, mount: Mount
) -> None:
    flow = mounted_flow(flow_file, mount)
    assert way(flow).result("read") == ["11", "11"]
    remember(mount)
    assert way(flow, factor=2).result("read") == ["22", "22"]
    remember(mount)
    assert way(flow, factor=10).result("read") == ["110", "110"]


@in_process_and_by_jobs
def test_what_was_changed_elsewhere_is_made_again(flow_file: Flows, way: Way, mount: Mount) -> None:
    flow = mounted_flow(flow_file, mount)
    assert way(flow).result("read") == ["11", "11"]
    for path in (mount.server / "file", mount.server / "out.store" / "chunk"):
        flow.forget()
        remember(mount)
        path.write_text("9999")
        assert way(flow).result("read") == ["11", "11"]
        assert flow.calls["convert"] == 1


@pytest.mark.parametrize("files", ["stat", "content", "exists"])
def test_what_was_removed_elsewhere_is_made_again(
    flow_file: Flows, mount: Mount, files: str
) -> None:
    flow = mounted_flow(flow_file, mount)
    flow.run("inline", files=files)
    flow.forget()
    remember(mount)
    (mount.server / "file").unlink()
    assert flow.run("inline", files=files).result("read") == ["11", "11"]
    assert flow.calls["convert"] == 1


PARAMETERS = """
    wf = Workflow("given")

    @wf.job()
    def read(path: Path) -> str:
        did("read")
        return (path / "x" if path.is_dir() else path).read_text()
"""


@pytest.mark.parametrize("name", ["folder", "folder/x"])
@in_process
def test_a_parameter_that_was_changed_elsewhere_counts_as_it_is(
    flow_file: Flows, way: Way, mount: Mount, name: str
) -> None:
    (mount.server / "folder").mkdir()
    (mount.server / "folder" / "x").write_text("1")
    flow = flow_file(PARAMETERS)
    assert way(flow, path=mount.client / name).result("read") == "1"
    remember(mount)
    (mount.server / "folder" / "x").write_text("22")
    assert way(flow, path=mount.client / name).result("read") == "22"


def test_of_a_large_folder_names_and_the_first_thousand_files_are_asked_for(mount: Mount) -> None:
    folder = mount.server / "data"
    folder.mkdir()
    for number in range(1_500):
        (folder / f"{number:04}").write_text("1")

    def look() -> State:
        here = str(mount.client)
        return Looks(Surroundings(here, here, here)).state(f"{here}/data")

    changes: list[Callable[[], object]] = [
        lambda: (folder / "0400").write_text("longer"),
        lambda: (folder / "new").write_text("1"),
        lambda: (folder / "1400").unlink(),
    ]
    for change in changes:
        before = look()
        change()
        assert not look().agrees_with(before)
