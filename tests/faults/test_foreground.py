"""`run_local` interrupted, killed or failing: the run ends truly, nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import FlowFile, counts, failed, processes_of, until

Flows = Callable[..., FlowFile]

SLOW = """
    import subprocess

    wf = Workflow("slow")

    @wf.job()
    def items() -> list[int]:
        return list(range(8))

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"begun-{x}")
        if x > 3 and not Path("{here}/go").exists():
            subprocess.run(["sleep", "1000"])
        did(f"done-{x}")
        return x

    @wf.job()
    def total(xs: Annotated[list[int], Result(step="each")]) -> int:
        return sum(xs)

    if __name__ == "__main__":
        wf.run_local(max_workers=int(sys.argv[1]))
"""


def start(flow: FlowFile, workers: int) -> subprocess.Popen[bytes]:
    with (flow.folder / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, str(flow.path), str(workers)],
            cwd=flow.folder,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
        )


def only_run(flow: FlowFile) -> Any:
    workflow = flow.load()
    (record,) = workflow.store.list_runs()
    return workflow.open_run(record.run_id)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_cancels_the_run_and_leaves_no_process(
    flow_file: Flows, tmp_path: Path, workers: int
) -> None:
    flow = flow_file(SLOW)
    process = start(flow, workers)
    until(lambda: flow.deeds["begun-4"])
    if workers > 1:
        # A pool puts results on the disk after a moment; here they are kept when it is interrupted.
        until(lambda: counts(only_run(flow), "each").get("SUCCESS") == 4)
    # As a terminal does it: to all processes of the foreground.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert "KeyboardInterrupt" in (tmp_path / "said").read_text()
    assert processes_of(tmp_path) == []
    run = only_run(flow)
    assert run.state == "CANCELLED"
    assert counts(run, "each").keys() == {"SUCCESS", "CANCELLED"}
    assert counts(run, "total") == {"CANCELLED": 1}
    done = [word for word in flow.deeds if word.startswith("done")]
    assert counts(run, "each")["SUCCESS"] == len(done)
    flow.forget()
    (tmp_path / "go").touch()
    run.retry()
    assert run.state == "SUCCESS"
    assert run.result("total") == 28
    # What had succeeded did not run again.
    assert not set(done) & set(flow.deeds)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_process_was_killed_is_recorded_and_can_be_retried(
    flow_file: Flows, tmp_path: Path, workers: int
) -> None:
    flow = flow_file(SLOW)
    process = start(flow, workers)
    until(lambda: flow.deeds["begun-4"])
    process.kill()
    process.wait()
    run = only_run(flow)
    status = run.status(as_dict=True)
    assert status["run"]["status"] == "FAILED"
    assert "ended before the run did" in status["run"]["message"]
    until(lambda: not [pid for pid in processes_of(tmp_path) if b"pool_worker" in command(pid)])
    (tmp_path / "go").touch()
    assert run.retry() > 0
    assert run.state == "SUCCESS"
    assert run.result("total") == 28


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_cancelling_from_another_process_ends_what_runs(flow_file: Flows, tmp_path: Path) -> None:
    flow = flow_file(SLOW)
    process = start(flow, 2)
    until(lambda: flow.deeds["begun-4"] and flow.deeds["begun-5"])
    run = only_run(flow)
    # Looking at a run that goes on does not disturb it.
    assert run.status(as_dict=True)["run"]["status"] == "RUNNING"
    assert run.cancel() > 0
    process.wait(timeout=30)
    assert run.state == "CANCELLED"
    assert processes_of(tmp_path) == []
    assert flow.deeds["done-4"] == 0
    assert run.cancel() == 0
    assert run.state == "CANCELLED"


def test_looking_at_a_run_from_within_does_not_end_it(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("within")

        @wf.job()
        def look() -> str:
            (record,) = wf.store.list_runs()
            return wf.open_run(record.run_id).status(as_dict=True)["run"]["status"]
        """
    )
    run = flow.run("inline")
    assert run.result("look") == "RUNNING"
    assert run.state == "SUCCESS"


def test_a_dispatcher_that_fails_ends_the_run_with_the_reason(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reflow.engine import inline

    flow = flow_file(SLOW)
    (flow.folder / "go").touch()
    workflow = flow.load()

    def breaks(self: object, timeout: float) -> None:
        raise RuntimeError("a bug in the executor")

    with monkeypatch.context() as broken:
        broken.setattr(inline.InlineExecutor, "wait", breaks)
        with pytest.raises(RuntimeError, match="a bug"):
            workflow.run_local()
    run = only_run(flow)
    assert run.status(as_dict=True)["run"]["status"] == "FAILED"
    assert "a bug in the executor" in run.status(as_dict=True)["run"]["message"]
    run.retry()
    assert run.state == "SUCCESS"


def test_on_error_stop_ends_what_runs_and_raises(flow_file: Flows, tmp_path: Path) -> None:
    from reflow.errors import RunFailedError

    flow = flow_file(
        """
        import subprocess

        wf = Workflow("stops")

        @wf.job()
        def items() -> list[int]:
            return [0, 1, 2, 3]

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did(f"begun-{x}")
            if (Path("{here}/go")).exists():
                return x
            if x == 0:
                subprocess.run(["sleep", "1000"])
            wait_for("{here}/journal")
            raise ValueError(f"no {x}")

        @wf.job(after=["each"])
        def last() -> int:
            return 1
        """
    )
    workflow = flow.load()
    with pytest.raises(RunFailedError, match="no "):
        workflow.run_local(max_workers=2)
    assert processes_of(tmp_path) == []
    run = only_run(flow)
    assert run.state == "FAILED"
    assert failed(run)["each", 1] == ("ERROR", "ValueError: no 1")
    assert ("each", 0) not in failed(run)
    (tmp_path / "go").touch()
    run.retry()
    assert run.result("each") == [0, 1, 2, 3]
