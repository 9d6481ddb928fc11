"""Files that count by their contents: `[cache] files = "content"`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.fixtures import Way, in_process, in_process_and_by_jobs
from tests.e2e.support import FlowFile

Flows = Callable[..., FlowFile]

LATER = 2 * 10**18


@pytest.fixture(autouse=True)
def by_contents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOW_CACHE_FILES", "content")


FLOW = """
    wf = Workflow("contents")

    @wf.job()
    def convert(source: Path) -> Path:
        did("convert")
        folder = Path("{here}/out.store")
        folder.mkdir(exist_ok=True)
        (folder / "chunk").write_text((source / "x").read_text() * 2)
        return folder

    @wf.job()
    def read(store: Annotated[Path, Result(step="convert")]) -> str:
        did("read")
        return (store / "chunk").read_text()
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "x").write_text("12")
    return folder


def touch(path: Path) -> None:
    os.utime(path, ns=(LATER, LATER))


def copy_over(path: Path) -> None:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


@in_process
def test_touched_parameters_run_nothing_again(flow_file: Flows, way: Way, source: Path) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    touch(source / "x")
    copy_over(source / "x")
    assert way(flow, source=source).result("read") == "1212"
    assert flow.calls == {}


def test_other_contents_of_the_same_size_and_time_run_again(
    flow_file: Flows, way: Way, source: Path, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    touch(source / "x")
    assert way(flow, source=source).result("read") == "1212"
    (source / "x").write_text("34")
    touch(source / "x")
    assert way(flow, source=source).result("read") == "3434"
    (tmp_path / "out.store" / "chunk").write_text("5656")
    assert way(flow, source=source).result("read") == "3434"


@in_process
def test_a_task_that_makes_the_same_contents_again_runs_nothing_after_it(
    flow_file: Flows, way: Way, source: Path
) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    assert way(flow, source=source, force_tasks=["convert"]).result("read") == "1212"
    assert flow.calls == {"convert": 1}


@in_process
def test_another_way_to_count_misses_once(flow_file: Flows, way: Way, source: Path) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source, files="stat").result("read") == "1212"
    flow.forget()
    way(flow, source=source)
    assert flow.calls == {"convert": 1, "read": 1}
    way(flow, source=source)
    assert flow.calls == {"convert": 1, "read": 1}


@in_process_and_by_jobs
def test_touched_results_run_nothing_again(
    flow_file: Flows, way: Way, source: Path, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    chunk = tmp_path / "out.store" / "chunk"
    copy_over(chunk)
    run = way(flow, source=source)
    assert run.result("read") == "1212"
    assert flow.calls == {}
    assert run.status(as_dict=True)["tasks"]["convert"]["cached"] == 1
    touch(chunk)
    assert way(flow, source=source).result("read") == "1212"
    assert flow.calls == {}


def test_what_was_found_to_be_the_same_is_remembered(
    flow_file: Flows, source: Path, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    flow.run("inline", source=source, files="content")
    touch(tmp_path / "out.store" / "chunk")
    first = flow.run("inline", source=source, files="content")
    again = flow.run("inline", source=source, files="content")
    assert [waves(first), waves(again)] == [1, 0]
    assert flow.calls == {"convert": 1, "read": 1}


def waves(run: Any) -> int:
    """How often elements were handed to workers."""
    return len(list((run.run_dir / ".reflow" / run.run_id / "waves").glob("*")))


@in_process
def test_a_touched_result_of_other_contents_is_made_again(
    flow_file: Flows, way: Way, source: Path, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    (tmp_path / "out.store" / "chunk").write_text("9999")
    assert way(flow, source=source).result("read") == "1212"
    assert flow.calls == {"convert": 1}


@in_process_and_by_jobs
def test_verify_reads_anew(flow_file: Flows, way: Way, source: Path, tmp_path: Path) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    run = way(flow, source=source, verify=True)
    assert run.result("read") == "1212"
    assert waves(run) == 1
    assert flow.calls == {}


@pytest.mark.parametrize(("files", "told"), [("stat", True), ("content", False)])
def test_verify_says_where_contents_were_not_recorded(
    flow_file: Flows, source: Path, files: str, told: bool
) -> None:
    flow = flow_file(FLOW)
    flow.run("inline", source=source, files=files)
    run = flow.run("inline", source=source, files=files, verify=True)
    notes = run.status(as_dict=True)["notes"]
    assert any("contents were not recorded" in note for note in notes) is told
