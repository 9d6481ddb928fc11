"""The executor of `run_local(max_workers=N)`: a pool of worker processes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence

from reflow.execution.pool.protocol import Why
from reflow.execution.pool.workers import WorkerPool
from reflow.executors.processes import usable_cpus
from reflow.executors.seats import Seats, usable_gpus
from reflow.model.jobs import (
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.states import JobState
from reflow.rundir.run_settings import RunSettings


class PoolExecutor:
    """Runs elements in worker processes that live as long as the pool."""

    name = "pool"
    capabilities = Capabilities(dispatch_jobs=False, volatile=True, begin_time=False)

    def __init__(self, run: RunSettings, workers: int, gpus: int | None = None) -> None:
        """Prepare a pool of up to `workers` processes with `gpus` GPUs (default: as found)."""
        devices = usable_gpus(gpus)
        # The user wants as many one-CPU elements as workers, whatever the machine has.
        seats = Seats(max(workers, usable_cpus()), len(devices))
        with tempfile.TemporaryFile() as slots:
            self._pool = WorkerPool(run, workers, seats, devices, os.dup(slots.fileno()))
        self._requests: dict[str, JobRequest] = {}

    @property
    def settings(self) -> Mapping[str, Json]:
        """Empty: this executor cannot be recreated in another process."""
        return {}

    def limits(self) -> Limits:
        """Return no limits."""
        return Limits()

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Hand a wave to the workers, as far as the pipe takes it."""
        assert follow_up is None
        number = request.directory.name
        self._requests[number] = request
        self._pool.add(int(number), range(request.size or 1), request.resources, request.throttle)
        return Submission(JobHandle(native_id=number, token=request.token, size=request.size))

    def script(self, request: JobRequest) -> str:
        """Return no script: processes are started as they are."""
        return ""

    def find(self, token: str) -> Sequence[JobHandle]:
        """Return the wave of that token."""
        return [
            JobHandle(native_id=number, token=token, size=request.size)
            for number, request in self._requests.items()
            if request.token == token
        ]

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Report what runs, and what ended with its worker."""
        return [status for handle in handles for status in self._statuses(handle.native_id)]

    def poll_positions(self, handle: JobHandle, wanted: Container[int]) -> Sequence[JobStatus]:
        """Report what runs, and what ended with its worker and is still wanted."""
        if handle.native_id in self._requests:
            wave = self._pool.waves[int(handle.native_id)]
            wave.over = {item: status for item, status in wave.over.items() if item in wanted}
        return list(self._statuses(handle.native_id))

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Drop what waits and interrupt what runs."""
        for handle in handles:
            request = self._requests.get(handle.native_id)
            if request is not None:
                self.cancel_positions(handle, range(request.size or 1))

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Drop or interrupt some elements."""
        if handle.native_id not in self._requests:
            return
        number, chosen = int(handle.native_id), set(positions)
        self._pool.drop(number, chosen)
        self._pool.tell({(number, position) for position in chosen}, Why.CANCELLED)

    def drop_waiting(self) -> dict[int, list[int]]:
        """Drop what no worker has begun; return its positions, by the numbers of their waves."""
        return self._pool.drop_waiting()

    def wait(self, timeout: float) -> None:
        """Return when something has changed, or after `timeout` seconds.

        Raises `ExecutorError` where workers end as soon as they are started.
        """
        self._pool.wait(timeout)

    def kill_told(self) -> None:
        """Kill at once whatever was told to end."""
        self._pool.kill_told()

    def close(self) -> None:
        """End the workers: idle ones at once, running ones by a signal."""
        self._pool.close()

    def _statuses(self, native_id: str) -> Iterator[JobStatus]:
        if native_id not in self._requests:
            yield JobStatus(native_id=native_id, state=JobState.UNKNOWN)
            return
        wave = self._pool.waves[int(native_id)]
        if not wave.unfinished:
            # A position without a result by now was reported, but its result is not there.
            yield JobStatus(native_id=native_id, state=JobState.COMPLETED)
        yield from wave.over.values()
        for (number, position), _ in self._pool.running():
            if number == wave.number:
                yield JobStatus(
                    native_id=native_id,
                    state=JobState.RUNNING,
                    positions=range(position, position + 1),
                )
