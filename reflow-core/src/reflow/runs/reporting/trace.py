"""The trace of a run: one row for each try of an element, those under way among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from reflow.model.attempts import Attempt
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, RunRecord
from reflow.model.resources import Resources
from reflow.model.states import ACTIVE_TASK_STATES
from reflow.runs.reporting.collect import asked_of_run, ended_attempts, submission_times
from reflow.stores.contract import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One try. Durations are seconds, sizes bytes, times ISO 8601 in UTC; None is unknown."""

    run: str
    task: str
    index: int
    """0 for a plain task."""
    attempt: int
    state: str
    cause: str
    error: str
    host: str
    native_id: str
    wave: int | None
    submitted: str | None
    started: str | None
    ended: str | None
    waiting_seconds: float | None
    running_seconds: float | None
    peak_memory: int | None
    cpu_seconds: float | None
    asked_memory: int | None
    """With what the retry asked for."""
    asked_cpus: int | None
    asked_seconds: float | None
    log: str
    """The path of the log; empty where nothing was printed."""


def trace(store: Store, run_id: str) -> Iterator[TraceRow]:
    """Yield the tries of a run that have ended, in order of task and index, then those under way.

    Rows are read while iterating. Raises `NotFoundError`.
    """
    record = store.run(run_id)
    make = _Maker(record, submission_times(store, run_id), asked_of_run(store, record))
    return _rows(store, record, make)


def _rows(store: Store, record: RunRecord, make: _Maker) -> Iterator[TraceRow]:
    for attempt in ended_attempts(store, record.run_id):
        yield make.row(attempt)
    if not record.state.final:
        for instance in store.instances(record.run_id, states=ACTIVE_TASK_STATES):
            yield make.row(_under_way(instance))


def _under_way(instance: Instance) -> Attempt:
    return Attempt(
        outcome=Outcome(
            task=instance.task,
            index=instance.index,
            attempt=instance.attempt,
            state=instance.state,
            error=instance.error,
            native_id=instance.native_id,
        ),
        wave=instance.wave,
        mem_scale=instance.mem_scale,
        time_scale=instance.time_scale,
    )


class _Maker:
    """Makes rows of tries."""

    def __init__(
        self, record: RunRecord, submitted: Mapping[int, float], asked: Mapping[str, Resources]
    ) -> None:
        self._record, self._submitted, self._asked = record, submitted, asked

    def row(self, attempt: Attempt) -> TraceRow:
        outcome, asked = attempt.outcome, self._asked.get(attempt.outcome.task)
        submitted = None if attempt.wave is None else self._submitted.get(attempt.wave)
        started, ended = outcome.started_at, outcome.ended_at
        memory = None if asked is None or asked.mem is None else asked.mem * attempt.mem_scale
        time = None if asked is None or asked.time is None else asked.time * attempt.time_scale
        return TraceRow(
            run=self._record.run_id,
            task=outcome.task,
            index=outcome.index,
            attempt=outcome.attempt,
            state=outcome.state.value,
            cause="" if outcome.cause is None else outcome.cause.value,
            error=outcome.error,
            host=outcome.host,
            native_id=outcome.native_id,
            wave=attempt.wave,
            submitted=moment(submitted),
            started=moment(started),
            ended=moment(ended),
            waiting_seconds=_between(submitted, started),
            running_seconds=_between(started, ended),
            peak_memory=outcome.peak_memory,
            cpu_seconds=outcome.cpu_time,
            asked_memory=None if memory is None else round(memory),
            asked_cpus=None if asked is None else asked.cpus,
            asked_seconds=None if time is None else time.total_seconds(),
            log=f"{self._record.run_dir}/{outcome.log}" if outcome.log else "",
        )


def _between(start: float | None, end: float | None) -> float | None:
    # Clocks of two hosts may differ a little.
    return None if start is None or end is None else round(max(end - start, 0.0), 3)


def moment(time: float | None) -> str | None:
    """Write seconds since the epoch as ISO 8601 in UTC."""
    if time is None:
        return None
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
