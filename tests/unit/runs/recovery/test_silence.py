"""When a dispatcher counts as silent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow import Workflow
from reflow.dispatch.lease import take, take_from
from reflow.executors.processes import Process
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.runs.recovery import silence
from reflow.runs.recovery.silence import Holder, holder_of
from reflow.stores.contract import Store

Look = Callable[..., Holder]


@pytest.fixture
def run(tmp_path: Path, home: Path) -> tuple[Store, RunSettings]:
    """A run whose lease this process holds, with a lease's time of 60 s."""
    wf = Workflow("w")

    @wf.job()
    def one() -> int:
        return 1

    run = wf.run_local(max_workers=1, run_dir=tmp_path / "run")
    assert take(run.store, run.run_id) is not None
    settings = read_settings(run.run_dir, run.run_id)
    return run.store, settings


@pytest.fixture
def look(run: tuple[Store, RunSettings], monkeypatch: pytest.MonkeyPatch) -> Look:
    """Look at the holder at a time by the file server's clock, after it has used CPU time."""
    begun = os.stat(run[1].layout.root).st_mtime + 1000  # noqa: PTH116

    def look(at: float, used: str = "1 0 0 0", stopped: bool = False) -> Holder:
        process = Process(1, 1, 1, 1, stopped, used)
        monkeypatch.setattr(silence, "seen_here", lambda owner: process)
        monkeypatch.setattr(silence, "server_time", lambda probe: begun + at)
        found = holder_of(*run)
        assert found is not None
        signs = run[1].layout.signs_of_life
        if found.silent == 0.0:
            os.utime(signs, (begun + at, begun + at))
        return found

    return look


def test_silence_is_counted_from_the_first_look_that_has_seen_the_same(look: Look) -> None:
    assert [look(at).silent for at in (0, 20, 65)] == pytest.approx([0, 20, 65], abs=0.01)


def test_a_heartbeat_ends_the_silence(look: Look, run: tuple[Store, RunSettings]) -> None:
    store, settings = run
    look(0)
    lease = take_from(store, settings.run_id, store.lease(settings.run_id))
    assert lease is not None
    store.heartbeat(lease)
    assert look(70).silent == 0


def test_a_step_without_heartbeats_that_uses_the_cpu_is_not_silent(look: Look) -> None:
    look(0)
    assert look(70, used="9 0 0 0").silent == 0


def test_it_is_mentioned_when_it_is_stopped_or_silent_for_long(look: Look) -> None:
    assert look(0).note() == ""
    assert look(5).note() == ""
    assert "has given no sign of life for 20 s" in look(20).note()
    assert "is stopped" in look(1, stopped=True).note()


def test_a_process_in_the_foreground_is_never_replaced(
    look: Look, run: tuple[Store, RunSettings]
) -> None:
    look(0)
    assert look(1000).take_over(run[0]) is None
