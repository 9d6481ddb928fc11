"""What elements print is in their logs at once, in order, whatever becomes of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reflow.errors import NotFoundError

from tests.e2e.support import FlowFile, fake_scheduler, until

Flows = Callable[..., FlowFile]

WAYS = {
    "inline": ("run", "--max-workers", "1"),
    "pool": ("run", "--max-workers", "2"),
    "background": ("submit", "--executor", "local"),
    "jobs": ("submit", "--executor", "slurm"),
}

FLOW = """
    import logging
    import subprocess

    logging.basicConfig(format="%(message)s")
    wf = Workflow("prints")

    @wf.job()
    def work() -> int:
        print("one")
        subprocess.run(["sh", "-c", "echo two; echo three >&2"])
        print("four", file=sys.stderr)
        logging.warning("five")
        print("six \\N{SNOWMAN} \\udcff")
        did("printed")
        wait_for("{here}/go")
        if Path("{here}/die").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return 1

    if __name__ == "__main__":
        wf.cli()
"""
PRINTED = "one\ntwo\nthree\nfour\nfive\nsix \N{SNOWMAN} \\udcff\n"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Iterator[str]:
    if request.param == "jobs":
        with fake_scheduler("slurm", tmp_path, monkeypatch):
            yield request.param
    else:
        yield request.param


def typed(flow: FlowFile, *words: str, **more: str) -> subprocess.Popen[bytes]:
    """Type a command; what it says goes to the file `said`."""
    with (flow.folder / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, str(flow.path), *words],
            cwd=flow.folder,
            stdout=said,
            stderr=said,
            env={**os.environ, **more},
            start_new_session=True,
        )


def only_run(flow: FlowFile) -> Any:
    workflow = flow.load()
    (record,) = workflow.store.list_runs()
    return workflow.open_run(record.run_id)


def printed(run: Any, task: str = "work", index: int = 0) -> str:
    try:
        return str(run.log_path(task, index).read_text())
    except NotFoundError:
        return ""


def test_a_printed_line_can_be_read_while_the_element_runs(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    flow = flow_file(FLOW)
    process = typed(flow, *WAYS[way])
    until(lambda: flow.calls["printed"])
    run = only_run(flow)
    until(lambda: printed(run))
    if way == "inline":
        until(lambda: "six" in printed(run))
        shown = (tmp_path / "said").read_text()
        assert shown.endswith(PRINTED.replace("\\udcff", "?"))
    assert printed(run) == PRINTED
    (tmp_path / "go").touch()
    assert process.wait(timeout=60) == 0
    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert printed(run) == PRINTED
    assert run.status(as_dict=True)["run"]["status"] == "SUCCESS"


def test_what_was_printed_outlives_a_process_that_is_killed(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    flow = flow_file(FLOW)
    for name in ("go", "die"):
        (tmp_path / name).touch()
    process = typed(flow, *WAYS[way])
    process.wait(timeout=60)
    run = only_run(flow)
    until(lambda: run.status(as_dict=True)["run"]["status"] != "RUNNING")
    assert printed(run) == PRINTED


@pytest.mark.parametrize("way", ["inline", "pool", "background"])
def test_printing_in_a_narrow_locale_fails_no_task(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    flow = flow_file(FLOW)
    (tmp_path / "go").touch()
    narrow = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    process = typed(flow, *WAYS[way], **narrow)
    assert process.wait(timeout=60) == 0, (tmp_path / "said").read_text()
    run = only_run(flow)
    until(lambda: run.state.final)
    assert run.state == "SUCCESS"
    assert run.log_path("work").read_text(encoding="utf-8") == PRINTED


MANY = """
    wf = Workflow("many")

    @wf.job()
    def items() -> list[int]:
        return list(range(6))

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        if x % 2:
            print("this is", x)
            sys.stdout.write("without an end")
        return x
"""


@pytest.mark.parametrize("way", ["inline", "pool"])
def test_each_element_has_what_it_printed_and_silent_ones_have_no_log(
    flow_file: Flows, way: str
) -> None:
    run = flow_file(MANY).run(way)
    for index in range(6):
        wanted = f"this is {index}\nwithout an end" if index % 2 else ""
        assert printed(run, "each", index) == wanted
    assert len(list((run.run_dir / "logs" / run.run_id).rglob("*.log"))) == 3


def test_a_new_worker_leaves_alone_what_an_earlier_one_had_printed(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(FLOW)
    process = typed(flow, *WAYS["pool"])
    until(lambda: flow.calls["printed"] and printed(only_run(flow)))
    process.kill()
    process.wait()
    run = only_run(flow)
    assert run.status(as_dict=True)["run"]["status"] == "FAILED"
    first = run.log_path("work")
    (tmp_path / "go").touch()
    run.retry()
    assert run.state == "SUCCESS"
    assert run.log_path("work") != first
    assert first.read_text() == printed(run) == PRINTED


def test_code_that_runs_inline_has_the_streams_of_its_caller(
    flow_file: Flows, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sys.stdout, sys.stderr, os.fstat(1), os.fstat(2)
    run = flow_file(MANY).run("inline")
    assert before == (sys.stdout, sys.stderr, os.fstat(1), os.fstat(2))
    assert capsys.readouterr().out.count("this is") == 3
    assert printed(run, "each", 1) == "this is 1\nwithout an end"


def test_follow_prints_a_log_until_its_element_has_ended(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(FLOW)
    process = typed(flow, *WAYS["background"])
    assert process.wait(timeout=60) == 0
    with (tmp_path / "followed").open("wb") as followed:
        reader = subprocess.Popen(
            [sys.executable, "flow.py", "logs", "latest", "work", "--follow"],
            cwd=tmp_path,
            stdout=followed,
        )
    until(lambda: (tmp_path / "followed").read_bytes() == PRINTED.encode())
    assert reader.poll() is None
    (tmp_path / "go").touch()
    assert reader.wait(timeout=60) == 0
    assert (tmp_path / "followed").read_bytes() == PRINTED.encode()
