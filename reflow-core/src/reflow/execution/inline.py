"""The executor of `run_local(max_workers=1)`: elements run in the user's own process."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence

from reflow.codecs.codecs import Codecs
from reflow.execution.echo import EchoCapture
from reflow.execution.execute import Execution
from reflow.execution.surroundings import Surroundings
from reflow.model.jobs import (
    Capabilities,
    JobHandle,
    JobRequest,
    JobStatus,
    Limits,
    Submission,
)
from reflow.model.json import Json
from reflow.model.states import JobState, TaskState
from reflow.model.tasks import TaskSpec
from reflow.rundir.layout import WaveLayout
from reflow.rundir.results import ResultRecord, SegmentWriter
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import WaveSpec

BATCH_SECONDS = 0.1
"""How long elements run before their results are put on the disk together."""


class InlineExecutor:
    """Runs elements one after the other, inside `wait`."""

    name = "inline"
    capabilities = Capabilities(dispatch_jobs=False, volatile=True, begin_time=False)

    def __init__(
        self,
        run: RunSettings,
        tasks: Mapping[str, TaskSpec],
        codecs: Codecs,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run elements here; begin none any more once `interrupted` returns True."""
        self._run = run
        self._tasks = tasks
        self._codecs = codecs
        self._interrupted = interrupted
        self._queue: deque[tuple[JobHandle, WaveLayout, deque[int]]] = deque()
        self._current: tuple[WaveLayout, Execution, SegmentWriter] | None = None
        self._capture = EchoCapture(run.layout.root)

    @property
    def settings(self) -> Mapping[str, Json]:
        """Empty: this executor cannot be recreated in another process."""
        return {}

    def limits(self) -> Limits:
        """Return no limits."""
        return Limits()

    def submit(self, request: JobRequest, follow_up: JobRequest | None = None) -> Submission:
        """Queue a wave; its elements run in `wait`."""
        assert follow_up is None
        handle = JobHandle(native_id=request.token, token=request.token, size=request.size)
        positions = deque(range(request.size or 1))
        self._queue.append((handle, WaveLayout(request.directory), positions))
        return Submission(handle)

    def script(self, request: JobRequest) -> str:
        """Return no script: functions are called as they are."""
        return ""

    def find(self, token: str) -> Sequence[JobHandle]:
        """Return queued waves of that token."""
        return [handle for handle, _, _ in self._queue if handle.token == token]

    def poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Report what has not run yet as queued."""
        return [
            JobStatus(native_id=handle.native_id, state=self._state(handle)) for handle in handles
        ]

    def poll_positions(self, handle: JobHandle, wanted: Container[int]) -> Sequence[JobStatus]:
        """Report nothing while some wait, which cannot vanish; then all as having run.

        A position without a result by then has lost it: its task removed the run directory, say.
        """
        state = self._state(handle)
        return (
            [] if state is JobState.QUEUED else [JobStatus(native_id=handle.native_id, state=state)]
        )

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """Forget queued waves."""
        ids = {handle.native_id for handle in handles}
        self._queue = deque(item for item in self._queue if item[0].native_id not in ids)

    def cancel_positions(self, handle: JobHandle, positions: Sequence[int]) -> None:
        """Forget queued elements."""
        for queued, _, waiting in self._queue:
            if queued.native_id == handle.native_id:
                for position in positions:
                    if position in waiting:
                        waiting.remove(position)

    def drop_waiting(self) -> dict[int, list[int]]:
        """Forget all that is queued; return its positions, by the numbers of their waves."""
        dropped = {layout.number: list(positions) for _, layout, positions in self._queue}
        self._queue.clear()
        return dropped

    def wait(self, timeout: float) -> None:
        """Run elements for a moment, without interrupting one that takes longer."""
        if not self._queue:
            time.sleep(timeout)
            return
        _, layout, positions = self._queue[0]
        execution, writer = self._ready(layout)
        surroundings = Surroundings(self._run.working_directory)
        until = time.monotonic() + BATCH_SECONDS
        try:
            with self._capture.streams():
                while positions and time.monotonic() < until and not self._interrupted():
                    try:
                        result = self._run_one(execution, positions.popleft())
                    finally:
                        surroundings.restore()
                    writer.append(result)
                    if result.outcome.state is TaskState.FAILED and self._run.on_error == "stop":
                        break
        finally:
            execution.values.sync()
            writer.flush()
        if not positions:
            self._queue.popleft()

    def close(self) -> None:
        """Close files."""
        self._let_go()
        self._capture.close()

    def _state(self, handle: JobHandle) -> JobState:
        waits = any(queued.native_id == handle.native_id for queued, _, _ in self._queue)
        return JobState.QUEUED if waits else JobState.COMPLETED

    def _run_one(self, execution: Execution, position: int) -> ResultRecord:
        layout, record = self._run.layout, execution.record(position)
        log = layout.log(execution.spec.task, record.index, record.attempt)
        self._capture.begin(log)
        try:
            result = execution.run(position, record, printed=self._capture.last_printed)
            if result.outcome.traceback:
                self._capture.write(result.outcome.traceback)
        finally:
            printed = self._capture.end()
        result = result.bounded()
        return result.with_log(log, layout.run_dir) if printed else result

    def _let_go(self) -> None:
        if self._current is not None:
            _, execution, writer = self._current
            execution.close()
            writer.close()
            self._current = None

    def _ready(self, layout: WaveLayout) -> tuple[Execution, SegmentWriter]:
        if self._current is None or self._current[0] != layout:
            self._let_go()
            execution = Execution(
                layout, self._run, WaveSpec.read(layout), self._tasks, self._codecs
            )
            self._current = (layout, execution, SegmentWriter(layout, f"inline-{os.getpid()}"))
        return self._current[1], self._current[2]
