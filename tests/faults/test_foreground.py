"""`run_local` interrupted, killed or failing: the run ends truly, nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
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


def start(
    flow: FlowFile, workers: int, hangup: signal.Handlers = signal.SIG_DFL
) -> subprocess.Popen[bytes]:
    """Run a flow as from a terminal, or as by `nohup`, however the tests themselves were begun."""
    with (flow.folder / "said").open("w") as said:
        return subprocess.Popen(
            [sys.executable, str(flow.path), str(workers)],
            cwd=flow.folder,
            stdout=subprocess.DEVNULL,
            stderr=said,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup),
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
    until(lambda: flow.calls["begun-4"])
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
    done = [word for word in flow.calls if word.startswith("done")]
    assert counts(run, "each")["SUCCESS"] == len(done)
    flow.forget()
    (tmp_path / "go").touch()
    run.retry()
    assert run.state == "SUCCESS"
    assert run.result("total") == 28
    # What had succeeded did not run again.
    assert not set(done) & set(flow.calls)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_whose_process_was_killed_is_recorded_and_can_be_retried(
    flow_file: Flows, tmp_path: Path, workers: int
) -> None:
    flow = flow_file(SLOW)
    process = start(flow, workers)
    until(lambda: flow.calls["begun-4"])
    process.kill()
    process.wait()
    run = only_run(flow)
    status = run.status(as_dict=True)
    assert status["run"]["status"] == "FAILED"
    assert "ended before the run was finished" in status["run"]["message"]
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
    until(lambda: flow.calls["begun-4"] and flow.calls["begun-5"])
    run = only_run(flow)
    # Looking at a run that goes on does not disturb it.
    assert run.status(as_dict=True)["run"]["status"] == "RUNNING"
    assert run.cancel() > 0
    process.wait(timeout=30)
    assert run.state == "CANCELLED"
    assert processes_of(tmp_path) == []
    assert flow.calls["done-4"] == 0
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
    from reflow.execution import inline

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


STOPS = """
    wf = Workflow("stops")

    @wf.job()
    def items() -> list[int]:
        return [0, 1, 2, 3, 4, 5]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(f"begun-{x}")
        if (Path("{here}/go")).exists():
            return x
        if x == 0:
            wait_for("{here}/stopped")
            return x
        if x == 1:
            while "begun-0" not in Path("{here}/journal").read_text():
                time.sleep(0.01)
            raise ValueError("no 1")
        wait_for("{here}/go")
        return x

    @wf.job(after=["each"])
    def last() -> int:
        return 1
"""


def test_the_first_failure_ends_nothing_that_runs(flow_file: Flows, tmp_path: Path) -> None:
    from reflow.runs.create import Wanted
    from reflow.workflow import run_foreground

    flow = flow_file(STOPS)
    workflow = flow.load()

    def let_the_other_end(tasks: Any) -> None:
        if tasks["each"]["counts"].get("SKIPPED"):
            (tmp_path / "stopped").touch()

    run = run_foreground(
        workflow,
        Wanted(),
        max_workers=2,
        on_error="stop",
        on_start=lambda run: None,
        on_progress=let_the_other_end,
    )
    assert run.state == "FAILED"
    assert failed(run) == {("each", 1): ("ERROR", "ValueError: no 1")}
    assert counts(run, "each") == {"SUCCESS": 1, "FAILED": 1, "SKIPPED": 4}
    assert counts(run, "last") == {"SKIPPED": 1}
    assert {word for word in flow.calls if word.startswith("begun")} == {"begun-0", "begun-1"}
    (tmp_path / "go").touch()
    run.retry()
    assert run.result("each") == [0, 1, 2, 3, 4, 5]
    assert flow.calls["begun-0"] == 1


def test_with_one_worker_nothing_is_begun_after_the_first_failure(flow_file: Flows) -> None:
    from reflow.errors import RunFailedError

    flow = flow_file(
        """
        wf = Workflow("stops")

        @wf.job()
        def items() -> list[int]:
            return [0, 1, 2, 3]

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did(f"begun-{x}")
            return 1 // (1 - x)
        """
    )
    with pytest.raises(RunFailedError, match="ZeroDivisionError"):
        flow.load().run_local()
    assert flow.calls == {"begun-0": 1, "begun-1": 1}
    assert counts(only_run(flow), "each") == {"SUCCESS": 1, "FAILED": 1, "SKIPPED": 2}


# -- signals --------------------------------------------------------------------------------

TOLD = """
    import subprocess

    import reflow.execution.pool

    wf = Workflow("told")

    @wf.job()
    def items() -> list[int]:
        return [0, 1]

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        programs = [
            subprocess.Popen(["sleep", "1000"]),
            subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]),
        ]
        try:
            did(f"begun-{x}")
            wait_for("{here}/go")
            return x
        except TaskInterrupted as interruption:
            did(f"told-{interruption}".split()[-1])
            if not Path("{here}/stubborn").exists():
                raise
        while True:
            try:
                time.sleep(1000)
            except TaskInterrupted:
                pass

    if __name__ == "__main__":
        if Path("{here}/stubborn").exists():
            reflow.execution.pool.KILL_AFTER = 1000.0
        wf.run_local(max_workers=int(sys.argv[1]))
"""


def recorded_state(flow: FlowFile) -> str:
    """What the database says, asked by nobody who looks after runs."""
    (record,) = flow.load().store.list_runs()
    return str(record.state)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_that_ends_programs_ends_the_run_and_all_that_it_started(
    flow_file: Flows, tmp_path: Path, workers: int, number: signal.Signals
) -> None:
    flow = flow_file(TOLD)
    process = start(flow, workers)
    until(lambda: sum(flow.calls[f"begun-{x}"] for x in range(2)) == workers)
    process.send_signal(number)
    assert process.wait(timeout=60) != 0
    assert recorded_state(flow) == "CANCELLED"
    name = "SIGTERM" if workers > 1 else number.name
    assert flow.calls[name] == workers
    assert processes_of(tmp_path) == []


def test_a_run_that_was_begun_to_outlive_the_terminal_does(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(TOLD)
    process = start(flow, 1, hangup=signal.SIG_IGN)
    until(lambda: flow.calls["begun-0"])
    process.send_signal(signal.SIGHUP)
    (tmp_path / "go").touch()
    assert process.wait(timeout=60) == 0
    assert only_run(flow).result("each") == [0, 1]


def test_a_second_ctrl_c_waits_for_nothing_that_does_not_listen(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(TOLD)
    (tmp_path / "stubborn").touch()
    process = start(flow, 2)
    until(lambda: flow.calls["begun-0"] and flow.calls["begun-1"])
    process.send_signal(signal.SIGINT)
    until(lambda: flow.calls["SIGTERM"] == 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert recorded_state(flow) == "CANCELLED"
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("where", ["create_run", "emit", "open_dispatcher"])
def test_ctrl_c_while_a_run_begins_leaves_none_that_seems_to_go_on(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from reflow.runs import launch

    flow = flow_file(SLOW)
    real = getattr(launch, where)

    def interrupted(*given: Any, **more: Any) -> Any:
        found = real(*given, **more)
        signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(launch, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        flow.load().run_local()
    assert recorded_state(flow) == "CANCELLED"


def test_signals_of_the_caller_stay_the_callers(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("handlers")

        @wf.job()
        def look() -> list[str]:
            return [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT)]
        """
    )

    def own(number: int, frame: object) -> None:
        return

    before = [signal.signal(number, own) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert flow.run("inline").result("look") == [str(own), str(own)]
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(flow.run("inline", force=True)))
    thread.start()
    thread.join()
    assert found[0].result("look") == [str(handler) for handler in before]


def test_a_run_whose_process_was_killed_has_ended_for_whoever_asks(flow_file: Flows) -> None:
    flow = flow_file(SLOW)
    process = start(flow, 2)
    until(lambda: flow.calls["begun-4"])
    run = only_run(flow)
    assert run.state == "RUNNING"
    process.kill()
    process.wait()
    listed = subprocess.run(
        [sys.executable, "-m", "reflow", "runs", "--status", "RUNNING"],
        cwd=flow.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no run fits" in listed.stdout
    assert run.state == "FAILED"


def test_a_submission_leaves_no_dead_child_behind(flow_file: Flows) -> None:
    flow_file(
        """
        wf = Workflow("short")

        @wf.job()
        def one() -> int:
            return 1
        """
    ).run("background")

    def dead_children() -> list[int]:
        stats = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        children = [int(pid) for text in stats for pid in text.split()]
        return [pid for pid in children if state_of(pid) == "Z"]

    until(lambda: not dead_children(), seconds=20)


def state_of(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return text[text.rindex(")") + 2]


def test_a_full_disk_is_a_failed_run(flow_file: Flows) -> None:
    flow = flow_file(
        """
        import errno

        from reflow.rundir.results import SegmentWriter

        wf = Workflow("full")

        @wf.job()
        def one() -> int:
            return 1

        def full(self: SegmentWriter) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        if __name__ == "__main__":
            SegmentWriter.flush = full
            wf.cli()
        """
    )
    ended = subprocess.run(
        [sys.executable, str(flow.path), "run", "--max-workers", "1"],
        cwd=flow.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    assert "disk full" in ended.stdout + ended.stderr or "No space left" in ended.stderr
    assert recorded_state(flow) == "FAILED"
