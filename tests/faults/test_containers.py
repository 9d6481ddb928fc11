"""Runs in a container: processes there have numbers of their own, and the first has number 1."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from reflow.model.states import RunState

from tests.e2e.support import FlowFile, until
from tests.faults.test_foreground import only_run

MakeFlow = Callable[..., FlowFile]

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

FLOW = """
wf = Workflow("inside")


@wf.job()
def words() -> list[str]:
    return list("abc")


@wf.job(array=True)
def stay(word: Annotated[str, Result(step="words")]) -> str:
    did(word)
    wait_for("{here}/go")
    return word


if __name__ == "__main__":
    wf.run_local(max_workers=int(sys.argv[1]))
"""
ONCE = {"a": 1, "b": 1, "c": 1}


def _works() -> bool:
    try:
        return (
            subprocess.run([*CONTAINER, "true"], check=False, capture_output=True).returncode == 0
        )
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(not _works(), reason="no PID namespace can be made here")


@contextmanager
def running(flow: FlowFile, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a flow as process 1 of a container."""
    command = [*CONTAINER, sys.executable, str(flow.path), str(workers)]
    process = subprocess.Popen(command, cwd=flow.folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_process_1_goes_to_its_end(flow_file: MakeFlow, workers: int) -> None:
    flow = flow_file(FLOW)
    (flow.folder / "go").touch()

    with running(flow, workers) as process:
        assert process.wait(60) == 0

    assert flow.calls == ONCE


def test_a_look_from_outside_leaves_a_healthy_run_in_a_container_alone(
    flow_file: MakeFlow,
) -> None:
    flow = flow_file(FLOW)
    with running(flow, 3) as process:
        until(lambda: flow.calls == ONCE)
        run = only_run(flow)

        assert run.status(as_dict=True)["run"]["status"] == "RUNNING"

        (flow.folder / "go").touch()
        assert process.wait(60) == 0
    assert run.state is RunState.SUCCESS
    assert flow.calls == ONCE
