"""Functions that break the process they run in: the right element fails, with the right cause."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from reflow.errors import RunFailedError, TaskInterrupted
from reflow.execution import execute
from reflow.model.lineage import VARIABLE

from tests.e2e.support import FlowFile, counts, failed, processes_of, until

Flows = Callable[..., FlowFile]

MISCHIEF = """
    import subprocess
    import threading

    wf = Workflow("mischief")

    class Odd:
        pass

    DEEDS = [
        "nothing", "kill", "exit", "exit_well", "raise", "leave", "shout", "wander", "unstorable",
        "memory", "deep", "close", "shut", "children", "threads", "handlers", "stdout", "fork",
        "group", "odd_error", "nothing_again",
    ]

    def deep(n: int) -> int:
        return deep(n + 1)

    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    @wf.job()
    def calls() -> list[str]:
        return DEEDS

    @wf.job(array=True)
    def do(deed: Annotated[str, Result(step="calls")]) -> object:
        did(deed)
        print("before", deed, flush=True)
        if Path("{here}/behave").exists():
            return deed
        if deed == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif deed == "exit":
            os._exit(3)
        elif deed == "exit_well":
            os._exit(0)
        elif deed == "raise":
            raise ValueError("as it must be")
        elif deed == "leave":
            sys.exit("leaving")
        elif deed == "shout":
            for _ in range(100):
                sys.stdout.write("x" * 1_000_000)
        elif deed == "wander":
            os.chdir("/")
        elif deed == "unstorable":
            return {"odd": Odd()}
        elif deed == "memory":
            raise MemoryError("all gone")
        elif deed == "deep":
            return deep(0)
        elif deed == "close":
            for descriptor in range(3):
                os.close(descriptor)
        elif deed == "shut":
            sys.stdout.close()
            sys.stderr.close()
        elif deed == "children":
            subprocess.Popen(["sleep", "1000"])
        elif deed == "threads":
            threading.Thread(target=time.sleep, args=(1000,)).start()
        elif deed == "handlers":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        elif deed == "stdout":
            sys.stdout = sys.stderr = None
        elif deed == "fork":
            if os.fork() == 0:
                return "the child comes back as well"
        elif deed == "group":
            os.killpg(0, signal.SIGKILL)
        elif deed == "odd_error":
            raise OddError
        elif deed.startswith("nothing"):
            assert os.getcwd() == "{here}"
            print("seen")
        return deed

    @wf.job()
    def gathered(calls: Annotated[list[object], Result(step="do")]) -> int:
        return len(calls)
"""

FAILURES = {
    "kill": ("SIGNAL", "SIGKILL"),
    "exit": ("EXIT_CODE", "3"),
    "exit_well": ("EXIT_CODE", "exited with status 0"),
    "raise": ("ERROR", "ValueError: as it must be"),
    "leave": ("ERROR", "SystemExit: leaving"),
    "unstorable": ("ERROR", "Odd"),
    "memory": ("MEMORY", "all gone"),
    "deep": ("ERROR", "RecursionError"),
    "group": ("SIGNAL", "SIGKILL"),
    "odd_error": ("ERROR", "OddError"),
}


@pytest.mark.parametrize("way", ["pool", "background"])
def test_each_mischief_costs_its_own_element_and_no_other(
    flow_file: Flows, tmp_path: Path, way: str
) -> None:
    flow = flow_file(MISCHIEF)
    run = flow.run(way)
    calls = run.result("calls")
    assert run.state == "FAILED"
    found = {calls[index]: why for (_, index), why in failed(run).items()}
    assert {deed: cause for deed, (cause, _) in found.items()} == {
        deed: cause for deed, (cause, _) in FAILURES.items()
    }
    for deed, (_, said) in FAILURES.items():
        assert said in found[deed][1], found[deed]
    assert counts(run, "do") == {"FAILED": len(FAILURES), "SUCCESS": len(calls) - len(FAILURES)}
    assert counts(run, "gathered") == {"SKIPPED": 1}
    logs = {deed: run.log_path("do", index) for index, deed in enumerate(calls)}
    for deed, path in logs.items():
        assert path.read_text().startswith(f"before {deed}\n"), deed
    assert logs["nothing_again"].read_text() == "before nothing_again\nseen\n"
    assert "as it must be" in logs["raise"].read_text()
    assert logs["shout"].stat().st_size == len("before shout\n") + 100_000_000
    # Mended, the run completes, and what had succeeded is left alone.
    logs["shout"].unlink()
    flow.forget()
    (tmp_path / "behave").touch()
    assert run.retry() == len(FAILURES) + 1
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("do") == [
        deed if deed != "fork" else run.result("do")[index] for index, deed in enumerate(calls)
    ]
    assert flow.calls == dict.fromkeys(FAILURES, 1)


def test_a_long_element_never_makes_short_ones_wait(flow_file: Flows) -> None:
    flow = flow_file(
        """
        wf = Workflow("long")

        @wf.job()
        def items() -> list[int]:
            return list(range(300))

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did(x)
            if x == 0:
                journal = Path("{here}/journal")
                end = time.monotonic() + 30
                while journal.read_text().count("\\n") < 300:
                    assert time.monotonic() < end, "the others wait for this one"
                    time.sleep(0.01)
            return x
        """
    )
    assert flow.run("pool").result("each") == list(range(300))
    assert set(flow.calls.values()) == {1}


MANY = """
    wf = Workflow("many")

    @wf.job()
    def items() -> list[int]:
        return list(range(600))

    @wf.job(array=True)
    def each(x: Annotated[int, Result(step="items")]) -> int:
        did(x)
        time.sleep(0.002)
        return -x
"""


def pool_workers(folder: Path) -> list[int]:
    found = []
    for pid in processes_of(folder):
        with contextlib.suppress(OSError):
            if b"reflow.execution.pool.worker" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


@contextlib.contextmanager
def killing(folder: Path, times: int, flow: FlowFile) -> Iterator[list[int]]:
    """Meanwhile, kill a worker now and then: whenever another 60 elements have run."""
    killed: list[int] = []

    def have_run(number: int) -> bool:
        return flow.calls.total() > number

    def kill() -> None:
        for number in range(times):
            until(partial(have_run, 60 * (number + 1)))
            for pid in pool_workers(folder)[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        thread.join()


def test_workers_that_are_killed_lose_nothing_but_what_they_were_at(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(MANY)
    with killing(tmp_path, 5, flow) as killed:
        run = flow.run("pool")
    assert len(killed) == 5
    lost = failed(run)
    assert len(lost) <= 5
    assert {cause for cause, _ in lost.values()} <= {"SIGNAL"}
    assert counts(run, "each").get("SUCCESS") == 600 - len(lost)
    begun = {int(word) for word in flow.calls}
    assert set(range(600)) - begun <= {index for _, index in lost}
    flow.forget()
    run.retry()
    assert run.result("each") == [-x for x in range(600)]
    assert flow.calls == {str(index): 1 for _, index in lost}


def test_a_worker_that_is_killed_before_it_begins_is_replaced(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(MANY.replace("range(600)", "range(5)"))
    done = threading.Event()

    def kill() -> None:
        seen: set[int] = set()
        while len(seen) < 3 and not done.is_set():
            for pid in set(pool_workers(tmp_path)) - seen:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                seen.add(pid)
            time.sleep(0.001)

    thread = threading.Thread(target=kill)
    thread.start()
    run = flow.run("pool")
    done.set()
    thread.join()
    assert failed(run) == {}
    assert run.state == "SUCCESS"


def test_workers_that_cannot_begin_end_the_run_with_a_reason(
    flow_file: Flows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reflow.errors import ReflowError

    flow = flow_file(MANY)
    workflow = flow.load()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(ReflowError, match=r"end before they run a task.*status 7"):
        workflow.run_local(max_workers=2)
    (record,) = workflow.store.list_runs()
    assert record.state == "FAILED"
    assert "status 7" in record.message
    monkeypatch.delenv("PYTHONPATH")
    run = workflow.open_run(record.run_id)
    run.retry()
    assert run.state == "SUCCESS"


def test_threads_left_behind_free_their_slot(flow_file: Flows) -> None:
    from reflow.executors.local import LocalExecutor

    flow = flow_file(
        """
        import threading

        wf = Workflow("threads")

        @wf.job()
        def first() -> int:
            threading.Thread(target=time.sleep, args=(1000,)).start()
            return 1

        @wf.job()
        def second(x: Annotated[int, Result(step="first")]) -> int:
            return x + 1
        """
    )
    run = flow.load().submit(executor=LocalExecutor(slots=1))
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("second") == 2


def test_a_function_may_kill_the_process_that_started_its_worker(
    flow_file: Flows, tmp_path: Path
) -> None:
    flow = flow_file(
        """
        wf = Workflow("parent")

        @wf.job()
        def first() -> int:
            did("first")
            if not Path("{here}/killed").exists():
                Path("{here}/killed").touch()
                os.kill(os.getppid(), signal.SIGKILL)
            return 1

        @wf.job()
        def second(x: Annotated[int, Result(step="first")]) -> int:
            did("second")
            return x + 1
        """
    )
    run = flow.load().submit(executor="local")
    until((tmp_path / "killed").exists)
    assert run.wait(timeout=60) == "SUCCESS"
    assert run.result("second") == 2
    # The worker outlived its supervisor, and the next one waited for it.
    assert flow.calls == {"first": 1, "second": 1}


POOLS = """
    import multiprocessing

    wf = Workflow("pools")

    def square(x: int) -> int:
        return x * x

    @wf.job()
    def squares() -> list[int]:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(square, range(4))
"""


@pytest.mark.parametrize("way", ["pool", "background"])
def test_a_process_that_a_task_forked_ends_without_a_word_when_it_is_told_to(
    flow_file: Flows, way: str
) -> None:
    run = flow_file(POOLS).run(way)
    assert run.result("squares") == [0, 1, 4, 9]
    with contextlib.suppress(KeyError):
        assert run.log_path("squares").read_text() == ""


def test_a_signal_in_the_last_moment_before_a_function_is_the_elements_end(
    flow_file: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(folder: str | None) -> None:
        if folder is not None:
            raise TaskInterrupted("the job was sent SIGTERM", signal.SIGTERM)

    monkeypatch.setattr(execute, "enter_scratch", interrupted)
    flow = flow_file("""
    wf = Workflow("moment")


    @wf.job()
    def alone() -> int:
        return 1
    """)

    run = flow.run("inline")

    assert failed(run)["alone", None][0] == "SIGNAL"
    assert VARIABLE not in os.environ


def test_failures_of_all_workers_at_once_stop_the_run_and_what_runs_goes_on(
    flow_file: Flows,
) -> None:
    flow = flow_file("""
        wf = Workflow("stops")

        @wf.job()
        def items() -> list[int]:
            return list(range(8))

        @wf.job(array=True)
        def each(x: Annotated[int, Result(step="items")]) -> int:
            did(f"begun-{x}")
            wait_for("{here}/go")
            if x:
                raise ValueError(x)
            wait_for("{here}/end")
            return x
    """)

    def go_on() -> None:
        until(lambda: len(flow.calls) == 8)
        (flow.folder / "go").touch()
        logs = partial(flow.folder.glob, "runs/*/logs/*/each/*.log")
        until(lambda: len({log.name for log in logs()}) == 7)
        (flow.folder / "end").touch()

    other = threading.Thread(target=go_on)
    other.start()
    with pytest.raises(RunFailedError) as failure:
        flow.load().run_local(max_workers=8)
    other.join()
    assert counts(failure.value.run, "each") == {"SUCCESS": 1, "FAILED": 7}
