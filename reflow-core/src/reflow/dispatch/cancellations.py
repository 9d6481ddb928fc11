"""Jobs to be cancelled, kept on record until the scheduler has confirmed that they are gone.

A scheduler that does not answer cancels nothing, and one that has accepted a cancellation may need
a while. So every cancellation is recorded first. It is repeated by every dispatcher, and by any
command that looks at the run after its end. Meanwhile no new attempt of an affected element begins.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.modes import mode_of
from reflow.dispatch.pilots.open_waves import end_in_pilots, was_open
from reflow.dispatch.tracked_run import TrackedRun
from reflow.errors import SchedulerUnavailableError
from reflow.executors.contract import Executor
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.records import Instance, Lease, SubmissionKind, SubmissionRecord, SubmissionState
from reflow.model.states import JobState
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings
from reflow.stores.contract import Store

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two tries by a dispatcher that stays: first, and at most."""
STILL_THERE = "the scheduler has not ended them yet"

log = logging.getLogger("reflow.dispatch")


class Cancellations:
    """The cancellations of a run that its dispatcher has still to carry out."""

    def __init__(
        self,
        tracked: TrackedRun,
        settings: RunSettings,
        executor: Executor,
        commit: Callable[[], None],
        epoch: Callable[[], int],
    ) -> None:
        self._tracked = tracked
        self._settings = settings
        self._executor = executor
        self._commit = commit
        self._epoch = epoch
        self._pause = FIRST_PAUSE
        self._next = 0.0
        self.trouble = ""
        """Why jobs are left that are to be cancelled; empty where there are none."""
        self.silence = ""
        """Why the scheduler cancelled nothing when it was last asked; empty when it did."""

    @property
    def look_again_in(self) -> float | None:
        """Seconds until the next try is due; None when there is nothing to cancel."""
        return max(0.0, self._next - time.monotonic()) if self._tracked.cancelling else None

    def concern(self, instance: Instance) -> bool:
        """Tell whether the job of an element's last attempt may still live."""
        return instance.wave in self._tracked.cancelling

    def try_again(self) -> None:
        """Cancel the recorded jobs, unless that was tried a moment ago."""
        if self._tracked.cancelling and time.monotonic() >= self._next:
            self.try_now()

    def try_now(self) -> None:
        """Cancel the recorded jobs, and record which of them are gone."""
        records = list(self._tracked.cancelling.values())
        self.trouble = self.silence = ""
        if not records:
            return
        try:
            gone = end(self._tracked.store, self._settings, self._executor, records, self._epoch())
        except SchedulerUnavailableError as error:
            log.warning("could not cancel jobs: %s", error)
            self.trouble = self.silence = str(error)
            gone = []
        for record in gone:
            self._tracked.set_submission(replace(record, state=SubmissionState.OVER))
        self._commit()
        if self._tracked.cancelling:
            self.trouble = self.trouble or STILL_THERE
            self._next = time.monotonic() + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)


def finish_cancelling(store: Store, settings: RunSettings, lease: Lease, executor: Executor) -> str:
    """Go on cancelling after a run has ended; return why jobs are left, or an empty text."""
    records = to_be_cancelled(store, lease.run_id)
    try:
        gone = end(store, settings, executor, records, lease.epoch)
    except SchedulerUnavailableError as error:
        log.warning("could not cancel jobs: %s", error)
        return str(error)
    with store.fenced(lease) as write:
        for record in gone:
            write.update_submission(replace(record, state=SubmissionState.OVER))
    return STILL_THERE if len(gone) < len(records) else ""


def to_be_cancelled(store: Store, run_id: str) -> list[SubmissionRecord]:
    """Return the cancelled submissions whose end the scheduler has not confirmed."""
    found = store.submissions(run_id)
    return [record for record in found if record.state is SubmissionState.CANCELLING]


def end(
    store: Store,
    settings: RunSettings,
    executor: Executor,
    records: Sequence[SubmissionRecord],
    epoch: int,
) -> list[SubmissionRecord]:
    """Cancel submissions and return those that are gone. Raises `SchedulerUnavailableError`.

    For dispatch jobs it is enough that the scheduler accepted the cancellation: they do no harm.
    The job that this process runs in ends by itself, as do jobs that share a wave that is over once
    they run, and what pilots have of a wave is ended by these, once they are told. `epoch` is that
    of the lease.
    """
    over = [record for record in records if _is_over(settings.layout, record)]
    gone = [record for record in over if _cancel_waiting(executor, settings.layout, record)]
    records = [record for record in records if record not in over]
    if not records or not mode_of(executor).asks_a_scheduler:
        return [*gone, *records]
    of_pilots = {record.number for record in records if was_open(settings.layout, record)}
    left = of_pilots - end_in_pilots(settings.layout, epoch, of_pilots)
    known = [
        record if record.number in of_pilots else _looked_up(store, settings, executor, record)
        for record in records
    ]
    handles = _others(settings.layout, known)
    if handles:
        executor.cancel(handles)
    waves = [record for record in known if record.kind is SubmissionKind.WAVE]
    alive = jobs_alive(executor, settings.layout, waves)
    return [
        *gone,
        *(
            record
            for record in known
            if alive.isdisjoint(record.native_ids) and record.number not in left
        ),
    ]


def _is_over(layout: RunLayout, record: SubmissionRecord) -> bool:
    return record.kind is SubmissionKind.WAVE and layout.wave(record.number).over.exists()


def _cancel_waiting(executor: Executor, layout: RunLayout, record: SubmissionRecord) -> bool:
    """Cancel the jobs of a wave that wait in the queue; return whether none is left there."""
    handles = handles_of(layout, [record])
    for handle in handles:
        waiting = _waiting(executor, handle)
        if waiting and handle.size is None:
            executor.cancel([handle])
        elif waiting:
            executor.cancel_positions(handle, waiting)
    return not any(_waiting(executor, handle) for handle in handles)


def _waiting(executor: Executor, handle: JobHandle) -> list[int]:
    statuses = executor.poll([handle])
    queued = (status for status in statuses if status.state is JobState.QUEUED)
    return sorted({each for item in queued for each in item.positions or range(handle.size or 1)})


def jobs_alive(
    executor: Executor, layout: RunLayout, waves: Iterable[SubmissionRecord]
) -> set[str]:
    """Return the ids of jobs that may wait or run, except the one this process runs in.

    Raises `SchedulerUnavailableError`.
    """
    handles = _others(layout, waves)
    if not handles:
        return set()
    answers: dict[str, list[JobStatus]] = {handle.native_id: [] for handle in handles}
    for status in executor.poll(handles):
        answers.setdefault(status.native_id, []).append(status)
    return {native_id for native_id, statuses in answers.items() if not _over(statuses)}


def _others(layout: RunLayout, records: Iterable[SubmissionRecord]) -> list[JobHandle]:
    own = os.environ.get("REFLOW_NATIVE_ID")
    return [handle for handle in handles_of(layout, records) if handle.native_id != own]


def _over(statuses: Sequence[JobStatus]) -> bool:
    return bool(statuses) and all(status.state.gone for status in statuses)


def _again_mark(layout: RunLayout, record: SubmissionRecord) -> Path:
    if record.kind is SubmissionKind.WAVE:
        return layout.wave(record.number).submitted_again
    return layout.watchdog_again(record.number)


def _looked_up(
    store: Store, settings: RunSettings, executor: Executor, record: SubmissionRecord
) -> SubmissionRecord:
    """Add job ids that were never received: from a lost answer, or a watchdog's own successors."""
    submitted_again = _again_mark(settings.layout, record).exists()
    if record.native_ids and not submitted_again:
        return record
    found = [handle.native_id for handle in executor.find(record.token)]
    for native_id in found:
        store.add_native_id(settings.run_id, record.token, native_id)
    return replace(record, native_ids=tuple(dict.fromkeys([*record.native_ids, *found])))
