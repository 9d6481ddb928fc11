"""The local executor: one process per element, on this machine, a few at a time."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reflow.errors import SubmissionRefusedError
from reflow.executors.batch.arrays import contiguous
from reflow.executors.processes import (
    claimed_process_lives,
    end_descriptor,
    end_group,
    usable_cpus,
)
from reflow.executors.seats import Seats, device_variables, usable_gpus
from reflow.model.jobs import (
    LOG_NAME,
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.states import FailureCause, JobState
from reflow.permissions import open_file

KILL_AFTER = 5.0
"""Seconds between SIGTERM and SIGKILL for a cancelled process."""
REAP_EVERY = 0.5
"""Seconds between two checks of processes that are to end."""


@dataclass(slots=True)
class _Job:
    request: JobRequest
    waiting: deque[int]
    running: dict[int, _Child] = field(default_factory=dict)
    over: dict[int, JobStatus] = field(default_factory=dict)
    unsettled: set[int] = field(default_factory=set)
    """Positions that are over and may still be polled."""

    def end(self, position: int, status: JobStatus) -> None:
        """Record how a position ended."""
        self.over[position] = status
        self.unsettled.add(position)


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    descriptor: int
    """A descriptor that becomes readable when the child ends."""
    devices: tuple[str, ...] = ()
    """The GPUs assigned to it while it runs."""
    kill_at: float | None = None


class LocalExecutor:
    """Runs jobs as child processes. Slots are counted in CPUs; GPUs are assigned singly.

    A request's time and memory are not enforced: what fits a cluster's node says little about
    this machine. Cancelling sends SIGTERM, and SIGKILL five seconds later.
    """

    name = "local"
    capabilities = Capabilities(
        dispatch_jobs=False,
        volatile=True,
        begin_time=False,
        memory_limit=False,
        notes=("Time and memory limits of tasks are not enforced on one machine.",),
    )

    def __init__(self, *, slots: int | None = None, gpus: int | None = None) -> None:
        """Set how many CPUs (`slots`) and GPUs elements may take together: by default, all."""
        if slots is not None and slots < 1:
            raise ValueError(f"slots must be at least 1, not {slots}")
        if gpus is not None and gpus < 0:
            raise ValueError(f"gpus must not be negative, but is {gpus}")
        self._devices = usable_gpus(gpus)
        self._seats = Seats(slots or usable_cpus(), len(self._devices))
        given = {"slots": slots, "gpus": gpus}
        self._settings: dict[str, Json] = {
            name: value for name, value in given.items() if value is not None
        }
        self._jobs: dict[str, _Job] = {}
        self._selector = selectors.DefaultSelector()

    @property
    def settings(self) -> Mapping[str, Json]:
        """The keyword arguments that rebuild this executor in another process."""
        return self._settings

    def limits(self) -> Limits:
        """Return no limits but the CPUs: jobs that do not fit wait in this object."""
        return Limits(cpus=self._seats.cpus)

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Queue a job; processes are started by `wait`."""
        if follow_up is not None or request.begin_in is not None:
            raise SubmissionRefusedError("the local executor runs no dispatch jobs")
        job = _Job(request, deque(range(request.size or 1)))
        self._jobs[request.token] = job
        self._start_what_fits()
        return Submission(_handle(request))

    def script(self, request: JobRequest) -> str:
        """Return an empty text: processes are started without a script."""
        return ""

    def find(self, token: str) -> Sequence[JobHandle]:
        """Find the job of that token, if this object has it."""
        job = self._jobs.get(token)
        if job is None:
            return []
        return [_handle(job.request)]

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Return the states of this object's jobs, and whether workers of other objects live."""
        self._reap()
        return [status for handle in handles for status in self._statuses(handle)]

    def poll_positions(self, handle: JobHandle, wanted: Container[int]) -> Sequence[JobStatus]:
        """Return the states of wanted positions that run or have ended."""
        self._reap()
        job = self._jobs.get(handle.native_id)
        if job is None:
            return self._statuses(handle)
        job.unsettled = {position for position in job.unsettled if position in wanted}
        ended = [job.over[position] for position in job.unsettled]
        return [*_running(job), *ended]

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Drop the waiting elements and end the running ones."""
        for handle in handles:
            job = self._jobs.get(handle.native_id)
            if job is not None:
                self.cancel_positions(handle, range(job.request.size or 1))
            elif claimed_process_lives(handle.native_id):
                # A worker of an earlier supervisor: no child of this process, but of this run.
                end_group(int(handle.native_id.split(":")[-2]), signal.SIGTERM)

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Drop waiting elements and end running ones."""
        job = self._jobs.get(handle.native_id)
        if job is None:
            return
        chosen = set(positions)
        for position in [item for item in job.waiting if item in chosen]:
            job.waiting.remove(position)
            job.end(position, _status(job, position, JobState.CANCELLED))
        for position, child in job.running.items():
            if position in chosen and child.kill_at is None:
                end_group(child.process.pid, signal.SIGTERM)
                child.kill_at = time.monotonic() + KILL_AFTER

    def wait(self, timeout: float) -> None:
        """Start what fits, and wait until a process has ended, at most `timeout` seconds."""
        self._start_what_fits()
        ended = self._selector.select(timeout)
        self._kill_overdue()
        if ended:
            self._reap()
            self._start_what_fits()

    def close(self) -> None:
        """Wait for cancelled processes to end; let other running processes go on."""
        while any(child.kill_at for job in self._jobs.values() for child in job.running.values()):
            self._selector.select(REAP_EVERY)
            self._kill_overdue()
            self._reap()
        self._selector.close()
        for job in self._jobs.values():
            for child in job.running.values():
                os.close(child.descriptor)
                # No longer waited for here: its result file tells how it ended.
                child.process.returncode = 0
            job.running.clear()

    # -- processes -------------------------------------------------------------------------
    def _start_what_fits(self) -> None:
        for job in self._jobs.values():
            running = [(each.request.resources, len(each.running)) for each in self._jobs.values()]
            room = self._seats.room(job.request.resources, running)
            most = job.request.throttle or len(job.waiting) + len(job.running)
            for _ in range(min(room, most - len(job.running), len(job.waiting))):
                self._start(job, job.waiting.popleft())

    def _free_devices(self, job: _Job) -> tuple[str, ...]:
        """Return the GPUs for one more element of a job."""
        _, number, _ = self._seats.needs(job.request.resources)
        held = {
            device
            for each in self._jobs.values()
            for child in each.running.values()
            for device in child.devices
        }
        return tuple(device for device in self._devices if device not in held)[:number]

    def _start(self, job: _Job, position: int) -> None:
        request = job.request
        command = list(request.command)
        devices = self._free_devices(job)
        if request.size is not None:
            command.append(str(position))
        try:
            with open_file(request.directory / LOG_NAME, "ab") as log:
                process = subprocess.Popen(
                    command,
                    cwd=request.working_directory,
                    env={**os.environ, **device_variables(devices), **request.environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            status = _status(job, position, JobState.FAILED)
            job.end(position, replace(status, cause=FailureCause.SUBMIT, reason=str(error)))
            return
        descriptor = end_descriptor(process)
        job.running[position] = _Child(process, descriptor, devices)
        self._selector.register(descriptor, selectors.EVENT_READ)

    def _reap(self) -> None:
        for job in self._jobs.values():
            for position, child in list(job.running.items()):
                code = child.process.poll()
                if code is None:
                    continue
                del job.running[position]
                self._selector.unregister(child.descriptor)
                os.close(child.descriptor)
                job.end(position, _ended(job, position, code, child.kill_at is not None))
                if child.kill_at is not None:
                    # Processes that it had started may have ignored SIGTERM.
                    end_group(child.process.pid, signal.SIGKILL)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for job in self._jobs.values():
            for child in job.running.values():
                if child.kill_at is not None and child.kill_at <= now:
                    end_group(child.process.pid, signal.SIGKILL)

    def _statuses(self, handle: JobHandle) -> list[JobStatus]:
        job = self._jobs.get(handle.native_id)
        if job is None:
            lives = claimed_process_lives(handle.native_id)
            state = JobState.RUNNING if lives else JobState.UNKNOWN
            return [JobStatus(native_id=handle.native_id, state=state)]
        found = [*_running(job), *job.over.values()]
        found += [
            JobStatus(native_id=handle.native_id, state=JobState.QUEUED, positions=positions)
            for positions in contiguous(job.waiting)
        ]
        return found


def _handle(request: JobRequest) -> JobHandle:
    return JobHandle(
        native_id=request.token,
        token=request.token,
        size=request.size,
        directory=request.directory,
    )


def _status(job: _Job, position: int, state: JobState) -> JobStatus:
    return JobStatus(
        native_id=job.request.token, state=state, positions=range(position, position + 1)
    )


def _running(job: _Job) -> list[JobStatus]:
    return [_status(job, position, JobState.RUNNING) for position in job.running]


def _ended(job: _Job, position: int, code: int, cancelled: bool) -> JobStatus:
    if cancelled:
        return _status(job, position, JobState.CANCELLED)
    return JobStatus(
        native_id=job.request.token,
        state=JobState.COMPLETED if code == 0 else JobState.FAILED,
        positions=range(position, position + 1),
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
    )
