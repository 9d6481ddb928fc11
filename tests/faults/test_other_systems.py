"""The core where the system is not a Linux of today: what only that offers is taken away."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from reflow.execution import memory as usage
from reflow.executors import processes

from tests.e2e.support import until

LESS = """
# Imported by every Python at its start: what macOS and older kernels lack is not there.
import builtins, ctypes, fcntl, io, os

for module, names in (
    (os, ("pidfd_open", "sched_getaffinity", "sched_setaffinity", "posix_fadvise", "waitid")),
    (fcntl, ("F_SETPIPE_SZ", "F_GETPIPE_SZ")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

def without_proc(function):
    def call(path, *words, **named):
        text = os.fspath(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        if os.fsdecode(text).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", text)
        return function(path, *words, **named)
    return call

for name in ("open", "stat", "listdir", "scandir"):
    setattr(os, name, without_proc(getattr(os, name)))
io.open = builtins.open = without_proc(io.open)

class Library:
    def __init__(self, *words, **named):
        pass

ctypes.CDLL = Library
"""

FLOW = """
import os
from typing import Annotated

from reflow import Result, Workflow

wf = Workflow("less")


@wf.job()
def numbers() -> list[int]:
    assert not hasattr(os, "pidfd_open") and not os.path.exists("/proc/self")
    return [1, 2, 3]


@wf.job(array=True)
def square(number: Annotated[int, Result(step="numbers")]) -> int:
    if os.environ.get("KILLED") == str(number):
        os.kill(os.getpid(), 9)
    return number * number


@wf.job()
def total(squares: Annotated[list[int], Result(step="square")]) -> int:
    return sum(squares)


if __name__ == "__main__":
    wf.cli()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its input does."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as started:
        yield started
        assert started.stdin
        started.stdin.close()


def typed(tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Type a command of the flow file, on a system that has less."""
    (tmp_path / "less").mkdir(exist_ok=True)
    (tmp_path / "less" / "sitecustomize.py").write_text(LESS)
    (tmp_path / "flow.py").write_text(FLOW)
    return subprocess.run(
        [sys.executable, "flow.py", *words],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "less"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


# -- whole workflows ----------------------------------------------------------------------------
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_workflow_runs_in_the_foreground(tmp_path: Path, workers: str) -> None:
    ended = typed(tmp_path, "run", "--run-dir", "run", "--max-workers", workers)
    assert ended.returncode == 0, ended.stderr
    assert "14" in ended.stdout


def test_a_workflow_runs_in_the_background(tmp_path: Path) -> None:
    ended = typed(tmp_path, "submit", "--run-dir", "run", "--executor", "local", "--wait")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "SUCCESS" in typed(tmp_path, "status").stdout


@pytest.mark.parametrize("way", ["run", "submit"])
def test_a_worker_that_is_killed_fails_its_element(tmp_path: Path, way: str) -> None:
    words = ["--max-workers", "2"] if way == "run" else ["--executor", "local", "--wait"]
    ended = typed(tmp_path, way, "--run-dir", "run", *words, KILLED="2")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "SIGKILL" in ended.stdout + ended.stderr


# -- one by one ---------------------------------------------------------------------------------
def test_the_end_of_a_child_is_seen_without_pidfds(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    descriptor = processes.end_descriptor(child)
    try:
        assert select.select([descriptor], [], [], 0.1)[0] == []
        child.kill()
        assert select.select([descriptor], [], [], 30)[0] == [descriptor]
        assert child.poll() == -9
    finally:
        os.close(descriptor)


def test_the_end_of_a_child_is_seen_on_a_kernel_before_pidfds(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_implemented(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", not_implemented)
    descriptor = processes.end_descriptor(child)
    child.kill()
    assert select.select([descriptor], [], [], 30)[0] == [descriptor]
    os.close(descriptor)


def test_without_proc_ps_says_when_a_process_started_and_that_it_ended(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path)
    started = processes.start_of(child.pid)
    assert started is not None
    assert started == processes.start_of(child.pid)
    assert processes.process_id().endswith(f":{os.getpid()}:{processes.start_of(os.getpid())}")
    assert processes.claimed_process_lives(processes.process_id())
    assert child.pid in processes.descendants_in_group()
    child.send_signal(signal.SIGSTOP)
    until(lambda: (found := processes.process_of(child.pid)) is not None and found.stopped)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and waits for its parent
    assert processes.start_of(child.pid) is None
    assert child.pid not in processes.descendants_in_group()
    child.wait()
    assert processes.start_of(child.pid) is None


def test_the_peak_memory_is_that_of_all_time_where_linux_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(path: str) -> bytes:
        raise FileNotFoundError(path)

    monkeypatch.setattr(usage, "read_bytes", absent)
    monkeypatch.setattr(usage, "_INHERITED", 0)
    assert (usage.peak_memory() or 0) > 1_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_peak_memory_of_a_worker_is_never_that_of_the_dispatcher() -> None:
    worker = """if True:
        from reflow.execution import memory
        print(memory.peak_memory())
        def absent(path): raise FileNotFoundError(path)
        memory.read_bytes = absent
        print(memory.peak_memory())
    """
    dispatcher = """if True:
        import subprocess, sys
        large = b"x" * (300 << 20)
        subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
    """
    command = [sys.executable, "-c", dispatcher, worker]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert 1 << 20 < int(told[0]) < 200 << 20
    assert told[1] == "None"


def test_the_peak_memory_is_not_reset_where_that_is_not_permitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", denied)
    usage.reset_peak()
    monkeypatch.undo()
    assert (usage.peak_memory() or 0) > 1_000_000


def test_a_group_of_what_has_ended_may_not_be_signalled_on_macos(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(group: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", denied)
    processes.end_group(12345, signal.SIGTERM)
