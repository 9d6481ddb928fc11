"""Flows that were run as scripts, in the processes that run their tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from reflow.errors import FlowImportError
from reflow.execution.flow_loading import resolve, resolve_in_worker
from reflow.rundir.flow_reference import FlowRef

FLOW = """
from reflow import Workflow

wf = Workflow("shapes")
is_script = __name__ == "__main__"
"""


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The main module of a worker that has loaded nothing yet."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    monkeypatch.setitem(sys.modules, "__mp_main__", main)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return main


@pytest.fixture
def flow(tmp_path: Path) -> FlowRef:
    path = tmp_path / "flow.py"
    path.write_text(FLOW)
    return FlowRef(workflow="shapes", path=str(path), source=str(path))


@pytest.mark.usefixtures("worker")
def test_a_script_is_the_main_module_of_its_workers(flow: FlowRef) -> None:
    workflow = resolve_in_worker(flow)

    main = sys.modules["__main__"]
    assert vars(main)["wf"] is workflow
    assert not vars(main)["is_script"]


@pytest.mark.usefixtures("worker")
def test_a_task_that_looks_for_its_own_flow_finds_what_it_runs_in(flow: FlowRef) -> None:
    assert resolve_in_worker(flow) is resolve(flow)


def test_a_script_that_cannot_be_imported_leaves_the_main_module_as_it_was(
    worker: ModuleType, flow: FlowRef
) -> None:
    flow.file.write_text("1 / 0")

    with pytest.raises(FlowImportError, match="division by zero"):
        resolve_in_worker(flow)

    assert sys.modules["__main__"] is sys.modules["__mp_main__"] is worker
