"""Seeing to it that somebody dispatches again: the watchdog of a run.

Liveness rests on it alone. Exactly one lies in the future for as long as the run lasts; each is
further ahead than the last, up to an hour.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reflow.config import Config, DispatchSettings
from reflow.engine.image import RunImage
from reflow.engine.names import token
from reflow.engine.requests import dispatch_request
from reflow.engine.settings import RunSettings
from reflow.errors import ExecutorError, SubmissionUncertainError
from reflow.executors.contract import Executor
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.permissions import make_folder

LONGEST = timedelta(hours=1)
MOST_DOUBLED = 16
"""How often the time to the next watchdog is doubled; the longest is reached long before."""

log = logging.getLogger("reflow.engine")


def is_watched(executor: Executor, config: DispatchSettings) -> bool:
    """Whether runs have a watchdog: it is wanted, and the executor can have jobs begin later."""
    able = executor.capabilities
    return able.dispatch_jobs and able.begin_time and config.watchdog


class Watchdog:
    """Keeps one dispatch job with a begin time in the queue."""

    def __init__(
        self,
        image: RunImage,
        settings: RunSettings,
        executor: Executor,
        commit: Callable[[], None],
    ) -> None:
        self._image = image
        self._settings = settings
        self._executor = executor
        self._commit = commit
        config = Config.from_dict(settings.config).dispatch
        self._wanted = is_watched(executor, config)
        self._first = timedelta(minutes=config.watchdog_minutes)

    def arm(self, within: timedelta | None = None) -> None:
        """Submit a watchdog unless one lies ahead; with `within`, not much further than that."""
        if not self._wanted:
            return
        now = datetime.now(UTC)
        known = [
            record
            for record in self._image.dispatches.values()
            if record.kind is SubmissionKind.WATCHDOG
        ]
        begun = max(now, self._begins_here or now)
        # One that is further ahead than any can be was written down by a clock gone wrong.
        latest = now + 2 * (within or LONGEST)
        if any(begun < record.begins_at <= latest for record in known if record.begins_at):
            return
        doubled = min(len(known), MOST_DOUBLED)
        pause = within or min(LONGEST, self._first * 2**doubled)
        self._submit(now + pause, pause)

    @property
    def _begins_here(self) -> datetime | None:
        """When the watchdog was to begin that this process lives in.

        It has begun, and those before it, however early that is by the clock of this machine.
        """
        own = os.environ.get("REFLOW_NATIVE_ID")
        lives = (item for item in self._image.dispatches.values() if own in item.native_ids)
        return next((item.begins_at for item in lives), None)

    def _submit(self, begins_at: datetime, pause: timedelta) -> None:
        number = self._image.number
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.WATCHDOG,
            token=token(self._settings.run_id, number, "watchdog"),
            submitted_at=datetime.now(UTC),
            begins_at=begins_at,
        )
        make_folder(self._settings.layout.dispatch_job(number))
        self._image.add_submission(record)
        self._commit()
        try:
            submission = self._executor.submit(dispatch_request(self._settings, record, pause))
        except SubmissionUncertainError as error:
            log.warning("no answer to the submission of the watchdog: %s", error)
        except ExecutorError as error:
            log.warning("no watchdog could be submitted: %s", error)
            self._image.set_submission(replace(record, state=SubmissionState.OVER))
        else:
            record = self._image.add_native_id(record, submission.job.native_id)
            self._image.set_submission(replace(record, state=SubmissionState.ACCEPTED))
        self._commit()
