"""The executor of `run_local(max_workers=N)`: a pool of worker processes with a pipe each way.

A killed worker costs the element it was at, and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reflow.errors import ExecutorError
from reflow.execution.capture import publish_log
from reflow.execution.execute import RESULT_NOT_WRITTEN
from reflow.execution.pool.protocol import REPORTS_AT_ONCE, Slots, pack, unpack
from reflow.executors.processes import end_descriptor, end_group, usable_cpus
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
from reflow.rundir.results import ResultReader
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import InputReader, WaveSpec

KILL_AFTER = 5.0
"""Seconds between asking a cancelled element to end and ending its worker."""
AUDIT_AFTER = 1.0
"""Seconds after a worker's death by which the others have reported what they had taken."""
MOST_LOST = 3
"""How often an element is handed out again that was lost with a worker."""
MOST_STILLBORN = 5
"""How many workers may end in a row before they have begun anything."""
PIPE_BYTES = 1 << 20


@dataclass(slots=True)
class _Wave:
    request: JobRequest
    number: int
    backlog: deque[int]
    """Positions not yet handed to the workers."""
    out: set[int] = field(default_factory=set)
    """Positions handed to the workers and not yet reported."""
    over: dict[int, JobStatus] = field(default_factory=dict)
    lost: Counter[int] = field(default_factory=Counter)
    """How often a position was lost with a worker that was not at it."""


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    descriptor: int
    told: tuple[int, int] | None = None
    """The element that it was told to end."""
    kill_at: float = 0.0
    was_told: bool = False
    """Whether it was ever sent a signal, which what it has started may have survived."""


class PoolExecutor:
    """Runs elements in worker processes that live as long as the pool."""

    name = "pool"
    capabilities = Capabilities(dispatch_jobs=False, volatile=True, begin_time=False)

    def __init__(self, run: RunSettings, workers: int, gpus: int | None = None) -> None:
        """Prepare a pool of up to `workers` processes with `gpus` GPUs (default: as found)."""
        self._run = run
        self._size = workers
        self._devices = usable_gpus(gpus)
        # The user wants as many one-CPU elements as workers, whatever the machine has.
        self._seats = Seats(max(workers, usable_cpus()), len(self._devices))
        self._waves: dict[int, _Wave] = {}
        self._workers: dict[int, _Worker] = {}
        self._audit_at: float | None = None
        self._failed_starts = 0
        self._unwritten = False
        """Whether a worker could not write its results to the disk."""
        self._selector = selectors.DefaultSelector()
        self._tokens_read, self._tokens_write = os.pipe()
        self._reports_read, self._reports_write = os.pipe()
        os.set_blocking(self._tokens_write, False)
        os.set_blocking(self._reports_read, False)
        with contextlib.suppress(OSError, AttributeError):
            # Room for many tokens, so that workers do not starve between two looks. Linux only.
            fcntl.fcntl(self._tokens_write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._selector.register(self._reports_read, selectors.EVENT_READ)
        self._shared = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._shared.truncate(Slots.size_for(workers))
        self._slots = Slots(self._shared.fileno(), workers)

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
        number = int(request.directory.name)
        self._waves[number] = _Wave(request, number, deque(range(request.size or 1)))
        self._feed()
        return Submission(JobHandle(native_id=str(number), token=request.token, size=request.size))

    def script(self, request: JobRequest) -> str:
        """Return no script: processes are started as they are."""
        return ""

    def find(self, token: str) -> Sequence[JobHandle]:
        """Return the wave of that token."""
        return [
            JobHandle(native_id=str(wave.number), token=token, size=wave.request.size)
            for wave in self._waves.values()
            if wave.request.token == token
        ]

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Report what runs, and what ended with its worker."""
        return [status for handle in handles for status in self._statuses(handle.native_id)]

    def poll_positions(self, handle: JobHandle, wanted: Container[int]) -> Sequence[JobStatus]:
        """Report what runs, and what ended with its worker and is still wanted."""
        wave = self._waves.get(_number(handle.native_id))
        if wave is not None:
            wave.over = {item: status for item, status in wave.over.items() if item in wanted}
        return list(self._statuses(handle.native_id))

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Drop what waits and interrupt what runs."""
        for handle in handles:
            wave = self._waves.get(_number(handle.native_id))
            if wave is not None:
                self.cancel_positions(handle, range(wave.request.size or 1))

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Drop or interrupt some elements."""
        wave = self._waves.get(_number(handle.native_id))
        if wave is None:
            return
        self._take_tokens_back()
        chosen = set(positions)
        wave.backlog = deque(item for item in wave.backlog if item not in chosen)
        for worker in self._workers.values():
            at = self._at(worker)
            if at is not None and at[0] == wave.number and at[1] in chosen:
                self._slots.tell(worker.number, at)
                worker.told, worker.kill_at = at, time.monotonic() + KILL_AFTER
                worker.was_told = True
                end_group(worker.process.pid, signal.SIGTERM)
        self._feed()

    def drop_waiting(self) -> dict[int, list[int]]:
        """Drop what no worker has begun; return its positions, by the numbers of their waves."""
        self._take_tokens_back()
        dropped = {wave.number: list(wave.backlog) for wave in self._waves.values()}
        for wave in self._waves.values():
            wave.backlog.clear()
        return dropped

    def wait(self, timeout: float) -> None:
        """Return when results were reported or a worker died, or after `timeout` seconds.

        Raises `ExecutorError` where workers end as soon as they are started.
        """
        self._feed()
        self._start_workers()
        for key, _ in self._selector.select(timeout):
            if key.fd == self._reports_read:
                self._read_reports()
        self._kill_overdue()
        self._reap_workers()
        self._audit()
        self._feed()

    def kill_told(self) -> None:
        """Kill at once whatever was told to end."""
        for worker in self._workers.values():
            worker.kill_at = 0.0
            if worker.was_told:
                end_group(worker.process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the workers: idle ones at once, running ones by a signal."""
        os.close(self._tokens_write)
        for worker in self._workers.values():
            if self._at(worker) is not None:
                self._slots.tell(worker.number, None)
                worker.was_told = True
                end_group(worker.process.pid, signal.SIGTERM)
        until = time.monotonic() + KILL_AFTER
        for worker in self._workers.values():
            try:
                worker.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                end_group(worker.process.pid, signal.SIGKILL)
                worker.process.wait()
            if worker.was_told:
                # Programs that it had started may have ignored the signal.
                end_group(worker.process.pid, signal.SIGKILL)
            os.close(worker.descriptor)
        self._workers.clear()
        self._selector.close()
        for descriptor in (self._tokens_read, self._reports_read, self._reports_write):
            os.close(descriptor)
        self._shared.close()

    # -- tokens ----------------------------------------------------------------------------
    def _feed(self) -> None:
        """Write tokens of what may run, until the pipe is full."""
        busy = [wave for wave in self._waves.values() if wave.backlog or wave.out]
        # Workers see to it that no more small elements run than there is room for.
        counted = any(self._seats.needs(wave.request.resources) != (1, 0) for wave in busy)
        for wave in busy:
            while wave.backlog:
                throttle = wave.request.throttle
                room = REPORTS_AT_ONCE if throttle is None else throttle - len(wave.out)
                if counted:
                    out = [(each.request.resources, len(each.out)) for each in busy]
                    room = min(room, self._seats.room(wave.request.resources, out))
                chosen = [wave.backlog[i] for i in range(min(room, len(wave.backlog)))]
                if not chosen or not self._write([(wave.number, item) for item in chosen]):
                    break
                for _ in chosen:
                    wave.out.add(wave.backlog.popleft())

    def _write(self, tokens: list[tuple[int, int]]) -> bool:
        """Write all tokens or none: a piece of this size is atomic."""
        try:
            os.write(self._tokens_write, pack(tokens))
        except BlockingIOError:
            return False
        return True

    def _take_tokens_back(self) -> None:
        """Empty the pipe into the backlogs."""
        os.set_blocking(self._tokens_read, False)
        back: dict[int, list[int]] = {}
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._tokens_read, 1 << 16):
                for number, position in unpack(data):
                    back.setdefault(number, []).append(position)
        os.set_blocking(self._tokens_read, True)
        for number, positions in back.items():
            wave = self._waves[number]
            wave.out.difference_update(positions)
            wave.backlog.extendleft(reversed(positions))

    def _read_reports(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reports_read, 1 << 16):
                self._failed_starts = 0
                for number, position in unpack(data):
                    self._waves[number].out.discard(position)

    # -- workers ---------------------------------------------------------------------------
    def _start_workers(self) -> None:
        wanted = sum(len(wave.backlog) + len(wave.out) for wave in self._waves.values())
        for number in range(min(self._size, wanted)):
            if number not in self._workers:
                self._workers[number] = self._start(number)

    def _start(self, number: int) -> _Worker:
        descriptors = (self._tokens_read, self._reports_write, self._shared.fileno())
        self._slots.clear(number)
        self._slots.tell(number, None)
        process = subprocess.Popen(
            self._run.command(
                "reflow.execution.pool.worker",
                ",".join(self._devices),
                "",
                str(number),
                str(self._size),
                str(os.getpid()),
                *map(str, descriptors),
            ),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        descriptor = end_descriptor(process)
        self._selector.register(descriptor, selectors.EVENT_READ)
        return _Worker(number, process, descriptor)

    def _reap_workers(self) -> None:
        for worker in list(self._workers.values()):
            code = worker.process.poll()
            if code is None:
                continue
            del self._workers[worker.number]
            self._selector.unregister(worker.descriptor)
            os.close(worker.descriptor)
            # What the worker had reported before it died still counts.
            self._read_reports()
            self._unwritten |= code == RESULT_NOT_WRITTEN
            if not self._fail_current(worker, code):
                self._failed_starts += 1
            self._audit_at = time.monotonic() + AUDIT_AFTER
            if self._failed_starts > MOST_STILLBORN:
                raise ExecutorError(
                    f"the worker processes end before they begin: the last one {_ended(code)}"
                )

    def _fail_current(self, worker: _Worker, code: int) -> bool:
        """Fail the element that a dead worker was running; return whether there was one."""
        at = self._at(worker)
        self._slots.clear(worker.number)
        if at is None:
            return False
        cancelled = at == worker.told
        self._over(*at, JobState.CANCELLED if cancelled else JobState.FAILED, code)
        self._keep_log(worker.number, *at)
        return True

    def _at(self, worker: _Worker) -> tuple[int, int] | None:
        """Return the element that a worker runs and has not reported."""
        at = self._slots.get(worker.number)
        return at if at is not None and at[1] in self._waves[at[0]].out else None

    def _keep_log(self, worker: int, number: int, position: int) -> None:
        """Turn what a dead worker had printed into the log of the element that it ran."""
        layout = self._run.layout
        scratch = layout.pool_log(worker)
        with contextlib.suppress(OSError):
            if scratch.stat().st_size == 0:
                return
            wave = layout.wave(number)
            reader = InputReader(wave.inputs)
            record = reader.read(position)
            reader.close()
            log = layout.log(WaveSpec.read(wave).task, record.index, record.attempt)
            publish_log(scratch, log)

    def _kill_overdue(self) -> None:
        now = time.monotonic()
        for worker in self._workers.values():
            if worker.told is None:
                continue
            if self._at(worker) != worker.told:
                worker.told = None
                self._slots.tell(worker.number, None)
            elif worker.kill_at <= now:
                end_group(worker.process.pid, signal.SIGKILL)

    def _audit(self) -> None:
        """Hand out again the elements that a dead worker had taken and not reported.

        Such an element may have run without its result reaching the disk. An element that is lost
        time and again, or whose result cannot be written, fails.
        """
        if self._audit_at is None or time.monotonic() < self._audit_at:
            return
        unwritten, self._audit_at, self._unwritten = self._unwritten, None, False
        self._read_reports()
        self._take_tokens_back()
        at = {self._at(worker) for worker in self._workers.values()}
        for wave in self._waves.values():
            lost = {item for item in wave.out if (wave.number, item) not in at}
            if lost:
                there = ResultReader(self._run.layout.wave(wave.number)).new()
                known = {record.position for record in there}
                self._hand_out_again(wave, lost - known, unwritten)
                wave.out -= lost

    def _hand_out_again(self, wave: _Wave, lost: set[int], unwritten: bool) -> None:
        wave.lost.update(lost)
        for item in sorted(lost, reverse=True):
            if unwritten:
                self._over(wave.number, item, JobState.FAILED, RESULT_NOT_WRITTEN)
            elif wave.lost[item] > MOST_LOST:
                self._over(wave.number, item, JobState.FAILED)
            else:
                wave.backlog.appendleft(item)

    # -- statuses --------------------------------------------------------------------------
    def _over(self, number: int, position: int, state: JobState, code: int | None = None) -> None:
        """Record how a position ended that will never be reported, and its worker, if one did."""
        wave = self._waves[number]
        wave.out.discard(position)
        wave.over[position] = JobStatus(
            native_id=str(number),
            state=state,
            positions=range(position, position + 1),
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
        )

    def _statuses(self, native_id: str) -> Iterator[JobStatus]:
        wave = self._waves.get(_number(native_id))
        if wave is None:
            yield JobStatus(native_id=native_id, state=JobState.UNKNOWN)
            return
        if not wave.backlog and not wave.out:
            # A position without a result by now was reported, but its result is not there.
            yield JobStatus(native_id=native_id, state=JobState.COMPLETED)
        yield from wave.over.values()
        for worker in self._workers.values():
            at = self._at(worker)
            if at is not None and at[0] == wave.number:
                yield JobStatus(
                    native_id=native_id,
                    state=JobState.RUNNING,
                    positions=range(at[1], at[1] + 1),
                )


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    return f"exited with status {code}; what it said stands above"


def _number(native_id: str) -> int:
    return int(native_id) if native_id.isdigit() else -1
