"""Files that count by their contents: `[cache] files = "content"`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import WAYS, FlowFile, fake_scheduler, until

Flows = Callable[..., FlowFile]
Way = Callable[..., Any]

LATER = 2 * 10**18


def on_slurm(flow: FlowFile, **given: Any) -> Any:
    run = flow.load().submit(executor="slurm", **given)
    until(lambda: run.state.final)
    return run


@pytest.fixture(params=[*WAYS, "slurm"])
def way(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Way]:
    """Run a flow one way to its end, with files counted by content."""
    name = request.param
    with fake_scheduler(name, tmp_path, monkeypatch) if name == "slurm" else nullcontext():

        def run(flow: FlowFile, **given: Any) -> Any:
            given = {"files": "content", **given}
            return on_slurm(flow, **given) if name == "slurm" else flow.run(name, **given)

        yield run


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


def test_a_task_that_makes_the_same_contents_again_runs_nothing_after_it(
    flow_file: Flows, way: Way, source: Path
) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    assert way(flow, source=source, force_tasks=["convert"]).result("read") == "1212"
    assert flow.calls == {"convert": 1}


def test_another_way_to_count_misses_once(flow_file: Flows, way: Way, source: Path) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source, files="stat").result("read") == "1212"
    flow.forget()
    way(flow, source=source)
    assert flow.calls == {"convert": 1, "read": 1}
    way(flow, source=source)
    assert flow.calls == {"convert": 1, "read": 1}


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


def test_a_touched_result_of_other_contents_is_made_again(
    flow_file: Flows, way: Way, source: Path, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    assert way(flow, source=source).result("read") == "1212"
    flow.forget()
    (tmp_path / "out.store" / "chunk").write_text("9999")
    assert way(flow, source=source).result("read") == "1212"
    assert flow.calls == {"convert": 1}


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
