"""Times single steps of the engine in this process; prints them as JSON.

    python steps.py N

The tasks' own work is left out: an executor that does nothing takes the jobs, and the results are
written here, one file each, as workers on a cluster write them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from noop import wf
from reflow.dispatch.lease import take
from reflow.execution.execute import plugin_codecs
from reflow.model.canonical import dumps
from reflow.model.jobs import (
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.outcomes import Outcome
from reflow.model.records import SubmissionKind
from reflow.model.states import JobState, TaskState
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import ResultRecord, publish
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.runs.driver import Command, drive
from reflow.runs.open_dispatcher import open_dispatcher

CODECS = plugin_codecs()
WORKERS = 5
"""Processes of one element each that are timed; the fastest counts."""


class Nothing:
    """An executor that accepts every job and runs none."""

    name = "nothing"
    settings: Mapping[str, Json] = {}

    def __init__(self, *, dispatch_jobs: bool = True) -> None:
        self.capabilities = Capabilities(dispatch_jobs=dispatch_jobs)

    def limits(self) -> Limits:
        return Limits()

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        follows = None if follow_up is None else self._accept(follow_up)
        return Submission(self._accept(request), follows)

    def _accept(self, request: JobRequest) -> JobHandle:
        return JobHandle(native_id=request.token, token=request.token, size=request.size)

    def script(self, request: JobRequest) -> str:
        return ""

    def find(self, token: str) -> Sequence[JobHandle]:
        return []

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        return [JobStatus(native_id=each.native_id, state=JobState.RUNNING) for each in handles]

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        return

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        return

    def wait(self, timeout: float) -> None:
        return

    def close(self) -> None:
        return


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of processor time of this process."""
    start, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - cpu


def submitted(count: int, executor: Nothing) -> RunSettings:
    """A run whose first task is done, so that its array task is next."""
    run = wf.submit(run_dir=Path.cwd() / "run", executor=executor, count=count, force=True)
    settings = read_settings(run.run_dir, run.run_id)
    publish(wave_of(settings, "prepare"), result(0, list(range(count))), "0")
    return settings


def step(settings: RunSettings, executor: Nothing) -> None:
    """What a dispatch job does, after its imports."""
    lease = take(wf.store, settings.run_id)
    assert lease is not None
    drive(open_dispatcher(wf.store, settings, lease, executor), Command())


def wave_of(settings: RunSettings, task: str) -> WaveLayout:
    [record] = [
        each
        for each in wf.store.submissions(settings.run_id, open_only=False)
        if each.kind is SubmissionKind.WAVE and each.task == task
    ]
    return settings.layout.wave(record.number)


def result(index: int, value: Any) -> ResultRecord:
    outcome = Outcome(
        task="nothing",
        index=index,
        attempt=1,
        state=TaskState.SUCCESS,
        output=dumps(CODECS.encode(value)),
        started_at=time.time(),
        ended_at=time.time(),
    )
    return ResultRecord(position=index, outcome=outcome)


def one_worker(settings: RunSettings, position: int) -> float:
    """Run one element in a process of its own, as a job of a scheduler does."""
    wave = wave_of(settings, "nothing")
    words = [str(settings.run_dir), settings.run_id, str(wave.number), str(position)]
    command = [sys.executable, "-m", "reflow.execution.job_worker", *words]
    seconds, _ = timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
    assert any((wave.results / "0").glob(f"{position}.1.*.json")), "it left no result"
    return seconds


def measure(count: int) -> dict[str, float]:
    executor = Nothing()
    settings = submitted(count, executor)
    dispatch, dispatch_cpu = timed(lambda: step(settings, executor))
    assert sum(wf.store.counts(settings.run_id)["nothing"].values()) == count
    wave = wave_of(settings, "nothing")
    for index in range(count):
        publish(wave, result(index, index), "0")
    ingest, ingest_cpu = timed(lambda: step(settings, executor))
    assert wf.store.counts(settings.run_id)["nothing"] == {TaskState.SUCCESS: count}
    # ru_maxrss is in KiB on Linux: getrusage(2).
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    still = submitted(WORKERS, alone := Nothing(dispatch_jobs=False))
    step(still, alone)
    worker = min(one_worker(still, position) for position in range(WORKERS))
    return {
        "dispatch": dispatch,
        "dispatch_cpu": dispatch_cpu,
        "ingest": ingest,
        "ingest_cpu": ingest_cpu,
        "peak": peak,
        "worker": worker,
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))
