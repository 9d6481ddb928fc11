"""What tests of a backend on its fake scheduler stand on."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reflow.executors.batch.base import BatchExecutor
from reflow.executors.contract import Executor
from reflow.model.jobs import JobHandle, JobRequest, JobStatus
from reflow.model.states import JobState

from tests.e2e.support import FlowFile, until

SLOW_KILL = 'kill() { builtin kill "$@"; sleep 0.5; }'
"""A line of setup."""
STAGES = """
wf = Workflow("stages")


@wf.job()
def prepare() -> list[str]:
    return ["a", "b", "c"]


@wf.job(array=True, array_parallelism=2, mem="100M", time="00:05:00", cpus=2)
def each(word: Annotated[str, Result(step="prepare")]) -> str:
    did(word)
    return word


@wf.job()
def gather(words: Annotated[list[str], Result(step="each")]) -> str:
    return "".join(words)
"""

MakeFlow = Callable[..., FlowFile]
Shell = Callable[..., JobRequest]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    def make(text: str, token: str = "convert-ab12-3", **fields: Any) -> JobRequest:
        directory = tmp_path / token
        directory.mkdir()
        return JobRequest(
            token=token,
            command=("/bin/sh", "-c", text, "sh"),
            directory=directory,
            working_directory=tmp_path,
            **fields,
        )

    return make


def code_when_warned(
    executor: BatchExecutor, directory: Path, answer: str, warning: signal.Signals
) -> int:
    """What the script ends with whose work answers SIGTERM so: that is what the warning is to it.

    `executor` is to be slow after a `kill`: then the work has ended before it is waited for again.
    """
    line = f"trap '{answer}' TERM; touch begun; while :; do sleep 0.05; done"
    request = JobRequest(
        token="convert-ab12-3",
        command=("/bin/sh", "-c", line, "sh"),
        directory=directory,
        working_directory=directory,
    )
    script = directory / "job.sh"
    script.write_text(executor.script(request))
    with subprocess.Popen([executor.shell, script]) as job:
        begun = directory / "begun"
        # The script sets its traps beside the work that it started.
        until(lambda: begun.exists() and _catches(job.pid, warning))
        job.send_signal(warning)
        return job.wait(30)


def _catches(pid: int, number: int) -> bool:
    """Whether a process handles a signal itself."""
    caught = Path(f"/proc/{pid}/status").read_text().partition("SigCgt:")[2].split()[0]
    return bool(int(caught, 16) >> (number - 1) & 1)


def states(executor: Executor, *handles: JobHandle) -> list[JobState]:
    return [status.state for status in executor.poll(handles)]


def end_of(executor: Executor, handle: JobHandle) -> JobStatus:
    until(lambda: all(status.state.over for status in executor.poll([handle])))
    (status,) = executor.poll([handle])
    return status


def work(tmp_path: Path, name: str, line: str, **wishes: Any) -> JobRequest:
    """A line for the shell, in a folder of its own; `$0` is the position, of a plain job 0."""
    folder = tmp_path / name
    folder.mkdir()
    return JobRequest(
        token=f"test-{name}".replace(" ", "_").replace(":", "_"),
        command=("/bin/sh", "-c", line, *([] if wishes.get("size") else ["0"])),
        directory=folder,
        working_directory=folder,
        **wishes,
    )
