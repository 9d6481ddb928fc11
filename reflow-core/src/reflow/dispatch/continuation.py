"""Watchdogs: dispatch jobs with a begin time, which keep a run going if everything else is lost.

Follow-ups and workers usually dispatch the next step, but each of them can be lost. Only the
watchdogs guarantee that the run goes on. Several lie ahead for as long as the run lasts, at growing
distances, so that neither the loss of one nor an outage that swallows the next few ends the run.
The near watchdog is submitted further ahead each time, up to an hour. Those further off come nearer
as time passes and become the near ones in the end: none is ever given up for another.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reflow.config.schema import DispatchSettings
from reflow.dispatch.jobs.names import token
from reflow.dispatch.jobs.requests import dispatch_request
from reflow.dispatch.tracked_run import TrackedRun
from reflow.errors import ExecutorError, SubmissionUncertainError
from reflow.executors.contract import Executor
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.permissions import make_folder, touch
from reflow.rundir.run_settings import RunSettings

MOST_DOUBLED = 16
"""How often the time to the next watchdog is doubled; the longest is reached long before."""
PLACES_FOR_MORE = (6, 12)
"""With fewer places than the first in the queue there is one watchdog, with fewer than the second
there are two."""

log = logging.getLogger("reflow.dispatch")


def is_watched(executor: Executor, config: DispatchSettings) -> bool:
    """Tell whether runs have watchdogs: enabled, and the executor can start jobs later."""
    able = executor.capabilities
    return able.dispatch_jobs and able.begin_time and config.watchdog


def most_watchdogs(places: int | None) -> int:
    """Return how many watchdogs a run keeps where the queue has so many places."""
    return 1 + sum(places is None or places >= least for least in PLACES_FOR_MORE)


@dataclass(frozen=True, slots=True)
class _Distance:
    """How far ahead one of the watchdogs is to lie."""

    nearest: timedelta
    farthest: timedelta
    """A watchdog further ahead than this was recorded by a clock that was wrong."""
    new: timedelta
    """How far ahead it is submitted."""


class Watchdog:
    """Keeps dispatch jobs with begin times in the queue."""

    def __init__(
        self,
        tracked: TrackedRun,
        settings: RunSettings,
        executor: Executor,
        commit: Callable[[], None],
    ) -> None:
        self._tracked = tracked
        self._settings = settings
        self._executor = executor
        self._commit = commit
        config = settings.config.dispatch
        self._wanted = is_watched(executor, config)
        self._first = timedelta(minutes=config.watchdog_minutes)
        outage = timedelta(hours=config.outage_hours)
        self._longest = outage / 6
        self._farther = (
            _Distance(self._longest, 3 * self._longest, new=2 * self._longest),
            # It comes nearer between two looks, and must still be an outage's length away then.
            _Distance(outage + 2 * self._longest, 4 * outage, new=2 * outage),
        )
        self._submitted_here: set[int] = set()
        self.trouble = ""
        """Why the last watchdog that was due could not be submitted."""

    def arm(self, within: timedelta | None = None) -> None:
        """Submit the near watchdog unless it is there; `within` limits how far ahead it lies.

        It is the only watchdog where places in the queue are few.
        """
        doubled = min(self._begun, MOST_DOUBLED)
        pause = within or min(self._longest, self._first * 2**doubled)
        farthest = 2 * within if within else self._longest
        self._keep(_Distance(timedelta(0), farthest, new=pause))

    def arm_farther(self, most: Callable[[], int]) -> None:
        """Submit the farther watchdogs, unless they are there.

        `most` returns how many watchdogs are wanted in all. It is called only if one is missing,
        since it asks the scheduler for its limits.
        """
        if not self._wanted or all(map(self._is_there, self._farther)):
            return
        for distance in self._farther[: most() - 1]:
            if not self._keep(distance):
                return

    def make_room(self) -> None:
        """Give up the farther watchdogs, where one has begun and found still no room in the queue.

        They are recorded as to be cancelled.
        """
        if not self._begun:
            return
        limit = datetime.now(UTC) + self._longest
        farther = [item for item in self._ahead if item.begins_at and item.begins_at > limit]
        for record in farther:
            self._tracked.set_submission(replace(record, state=SubmissionState.CANCELLING))

    def end(self) -> None:
        """Let no watchdog submit itself again."""
        if self._wanted:
            with suppress(OSError):
                touch(self._settings.layout.ended)

    @property
    def lies_ahead(self) -> bool:
        """Whether there is a watchdog that has not begun."""
        return bool(self._ahead)

    @property
    def _all(self) -> list[SubmissionRecord]:
        dispatches = self._tracked.dispatches.values()
        return [item for item in dispatches if item.kind is SubmissionKind.WATCHDOG]

    @property
    def _ahead(self) -> list[SubmissionRecord]:
        now = datetime.now(UTC)
        begun = max(now, self._begins_here or now)
        return [
            record
            for record in self._all
            if record.begins_at
            and record.begins_at > (now if record.number in self._submitted_here else begun)
        ]

    @property
    def _begun(self) -> int:
        return len(self._all) - len(self._ahead)

    @property
    def _begins_here(self) -> datetime | None:
        """The begin time of the watchdog that this process runs in.

        It has begun, and those before it, however early that is by the clock of this machine.
        """
        own = os.environ.get("REFLOW_NATIVE_ID")
        lives = (item for item in self._tracked.dispatches.values() if own in item.native_ids)
        return next((item.begins_at for item in lives), None)

    def _keep(self, distance: _Distance) -> bool:
        """Keep a watchdog at some distance; return False where it cannot be submitted."""
        if not self._wanted:
            return False
        if self._is_there(distance):
            return True
        return self._submit(datetime.now(UTC) + distance.new, distance.new)

    def _is_there(self, distance: _Distance) -> bool:
        now = datetime.now(UTC)
        nearest, farthest = now + distance.nearest, now + distance.farthest
        return any(item.begins_at and nearest < item.begins_at <= farthest for item in self._ahead)

    def _submit(self, begins_at: datetime, pause: timedelta) -> bool:
        number = self._tracked.number
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.WATCHDOG,
            token=token(self._settings.run_id, number, "watchdog"),
            submitted_at=datetime.now(UTC),
            begins_at=begins_at,
        )
        make_folder(self._settings.layout.dispatch_job(number), within=self._settings.layout.root)
        self._tracked.add_submission(record)
        self._submitted_here.add(number)
        self._commit()
        accepted = False
        try:
            submission = self._executor.submit(dispatch_request(self._settings, record, pause))
        except SubmissionUncertainError as error:
            log.warning("no answer to the submission of the watchdog: %s", error)
        except ExecutorError as error:
            log.warning("no watchdog could be submitted: %s", error)
            self.trouble = str(error)
            self._tracked.set_submission(replace(record, state=SubmissionState.OVER))
        else:
            record = self._tracked.add_native_id(record, submission.job.native_id)
            self._tracked.set_submission(replace(record, state=SubmissionState.ACCEPTED))
            accepted, self.trouble = True, ""
        self._commit()
        return accepted
