"""A worker of the pool: runs many elements of one run, as long as there are tokens.

`python -m reflow.execution.pool.worker RUN_DIR RUN_ID GPUS FIRST NAME NUMBER POOL TOKENS REPORTS
SLOTS`, the last three being descriptors that it inherits, POOL the process of the pool, NAME that
of the files it writes, and FIRST a token that it has taken already.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from reflow.codecs.value_files import ValueFiles
from reflow.errors import NotFoundError, ReflowError, TaskInterrupted
from reflow.execution.capture import LogCapture
from reflow.execution.execute import (
    Execution,
    failure_of_all,
    interrupt_on_signals,
    load_execution,
    load_into_worker,
    plugin_codecs,
)
from reflow.execution.pool.equipment import Devices, Equipment
from reflow.execution.pool.protocol import REPORTS_AT_ONCE, TOKEN, Slots, Why, pack
from reflow.execution.pool.temporary import TemporaryFolder
from reflow.execution.surroundings import Chance, Surroundings
from reflow.executors.processes import leave
from reflow.model.states import FailureCause, TaskState
from reflow.rundir.claims import own_claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.results import RESULT_NOT_WRITTEN, ResultRecord, SegmentWriter
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.source_record import RunSource
from reflow.rundir.wave_files import InputReader, InputRecord, WaveSpec

MOST_WAVES = 16
"""Waves whose files a worker keeps open: a run may have thousands."""
BATCH_SECONDS = 0.1
"""How long results are kept before they are put on the disk together and reported."""
PR_SET_PDEATHSIG = 1
_USED_UP = {
    Why.WALLTIME: (FailureCause.WALLTIME, "time"),
    Why.MEMORY: (FailureCause.MEMORY, "memory"),
}
"""The cause of an element that was told to end for what it had used, and what that was."""


class Reporter:
    """Writes results to the disk in batches, from a thread, and reports them after that.

    It uses a thread because the next element may take hours.
    """

    def __init__(self, layout: RunLayout, name: str, reports: int) -> None:
        self._layout = layout
        self._name = f"{name}-{os.getpid()}"
        self._reports = reports
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._writers: dict[int, SegmentWriter] = {}
        self._values: dict[int, ValueFiles] = {}
        self._waiting: list[tuple[int, int]] = []
        self.failure: OSError | None = None
        threading.Thread(target=self._flush_in_time, daemon=True).start()

    def add(self, wave: int, record: ResultRecord, values: ValueFiles | None = None) -> None:
        """Buffer a result until the next flush; bytes of its value are in one of the `values`."""
        with self._lock:
            if values is not None:
                self._values[wave] = values
            writer = self._writers.get(wave)
            if writer is None:
                writer = SegmentWriter(self._layout.wave(wave), self._name)
                self._writers[wave] = writer
            writer.append(record)
            self._waiting.append((wave, record.position))
        self._filled.set()

    def flush(self) -> None:
        """Write everything to the disk and report it. Raises `OSError` where that is impossible."""
        with self._lock:
            if not self._waiting:
                return
            for wave in {wave for wave, _ in self._waiting}:
                if wave in self._values:
                    self._values[wave].sync()
                self._writers[wave].flush()
            waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), REPORTS_AT_ONCE):
            os.write(self._reports, pack(waiting[start : start + REPORTS_AT_ONCE]))

    def forget(self, wave: int) -> None:
        """Close the file of a wave's results. Raises `OSError` where one cannot be written."""
        self.flush()
        with self._lock:
            self._values.pop(wave, None)
            if (writer := self._writers.pop(wave, None)) is not None:
                writer.close()

    def _flush_in_time(self) -> None:
        while True:
            self._filled.wait()
            self._filled.clear()
            time.sleep(BATCH_SECONDS)
            try:
                self.flush()
            except OSError as error:
                # The main thread ends the worker with it; in this thread it would go unseen.
                self.failure = error
                return


class PoolWorker:
    """Takes tokens and runs the elements they name."""

    def __init__(
        self,
        settings: RunSettings,
        name: str,
        number: int,
        tokens: int,
        reports: int,
        slots: Slots,
        devices: Devices,
        begin_anew: Callable[[Mapping[str, str], str], None],
    ) -> None:
        self._settings = settings
        self._number = number
        self._tokens = tokens
        self._slots = slots
        self._layout = settings.layout
        self._reporter = Reporter(self._layout, name, reports)
        self._capture = LogCapture(self._layout.pool_log(name))
        self._codecs = plugin_codecs(settings)
        self._job = own_claim().native_id
        self._chance: Chance | None = None
        self._surroundings: Surroundings | None = None
        self._equipment = Equipment(devices, self._replace)
        self._temporary = TemporaryFolder(number)
        self._replacement = begin_anew
        self._taken = (0, 0)
        self._specs: dict[int, WaveSpec] = {}
        self._executions: dict[int, Execution | _Broken] = {}
        self._at: tuple[int, int] | None = None
        self._source: str | None = None
        """The source record by which the flow was loaded."""

    def serve(self, first: bytes = b"") -> None:
        """Run elements until the pool closes the pipe, the one of `first` before any other."""
        while True:
            if not select.select([self._tokens], [], [], 0)[0]:
                self._reporter.flush()
                self._slots.clear(self._number)
            token, first = first or self._take(), b""
            if self._reporter.failure is not None:
                raise self._reporter.failure
            if not token:
                self._reporter.flush()
                return
            wave, position = TOKEN.unpack(token)
            # The slot keeps this element until the next, or its report, as the suspect in a crash.
            self._slots.set(self._number, wave, position, time.time())
            result = self._run(wave, position)
            if result.outcome.state is TaskState.FAILED and self._settings.on_error == "stop":
                # Nothing more may be begun, unless the pool wants it: it starts another worker.
                self._reporter.flush()
                return

    def _take(self) -> bytes:
        """Return the next token; empty once the pool has closed the pipe."""
        while True:
            try:
                return os.read(self._tokens, TOKEN.size)
            except BlockingIOError:
                # No worker waits at the pipe while the pool takes tokens back from it.
                select.select([self._tokens], [], [])

    def _run(self, wave: int, position: int) -> ResultRecord:
        self._taken = (wave, position)
        if wave not in self._specs:
            self._specs[wave] = WaveSpec.read(self._layout.wave(wave))
        self._give_equipment(wave)
        execution = self._executions.get(wave)
        if execution is None:
            if len(self._executions) == MOST_WAVES:
                self._forget(next(iter(self._executions)))
            execution = self._executions[wave] = self._load(wave)
            self._give_equipment(wave)
        record = execution.record(position)
        log = self._layout.log(execution.spec.task, record.index, record.attempt)
        self._capture.begin(log)
        if self._chance is not None:
            self._chance.begin()
        shares = self._specs[wave].pack is not None
        if shares:
            self._temporary.begin()
        self._at = (wave, position)
        native_id = self._job if shares else ""
        printed = self._capture.last_printed
        result = execution.run(position, record, native_id=native_id, printed=printed)
        self._at = None
        result = self._with_reason(result)
        self._equipment.take_back()
        if shares:
            self._temporary.end()
        if self._surroundings is not None:
            self._surroundings.restore()
        if result.outcome.traceback:
            self._capture.write(result.outcome.traceback)
        result = result.bounded()
        if self._capture.end(log):
            result = result.with_log(log, self._layout.run_dir)
        self._reporter.add(wave, result, execution.values)
        return result

    def _forget(self, wave: int) -> None:
        """Close the files of a wave; it is loaded anew should there be more of it."""
        self._reporter.forget(wave)
        self._executions.pop(wave).close()
        del self._specs[wave]

    def _give_equipment(self, wave: int) -> None:
        """Set the threads and GPUs that an element of the wave finds, where others were set."""
        changed = self._equipment.give(self._specs[wave].resources)
        if changed and self._surroundings is not None:
            self._surroundings.keep_environment()

    def _is_meant(self) -> bool:
        """Tell whether a signal that comes now is for the element that runs, if one does."""
        told = self._slots.told(self._number)
        return self._at is not None and (told is None or told[0] == self._at)

    def _with_reason(self, result: ResultRecord) -> ResultRecord:
        """Say of an interrupted element that it had used up its time or memory, where it had."""
        told = self._slots.told(self._number) if result.interrupted else None
        if told is None or told[1] not in _USED_UP:
            return result
        cause, what = _USED_UP[told[1]]
        ended = replace(
            result.outcome, cause=cause, error=f"ran out of {what} ({result.outcome.error})"
        )
        return replace(result, outcome=ended, interrupted=False)

    def _load(self, wave: int) -> Execution | _Broken:
        layout, spec = self._layout.wave(wave), self._specs[wave]
        if spec.source != self._source is not None:
            # A retry has taken another copy of the flow, and modules are loaded once.
            self._equipment.begin_anew()
        self._source = spec.source
        try:
            if self._surroundings is None:
                if spec.pack is not None:
                    self._end_on_signals()
                load = partial(self._load_flow, spec)
                self._chance = Chance(lambda: self._equipment.load(load))
                interrupt_on_signals(self._is_meant)
                self._surroundings = Surroundings(self._settings.working_directory)
            return load_execution(layout, self._settings, spec, self._codecs)
        except (ReflowError, OSError) as error:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            return _Broken(spec, InputReader(layout.inputs), error)

    def _end_on_signals(self) -> None:
        """Have a signal that comes while the flow is loaded interrupt the element, and end this.

        The scheduler may signal all processes of a job, the host last. The death of a worker that
        its host does not know the reason of would be taken for the element's doing.
        """
        process = os.getpid()

        def end(number: int, frame: object) -> None:
            if os.getpid() != process:
                # In a fork that the flow makes.
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
                return
            try:
                self._reporter.add(self._taken[0], self._interrupted(number))
                self._reporter.flush()
            finally:
                # Modules cannot be left half loaded.
                os._exit(0)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)

    def _interrupted(self, number: int) -> ResultRecord:
        """Return the result of an element that was interrupted while the flow was loaded."""
        wave, position = self._taken
        reader = InputReader(self._layout.wave(wave).inputs)
        message = f"the job was sent {signal.Signals(number).name} while the flow was loaded"
        result = failure_of_all(
            self._specs[wave].task,
            reader.read(position),
            position,
            TaskInterrupted(message, number),
            self._job,
            "",
        )
        ended = replace(result.outcome, cause=FailureCause.SIGNAL, traceback="")
        return self._with_reason(replace(result, outcome=ended, interrupted=True)).bounded()

    def _load_flow(self, spec: WaveSpec) -> None:
        load_into_worker(self._settings, RunSource.read(self._layout, spec.source))

    def _replace(self, environment: Mapping[str, str]) -> None:
        """Replace this process image by another that runs the element that was taken just now."""
        self._reporter.flush()
        wave, position = self._taken
        self._replacement(environment, f"{wave}:{position}")


class _Broken:
    """Replaces a wave that cannot be run here: every position fails with the reason."""

    values = None

    def __init__(self, spec: WaveSpec, reader: InputReader, error: Exception) -> None:
        self.spec = spec
        self._reader = reader
        self._error = error

    def record(self, position: int) -> InputRecord:
        return self._reader.read(position)

    def close(self) -> None:
        self._reader.close()

    def run(
        self, position: int, record: InputRecord, *, native_id: str, printed: Callable[[], str]
    ) -> ResultRecord:
        return failure_of_all(self.spec.task, record, position, self._error, native_id, "")


def main(arguments: list[str]) -> int:
    """Serve one pool until it ends."""
    run_dir, run_id, names, first, name = arguments[:5]
    number, pool, *descriptors = map(int, arguments[5:])
    _end_with_parent(pool)

    def begin_anew(environment: Mapping[str, str], token: str) -> None:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        words = [run_dir, run_id, names, token, *arguments[4:]]
        command = [sys.executable, "-P", "-m", "reflow.execution.pool.worker", *words]
        os.execve(sys.executable, command, environment)  # noqa: S606

    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    tokens, reports, slots = descriptors
    try:
        settings = read_settings(Path(run_dir), run_id)
        os.chdir(settings.working_directory)
        devices = Devices(slots, names.split(",") if names else [])
        worker = PoolWorker(
            settings, name, number, tokens, reports, Slots(slots), devices, begin_anew
        )
        worker.serve(TOKEN.pack(*map(int, first.split(":"))) if first else b"")
    except BrokenPipeError:
        # The pool is gone.
        return 0
    except (OSError, NotFoundError) as error:
        print(f"reflow: the run directory cannot be used: {error}", file=sys.stderr)
        return RESULT_NOT_WRITTEN
    return 0


def _end_with_parent(pool: int) -> None:
    """Have the kernel end this process when the pool's dies. Linux only; elsewhere it goes on."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != pool:
        sys.exit(0)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
