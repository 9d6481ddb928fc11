"""Worker processes that are fed positions through a pipe, and report back through another.

A killed worker costs the element it was at, and nothing else. An element that has more than it
asked for, where that is limited, is ended alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reflow.errors import ExecutorError
from reflow.execution.capture import publish_log
from reflow.execution.pool.protocol import REPORTS_AT_ONCE, Slots, Why, pack, unpack
from reflow.executors.processes import end_descriptor, end_group
from reflow.executors.seats import Seats
from reflow.model.jobs import JobStatus
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, JobState
from reflow.rundir.results import RESULT_NOT_WRITTEN, ResultReader
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import InputReader, WaveSpec

KILL_AFTER = 5.0
"""Seconds between telling an element to end and ending its worker."""
AUDIT_AFTER = 1.0
"""Seconds after a worker's death by which the others have reported what they had taken."""
MOST_LOST = 3
"""How often an element is handed out again that was lost with a worker."""
MOST_FAILED_STARTS = 5
"""How many workers may end in a row before they have begun anything."""
PATIENCE = 60.0
"""Seconds that positions wait for room beside others before they get what comes free next."""
PIPE_BYTES = 1 << 20

_STATUS_OF_TOLD: Mapping[Why, tuple[JobState, FailureCause | None]] = {
    Why.CANCELLED: (JobState.CANCELLED, None),
    Why.WALLTIME: (JobState.FAILED, FailureCause.WALLTIME),
    Why.MEMORY: (JobState.FAILED, FailureCause.MEMORY),
    Why.LEAVING: (JobState.FAILED, FailureCause.PREEMPTED),
}
"""What became of an element whose worker was told to end it and did not report it."""


@dataclass(slots=True)
class PoolWave:
    """A wave of which the pool has been given positions."""

    number: int
    resources: Resources
    throttle: int | None
    backlog: deque[int] = field(default_factory=deque)
    """Positions not yet handed to the workers."""
    out: set[int] = field(default_factory=set)
    """Positions handed to the workers and not yet reported."""
    missing: set[int] = field(default_factory=set)
    """Positions of these that a worker may have taken along when it died."""
    over: dict[int, JobStatus] = field(default_factory=dict)
    """How positions ended that will never be reported."""
    fed_at: float = field(default_factory=time.monotonic)
    """When the workers were last handed a position."""
    lost: Counter[int] = field(default_factory=Counter)
    """How often a position was lost with a worker that was not at it."""

    @property
    def may_begin(self) -> int | None:
        """How many more positions may run at the same time; None where that is not limited."""
        return None if self.throttle is None else max(0, self.throttle - len(self.out))

    @property
    def unfinished(self) -> int:
        """How many positions have still to be reported."""
        return len(self.backlog) + len(self.out)


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    descriptor: int
    told: tuple[int, int] | None = None
    """The element that it was told to end."""
    why: Why = Why.CANCELLED
    kill_at: float = 0.0
    was_told: bool = False
    """Whether it was ever sent a signal, which what it has started may have survived."""


class WorkerPool:
    """Processes that run elements of one run, as long as they are given some."""

    def __init__(
        self,
        run: RunSettings,
        size: int,
        seats: Seats,
        devices: Sequence[str],
        slots: int,
        name: str = "pool",
        on_report: Callable[[int, int], None] = lambda wave, position: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare a pool of up to `size` workers.

        `slots` is the descriptor of an empty file, which the pool closes in the end. `name` begins
        the names of the files that its workers write. `on_report` is called with the wave and the
        position of each result that is on the disk. `environment` is that of the workers, where it
        is not this process's.
        """
        self._run = run
        self._name = name
        self._size = size
        self._seats = seats
        self._devices = devices
        self._on_report = on_report
        self._environment = environment
        self.waves: dict[int, PoolWave] = {}
        self._workers: dict[int, _Worker] = {}
        self._audit_at: float | None = None
        self._failed_starts = 0
        self._unwritten = False
        """Whether a worker could not write its results to the disk."""
        self._selector = selectors.DefaultSelector()
        self._also: int | None = None
        """A descriptor of others that ends a wait."""
        self._tokens_read, self._tokens_write = os.pipe()
        self._reports_read, self._reports_write = os.pipe()
        os.set_blocking(self._tokens_write, False)
        os.set_blocking(self._reports_read, False)
        with contextlib.suppress(OSError, AttributeError):
            # Room for many tokens, so that workers do not starve between two looks. Linux only.
            fcntl.fcntl(self._tokens_write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._selector.register(self._reports_read, selectors.EVENT_READ)
        os.ftruncate(slots, Slots.size_for(size))
        self._shared = slots
        self._slots = Slots(slots)

    def add(
        self,
        number: int,
        positions: Iterable[int],
        resources: Resources,
        throttle: int | None = None,
    ) -> None:
        """Run positions of a wave, at most `throttle` of them at once."""
        wave = self.waves.setdefault(number, PoolWave(number, resources, throttle))
        wave.throttle = throttle
        if not wave.backlog:
            wave.fed_at = time.monotonic()
        wave.backlog.extend(positions)
        self._feed()

    def running(self) -> Iterator[tuple[tuple[int, int], float]]:
        """Yield the wave and position that each worker is at, and when it was begun."""
        for worker in self._workers.values():
            at = self._at(worker)
            if at is not None:
                begun = self._slots.get(worker.number)
                yield at, begun.time if begun else time.time()

    def workers_at(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield the process and the element of each worker that is at one."""
        for worker in self._workers.values():
            at = self._at(worker)
            if at is not None:
                yield worker.process.pid, at

    def forget(self, number: int) -> None:
        """Forget a wave of which nothing is left."""
        self.waves.pop(number, None)

    def wake_on(self, descriptor: int | None) -> None:
        """Let `wait` return when a descriptor can be read, too, in place of the last such one."""
        if descriptor == self._also:
            return
        if self._also is not None:
            self._selector.unregister(self._also)
        if descriptor is not None:
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._also = descriptor

    def drop(self, number: int, positions: Iterable[int]) -> None:
        """Drop positions that no worker has begun."""
        wave = self.waves.get(number)
        if wave is None:
            return
        self._take_tokens_back()
        chosen = set(positions)
        wave.backlog = deque(item for item in wave.backlog if item not in chosen)
        self._feed()

    def drop_waiting(self) -> dict[int, list[int]]:
        """Drop what no worker has begun; return its positions, by the numbers of their waves."""
        self._take_tokens_back()
        dropped = {wave.number: list(wave.backlog) for wave in self.waves.values()}
        for wave in self.waves.values():
            wave.backlog.clear()
        return dropped

    def tell(
        self, chosen: Container[tuple[int, int]], why: Why, within: float = KILL_AFTER
    ) -> None:
        """Tell workers that are at a chosen element to end it; kill those that do not in time."""
        for worker in self._workers.values():
            at = self._at(worker)
            if at is not None and at != worker.told and at in chosen:
                self._slots.tell(worker.number, at, why)
                worker.told, worker.why = at, why
                worker.kill_at = time.monotonic() + within
                worker.was_told = True
                end_group(worker.process.pid, signal.SIGTERM)

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
            self._remove_scratch(worker.number)
        self._workers.clear()
        self._selector.close()
        for descriptor in (self._tokens_read, self._reports_read, self._reports_write):
            os.close(descriptor)
        os.close(self._shared)

    # -- tokens ----------------------------------------------------------------------------
    def _feed(self) -> None:
        """Write tokens of what may run, until the pipe is full."""
        busy = [wave for wave in self.waves.values() if wave.backlog or wave.out]
        # Workers see to it that no more small elements run than there is room for.
        counted = not all(self._seats.is_small(wave.resources) for wave in busy)
        if counted:
            # Smaller elements would take each seat that comes free, for ever.
            busy.sort(key=lambda wave: not self._waits_for_long(wave))
        for wave in busy:
            while wave.backlog:
                room = REPORTS_AT_ONCE if wave.may_begin is None else wave.may_begin
                if counted:
                    out = [(each.resources, len(each.out)) for each in busy]
                    room = min(room, self._seats.room(wave.resources, out))
                chosen = [wave.backlog[i] for i in range(min(room, len(wave.backlog)))]
                if not chosen or not self._write([(wave.number, item) for item in chosen]):
                    break
                wave.fed_at = time.monotonic()
                for _ in chosen:
                    wave.out.add(wave.backlog.popleft())
            if counted and self._waits_for_long(wave):
                # What comes free is kept for this one.
                break

    def _waits_for_long(self, wave: PoolWave) -> bool:
        """Tell whether a wave's positions have waited for room for long."""
        waits = bool(wave.backlog) and wave.may_begin != 0
        return waits and time.monotonic() - wave.fed_at > PATIENCE

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
            wave = self.waves[number]
            wave.out.difference_update(positions)
            wave.backlog.extendleft(reversed(positions))

    def _read_reports(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reports_read, 1 << 16):
                self._failed_starts = 0
                for number, position in unpack(data):
                    self.waves[number].out.discard(position)
                    self._on_report(number, position)

    # -- workers ---------------------------------------------------------------------------
    def _start_workers(self) -> None:
        wanted = sum(wave.unfinished for wave in self.waves.values())
        for number in range(min(self._size, wanted)):
            if number not in self._workers:
                self._workers[number] = self._start(number)

    def _start(self, number: int) -> _Worker:
        descriptors = (self._tokens_read, self._reports_write, self._shared)
        self._slots.clear(number)
        self._slots.tell(number, None)
        process = subprocess.Popen(
            self._run.command(
                "reflow.execution.pool.worker",
                ",".join(self._devices),
                "",
                self._name_of(number),
                str(number),
                str(os.getpid()),
                *map(str, descriptors),
            ),
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=self._environment,
        )
        descriptor = end_descriptor(process)
        self._selector.register(descriptor, selectors.EVENT_READ)
        return _Worker(number, process, descriptor)

    def _name_of(self, worker: int) -> str:
        return f"{self._name}-{worker}"

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
            # One that ends in order has done what it was given.
            if not self._fail_current(worker, code) and code != 0:
                self._failed_starts += 1
            self._remove_scratch(worker.number)
            self._note_missing()
            self._audit_at = time.monotonic() + AUDIT_AFTER
            if self._failed_starts > MOST_FAILED_STARTS:
                raise ExecutorError(
                    f"the worker processes end before they run a task: the last one {_ended(code)}"
                )

    def _fail_current(self, worker: _Worker, code: int) -> bool:
        """Fail the element that a dead worker was running; return whether there was one."""
        at = self._at(worker)
        self._slots.clear(worker.number)
        if at is None:
            return False
        state, cause = _STATUS_OF_TOLD[worker.why] if at == worker.told else (JobState.FAILED, None)
        self._over(*at, state, code, cause)
        self._keep_log(worker.number, *at)
        return True

    def _at(self, worker: _Worker) -> tuple[int, int] | None:
        """Return the element that a worker runs and has not reported."""
        begun = self._slots.get(worker.number)
        wave = None if begun is None else self.waves.get(begun.at[0])
        if begun is None or wave is None or begun.at[1] not in wave.out:
            return None
        return begun.at

    def _keep_log(self, worker: int, number: int, position: int) -> None:
        """Turn what a dead worker had printed into the log of the element that it ran."""
        layout = self._run.layout
        scratch = layout.pool_log(self._name_of(worker))
        with contextlib.suppress(OSError):
            if scratch.stat().st_size == 0:
                return
            wave = layout.wave(number)
            reader = InputReader(wave.inputs)
            record = reader.read(position)
            reader.close()
            log = layout.log(WaveSpec.read(wave).task, record.index, record.attempt)
            publish_log(scratch, log)

    def _remove_scratch(self, worker: int) -> None:
        """Remove what a worker printed to, unless it holds something that is no element's."""
        scratch = self._run.layout.pool_log(self._name_of(worker))
        with contextlib.suppress(OSError):
            if scratch.stat().st_size == 0:
                scratch.unlink()

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

    def _note_missing(self) -> None:
        """Note the elements that a dead worker may have had: out, and with no living worker.

        What the others finish between now and the audit is not among them.
        """
        self._take_tokens_back()
        at = {self._at(worker) for worker in self._workers.values()}
        for wave in self.waves.values():
            wave.missing.update(item for item in wave.out if (wave.number, item) not in at)

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
        for wave in self.waves.values():
            lost = {item for item in wave.missing & wave.out if (wave.number, item) not in at}
            wave.missing.clear()
            if lost:
                there = ResultReader(self._run.layout.wave(wave.number)).new()
                known = {record.position for record in there if not record.interrupted}
                for item in lost & known:
                    self._on_report(wave.number, item)
                self._hand_out_again(wave, lost - known, unwritten)
                wave.out -= lost

    def _hand_out_again(self, wave: PoolWave, lost: set[int], unwritten: bool) -> None:
        wave.lost.update(lost)
        for item in sorted(lost, reverse=True):
            if unwritten:
                self._over(wave.number, item, JobState.FAILED, RESULT_NOT_WRITTEN)
            elif wave.lost[item] > MOST_LOST:
                self._over(wave.number, item, JobState.FAILED)
            else:
                wave.backlog.appendleft(item)

    def _over(
        self,
        number: int,
        position: int,
        state: JobState,
        code: int | None = None,
        cause: FailureCause | None = None,
    ) -> None:
        """Record how a position ended that will never be reported, and its worker, if one did."""
        wave = self.waves[number]
        wave.out.discard(position)
        wave.over[position] = JobStatus(
            native_id=str(number),
            state=state,
            positions=range(position, position + 1),
            cause=cause,
            exit_code=code if code is not None and code >= 0 else None,
            signal=-code if code is not None and code < 0 else None,
        )


def _ended(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    return f"exited with status {code}; its output is above"
