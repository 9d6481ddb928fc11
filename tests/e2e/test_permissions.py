"""What users write follows their umask; what reflow writes no group and no stranger may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.support import WAYS, FlowFile, fake_scheduler, until

Flows = Callable[..., FlowFile]

FLOW = """
    from reflow import scratch_dir

    wf = Workflow("team")

    @wf.job()
    def items() -> list[int]:
        return [1, 2]

    @wf.job(array=True)
    def write(x: Annotated[int, Result(step="items")], run_dir: RunDir = RunDir()) -> list[int]:
        print("written", x)
        scratch_dir()
        folder = run_dir / f"folder-{x}"
        folder.mkdir()
        (folder / "file").write_text("x")
        return [path.stat().st_mode & 0o777 for path in (folder / "file", folder)]

    @wf.job(after=["write"])
    def fail() -> int:
        raise ValueError("as it must be")
"""


@pytest.fixture(params=[0o000, 0o002, 0o027], ids=["000", "002", "027"])
def mask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def open_to_others(*folders: Path) -> list[Path]:
    """What is below folders, and they themselves, that others than their owner may write."""
    everything = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return [
        path
        for path in everything
        if not path.is_symlink() and path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    ]


def assert_in_order(run: object, mask: int, home: Path) -> None:
    assert run.result("write") == [[0o666 & ~mask, 0o777 & ~mask]] * 2  # type: ignore[attr-defined]
    run_dir: Path = run.run_dir  # type: ignore[attr-defined]
    assert open_to_others(run_dir / ".reflow", run_dir / "logs", home) == []
    assert os.umask(mask) == mask


@pytest.mark.parametrize("way", WAYS)
def test_files_of_users_follow_their_umask_and_those_of_reflow_stay_closed(
    flow_file: Flows, home: Path, mask: int, way: str
) -> None:
    assert_in_order(flow_file(FLOW).run(way), mask, home)


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "sge"])
def test_jobs_write_with_the_umask_of_who_submitted_them(
    flow_file: Flows,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheduler: str,
) -> None:
    before = os.umask(0o002)
    try:
        with fake_scheduler(scheduler, tmp_path, monkeypatch):
            run = flow_file(FLOW).load().submit(executor=scheduler)
            until(lambda: run.state.final)
            assert_in_order(run, 0o002, home)
    finally:
        os.umask(before)
