"""Retrying what failed: with an edited flow, one task at a time, after a stop, after giving up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from reflow.errors import FlowImportError, RunFailedError
from reflow.model.states import RunState

from tests.e2e.support import FlowFile, counts, failed, processes_of, run, until

Flows = Callable[..., FlowFile]

TWO_ROOTS = """
    wf = Workflow("roots")

    @wf.job()
    def a() -> int:
        did("a")
        if not Path("{here}/mended").exists():
            raise ValueError("not mended")
        return 1

    @wf.job(after="a")
    def behind_a() -> int:
        return 2

    @wf.job()
    def c() -> int:
        did("c")
        return 3
"""


def test_retrying_the_task_that_stopped_a_run_takes_up_what_was_left_behind_it(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(TWO_ROOTS)
    workflow = flow.load()
    with pytest.raises(RunFailedError):
        workflow.run_local()
    (record,) = workflow.store.list_runs()
    stopped = workflow.open_run(record.run_id)
    (tmp_path / "mended").touch()
    stopped.retry(task="a")
    assert stopped.result("behind_a") == 2


def test_a_task_retried_beside_an_old_failure_is_not_stopped_by_it(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(TWO_ROOTS)
    workflow = flow.load()
    with pytest.raises(RunFailedError):
        workflow.run_local()
    (record,) = workflow.store.list_runs()
    stopped = workflow.open_run(record.run_id)
    stopped.retry(task="c")
    assert stopped.result("c") == 3
    assert failed(stopped).keys() == {("a", None)}


SLOW_AND_BROKEN = """
    wf = Workflow("edited")

    @wf.job()
    def items() -> list[str]:
        return ["slow", "broken"]

    @wf.job(array=True)
    def work(item: Annotated[str, Result(step="items")]) -> str:
        did(item)
        if item == "slow":
            wait_for("{here}/go")
            return "slow"
        raise ValueError("broken")
"""


def test_a_retry_under_a_living_supervisor_plans_with_the_flow_as_it_is_now(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(SLOW_AND_BROKEN)
    started = flow.load().submit(executor="local", run_dir=tmp_path / "run")
    until(lambda: counts(started, "work").get("FAILED") and flow.calls["slow"])
    flow.replace('raise ValueError("broken")', 'return "mended"')
    started.retry()
    until(lambda: counts(started, "work").get("SUCCESS") == 1)
    (tmp_path / "go").touch()
    assert started.wait(60) is RunState.SUCCESS
    assert started.result("work") == ["slow", "mended"]
    assert flow.calls["slow"] == 1, "what ran while the supervisor began anew went on"


def test_cancelling_ends_workers_that_outlived_their_supervisor(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(SLOW_AND_BROKEN)
    started = flow.load().submit(executor="local", run_dir=tmp_path / "run")
    until(lambda: flow.calls["slow"])
    owner = started.store.lease(started.run_id).owner
    assert owner is not None
    subprocess.run(["kill", "-9", str(owner["pid"])], check=True)
    started.status(as_dict=True)
    until(lambda: counts(started, "work").get("RUNNING"))
    started.cancel()
    assert started.state is RunState.CANCELLED
    until(lambda: not processes_of(tmp_path / "run"))


def test_a_run_given_up_before_anything_began_can_be_retried(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(
        """
        wf = Workflow("early")

        @wf.job()
        def only() -> int:
            return 1
        """
    )
    workflow = flow.load()
    flow.replace("    return 1", "    return 1\n\nraise RuntimeError('not importable')")
    started = workflow.submit(executor="local", run_dir=tmp_path / "run")
    assert started.wait(60) is RunState.FAILED
    flow.replace("raise RuntimeError('not importable')", "")
    assert started.retry() == 1
    assert started.wait(60) is RunState.SUCCESS


def test_a_run_goes_on_when_a_task_is_added_to_its_flow(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(TWO_ROOTS)
    started = run(flow.load(), "inline", run_dir=tmp_path / "run")
    flow.replace("def c() -> int:", "def new() -> int:\n    return 9\n\n@wf.job()\ndef c() -> int:")
    (tmp_path / "mended").touch()
    again = flow.load().open_run(started.run_id)
    again.retry()
    assert again.state is RunState.SUCCESS
    assert set(again.status(as_dict=True)["tasks"]) == {"a", "behind_a", "c"}


def test_a_flow_that_has_lost_a_task_of_the_run_is_named(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(TWO_ROOTS)
    started = run(flow.load(), "inline", run_dir=tmp_path / "run")
    flow.replace("def c() -> int:", "def renamed() -> int:")
    again = flow.load().open_run(started.run_id)
    with pytest.raises(FlowImportError, match="no task 'c' any more"):
        again.retry()


SPAWNING = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    wf = Workflow("several")


    @dataclass
    class Point:
        x: int


    def square(point: Point) -> Point:
        return Point(point.x * point.x)


    @wf.job()
    def squares(method: str) -> list[int]:
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            return [point.x for point in pool.map(square, [Point(2), Point(3)])]

    if __name__ == "__main__":
        wf.cli()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("way", [("run", "--max-workers", "2"), ("submit", "--wait")])
def test_a_task_of_a_script_may_start_processes_that_call_its_functions(
    flow_file: Flows, tmp_path: Path, way: tuple[str, ...], method: str
) -> None:
    flow = flow_file(SPAWNING)
    command = [str(flow.path), *way, "--method", method, "--run-dir", "run"]

    ended = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "REFLOW_EXECUTOR": "local"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    run_id = re.findall(r"several-\d+-\w+", ended.stdout)[0]
    assert flow.load().open_run(run_id).result("squares") == [4, 9]


def test_versions_of_two_workflows_are_two_versions(flow_file: Flows, tmp_path: Path) -> None:
    one = flow_file(
        """
        wf = Workflow("one")

        @wf.job(version="1")
        def prepare() -> str:
            return "one"
        """,
        name="one",
    )
    two = flow_file(
        """
        wf = Workflow("two")

        @wf.job(version="1")
        def prepare() -> int:
            return 2
        """,
        name="two",
    )
    assert one.run("inline").result("prepare") == "one"
    assert two.run("inline").result("prepare") == 2


def test_a_relative_path_is_not_taken_for_one_of_another_folder(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = flow_file(
        """
        wf = Workflow("relative")

        @wf.job()
        def make() -> Path:
            did("make")
            Path("out.txt").write_text("mine")
            return Path("out.txt")
        """
    )
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        Path("out.txt").write_text("somebody else's")
        flow.run("inline")
    assert flow.calls["make"] == 2
