"""Fixtures that the tests of whole workflows share with those of faults, and ways to run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from reflow.execution import frozen
from reflow.plugins.registry import set_registry
from reflow.testing.fakes import FakeScheduler

from tests.e2e.support import WAYS, FlowFile, fake_scheduler, nothing_left, run_by_jobs

Way = Callable[..., Any]


@pytest.fixture
def flow_file(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., FlowFile]]:
    """Write a flow into `flow.py` of the test's folder; no process of it outlives the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # Marks every process that comes of this test, whatever its command line.
    monkeypatch.setenv("ENGINE_TEST_FOLDER", str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    previous = set_registry(None)

    def write(source: str, name: str = "flow") -> FlowFile:
        return FlowFile(tmp_path, name).write(source)

    with nothing_left(tmp_path):
        yield write
    set_registry(previous)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    # Reading a result may have loaded the flow from its copy, which comes first from then on.
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, frozen.CopyFinder)]
    frozen._active.clear()


def on_fakes(*schedulers: str) -> Any:
    """Make a fixture, a fake scheduler: each of those named in turn."""

    @pytest.fixture(params=schedulers if len(schedulers) > 1 else None)
    def cluster(
        request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[FakeScheduler]:
        name = getattr(request, "param", schedulers[0])
        with fake_scheduler(name, tmp_path, monkeypatch) as fake:
            yield fake

    return cluster


@pytest.fixture(params=[*WAYS, "jobs"])
def way(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Way]:
    """Run a flow to its end: in process, in a pool, in the background, and by jobs of a fake.

    For one test of each kind; what varies it is `in_process`, or `in_process_and_by_jobs` where
    another process has a part in it.
    """
    name = request.param
    with fake_scheduler("slurm", tmp_path, monkeypatch) if name == "jobs" else nullcontext():
        yield run_by_jobs if name == "jobs" else lambda flow, **given: flow.run(name, **given)


in_process = pytest.mark.parametrize("way", ["inline"], indirect=True)
in_process_and_by_jobs = pytest.mark.parametrize("way", ["inline", "jobs"], indirect=True)
