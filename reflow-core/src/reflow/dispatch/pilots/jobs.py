"""The pilots of a run: when they are submitted, what they are told, and when they are replaced.

All pilots are submitted before the first wave is opened to them, so that between two waves nothing
is submitted. A pilot that has ended early is replaced while there are elements that no pilot has
claimed, and that the others have no room for. A wave that is open to pilots has no job and no id of
its own.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from reflow.dispatch.jobs.follow_ups import new_follow_up
from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.jobs.names import token
from reflow.dispatch.jobs.requests import dispatch_request
from reflow.dispatch.pilots.demand import pilots_wanted
from reflow.dispatch.pilots.fit import fits
from reflow.dispatch.pilots.hosts import PilotHosts
from reflow.dispatch.pilots.open_waves import is_open
from reflow.dispatch.pilots.requests import pilots_request, pilots_size
from reflow.dispatch.pilots.vain import failure_of_pilots, note_vain
from reflow.dispatch.retry_policy import NODE_LOSS_CAUSES
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.errors import (
    ExecutorError,
    SchedulerUnavailableError,
    SubmissionDeferredError,
    SubmissionRefusedError,
    SubmissionUncertainError,
)
from reflow.execution.pool.open_waves import (
    OpenWaves,
    closed,
    opened,
    tell,
    tell_begin,
    tell_end,
)
from reflow.execution.pool.pilot_files import mark_gone
from reflow.executors.contract import Executor
from reflow.model.pilots import Pilots
from reflow.model.records import SubmissionKind, SubmissionRecord, SubmissionState
from reflow.model.resources import Resources
from reflow.model.states import JobState
from reflow.permissions import make_folder, touch
from reflow.rundir.claims import current_claim
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import JobCounts, write_job_counts
from reflow.rundir.run_settings import RunSettings

log = logging.getLogger("reflow.dispatch")


class PilotJobs:
    """Keeps the pilots of a run, and opens waves to them."""

    def __init__(
        self,
        pilots: Pilots,
        tracked: TrackedRun,
        settings: RunSettings,
        executor: Executor,
        waves: Hosts,
        epoch: Callable[[], int],
        commit: Callable[[], None],
    ) -> None:
        self._pilots = pilots
        self._tracked = tracked
        self._settings = settings
        self._layout: RunLayout = settings.layout
        self._executor = executor
        self._waves = waves
        self._epoch = epoch
        self._commit = commit
        self.hosts = PilotHosts(tracked, settings.layout)
        self._told = OpenWaves(settings.layout.open_waves)
        """What pilots have been told, read on at each step."""
        self._counts: JobCounts | None = None
        self._dead: list[Path] = []
        """The files of pilots that are over by the scheduler's last word."""
        self.room: Callable[[int], int] = lambda wanted: wanted
        """Returns how many of so many pilots the queue has places for. It may ask the scheduler,
        and is only called where they are about to be submitted."""
        self.refused = ""
        """Why the scheduler will never take pilots such as these; empty where it does."""

    def serve(self, resources: Resources, task: str) -> bool:
        """Tell whether elements of a task that ask for so much are run by pilots."""
        return (
            fits(self._pilots, resources, self._executor.name)
            and not self._layout.too_large(task).exists()
        )

    @property
    def workers(self) -> int:
        """How many elements of one CPU all pilots run at once."""
        return self._pilots.jobs * self._pilots.cpus

    @property
    def seconds(self) -> float | None:
        """How long each pilot may run; None where that is left to the site."""
        return None if self._pilots.time is None else self._pilots.time.total_seconds()

    # -- waves -----------------------------------------------------------------------------
    def adopt(self) -> None:
        """Tell pilots of waves that were opened, or are over, where they could not be told."""
        told = self._told
        told.look()
        numbers = [wave.record.number for wave in self._open_waves()]
        missing = [opened(number) for number in numbers if number not in told.numbers]
        over = [closed(number) for number in told.numbers if number not in numbers]
        if missing or over:
            self._tell([*over, *missing])

    def open(self, number: int) -> None:
        """Let pilots take elements of a wave whose intent is committed. Raises `OSError`."""
        self._tell([opened(number)])

    def close(self, waves: Iterable[TrackedWave]) -> None:
        """Tell pilots that nothing is left of waves."""
        numbers = [wave.record.number for wave in waves if is_open(wave.record)]
        if numbers:
            self._tell(map(closed, numbers))

    def too_large(self) -> list[TrackedWave]:
        """Return open waves whose elements ask for more than a pilot has found itself to have.

        Elements of their tasks are no longer for pilots.
        """
        found = [
            wave
            for wave in self._open_waves()
            if self._layout.wave(wave.record.number).too_large.exists()
        ]
        for wave in found:
            touch(self._layout.too_large(wave.record.task or ""))
        return found

    def short_of_permits(self) -> list[TrackedWave]:
        """Return open waves of which a pilot that has ended holds permits.

        Those cannot be given to others: what is left of the wave is to be opened anew.
        """
        return [wave for wave in self._open_waves() if self._has_lost_permits(wave)]

    def _has_lost_permits(self, wave: TrackedWave) -> bool:
        layout = self._layout.wave(wave.record.number)
        spec = self._waves.spec(wave)
        if spec is None or spec.pack is None or spec.pack.permits is None:
            return False
        for number in range(spec.pack.permits):
            claim = current_claim(layout, spec.pack.permit(number, spec.size))
            status = None if claim is None else self.hosts.of(claim)
            if status is not None and status.state.gone:
                return True
        return False

    def _tell(self, words: Iterable[str]) -> None:
        tell(self._layout.open_waves, self._epoch(), words)

    def _open_waves(self) -> list[TrackedWave]:
        waves = self._tracked.waves.values()
        return [wave for wave in waves if wave.members and is_open(wave.record)]

    # -- what the scheduler says -----------------------------------------------------------
    def look(self, *, ask: bool = True) -> list[TrackedWave]:
        """Find out which pilots live; return the waves whose elements they have.

        The scheduler may be asked where that is not certain. Raises `SchedulerUnavailableError`.
        """
        waves = self._open_waves()
        if not waves:
            if self.hosts.submissions:
                # Nothing depends on them now; those that wait for work may end meanwhile.
                self.hosts.look()
                self._count()
            return []
        if ask:
            self.hosts.look()
            self._dead.clear()
        else:
            self.hosts.look_again()
        handles = handles_of(self._layout, self.hosts.unsure) if ask else []
        if handles:
            over = self.hosts.take(self._executor.poll(handles))
            self._see_off_dead()
            for record in over:
                self._note_if_vain(record)
                self._tracked.set_submission(replace(record, state=SubmissionState.OVER))
        self.hosts.failure = failure_of_pilots(self._layout)
        self._count()
        return waves

    def _see_off_dead(self) -> None:
        """Cancel what may be left of pilots that were lost, and note which are certainly over."""
        handles = {record.number: record for record in self.hosts.submissions}
        for file, status in self.hosts.dead():
            if status.state in (JobState.FAILED, JobState.CANCELLED):
                self._dead.append(file.path)
            if status.state is JobState.UNKNOWN or status.cause in NODE_LOSS_CAUSES:
                for handle in handles_of(self._layout, [handles[file.submission]]):
                    self._executor.cancel_positions(handle, [file.element])

    def mark_dead(self) -> None:
        """Have nobody ask again about pilots that are over, once what it means is committed.

        By its mark alone, a pilot has ended in whatever way, and no element is to blame. What may
        have written results that are not seen yet is asked about again.
        """
        while self._dead:
            mark_gone(self._dead.pop())

    def _note_if_vain(self, record: SubmissionRecord) -> None:
        """Note of pilots that are gone that none of them has run an element."""
        status = self.hosts.status_of(record)
        if status is not None and not self.hosts.has_worked(record):
            note_vain(self._layout, record.number, status)

    def _count(self) -> None:
        counts = JobCounts(
            running=self.hosts.running, queued=self.hosts.waiting, at_once=self.hosts.at_once
        )
        if counts != self._counts:
            self._counts = counts
            write_job_counts(self._layout.pilot_counts, counts)

    # -- pilots ----------------------------------------------------------------------------
    def are_there(self) -> bool:
        """Submit the pilots where there are none; return whether there are any then.

        Raises `ExecutorError` where the scheduler takes none.
        """
        failure = failure_of_pilots(self._layout)
        if failure is not None:
            raise SubmissionRefusedError(failure.reason)
        if not self.hosts.submissions:
            self._submit_some(self._pilots.jobs)
        return bool(self.hosts.submissions)

    def replace_ended(self) -> None:
        """Submit pilots for those that have ended, while there is something for them to run.

        Raises `ExecutorError` where the scheduler takes none.
        """
        waves = self._open_waves()
        if not waves or self.hosts.failure is not None:
            return
        self.hosts.look_again()
        if not self._missing(waves):
            return
        handles = handles_of(self._layout, self.hosts.may_return)
        if handles:
            self.hosts.take(self._executor.poll(handles))
        missing = self._missing(waves)
        if missing:
            self._submit_some(missing)

    def _missing(self, waves: Sequence[TrackedWave]) -> int:
        """Return how many pilots are to be submitted beside those that live or wait."""
        living, waiting = self.hosts.living, self.hosts.waiting
        most = self._pilots.jobs - len(living) - waiting
        if most <= 0:
            return 0
        known = [(wave, spec) for wave in waves if (spec := self._waves.spec(wave)) is not None]
        wanted = pilots_wanted(self._pilots, self._layout, known, living) - waiting
        # What is claimed comes back where nobody is left to run it.
        least = 0 if living or waiting else 1
        return min(most, max(least, math.ceil(round(wanted, 6))))

    def _submit_some(self, wanted: int) -> None:
        """Submit as many pilots as are wanted and the queue has places for.

        There may be a limit that the scheduler does not report; fewer may be within it.
        """
        jobs = self.room(wanted)
        while jobs:
            try:
                self._submit(jobs)
            except SubmissionDeferredError:
                if jobs == 1:
                    raise
                jobs //= 2
            else:
                return

    def _submit(self, jobs: int) -> None:
        number = self._tracked.number
        record = SubmissionRecord(
            number=number,
            kind=SubmissionKind.PILOTS,
            token=token(self._settings.run_id, number, "pilots"),
            size=pilots_size(jobs),
            submitted_at=datetime.now(UTC),
        )
        make_folder(self._layout.pilots(number), within=self._layout.root)
        self._tracked.add_submission(record)
        follow_up = self._follow_up(number)
        self._commit()
        # They may start before this has returned, and the run have ended before a retry.
        tell_begin(self._layout.open_waves, self._epoch())
        try:
            submission = self._executor.submit(
                pilots_request(self._settings, record),
                None if follow_up is None else dispatch_request(self._settings, follow_up),
            )
        except SubmissionUncertainError as error:
            log.warning("no answer to the submission of %s: %s", record.token, error)
            return
        except ExecutorError as error:
            if isinstance(error, SubmissionRefusedError):
                self.refused = str(error)
            for each in filter(None, (record, follow_up)):
                self._tracked.set_submission(replace(each, state=SubmissionState.OVER))
            self._commit()
            # These were no pilots that ended before they ran an element.
            shutil.rmtree(self._layout.pilots(number), ignore_errors=True)
            raise
        self._accept(record, submission.job.native_id)
        if follow_up is not None and submission.follow_up is not None:
            self._accept(follow_up, submission.follow_up.native_id)
        elif follow_up is not None:
            self._tracked.set_submission(replace(follow_up, state=SubmissionState.OVER))
        self._commit()

    def _accept(self, record: SubmissionRecord, native_id: str) -> None:
        known = self._tracked.add_native_id(record, native_id)
        self._tracked.set_submission(replace(known, state=SubmissionState.ACCEPTED))

    def _follow_up(self, pilots: int) -> SubmissionRecord | None:
        """Record the dispatch job that goes on once all of these pilots have ended."""
        config = self._settings.config.dispatch
        if not (self._executor.capabilities.dispatch_jobs and config.follow_up):
            return None
        record = new_follow_up(self._tracked, self._settings, pilots)
        self._tracked.add_submission(record)
        return record

    # -- the run's end ---------------------------------------------------------------------
    def end(self) -> None:
        """Tell pilots that the run has ended, and cancel those that wait in the queue.

        The others end by themselves; this process may live in one of them.
        """
        with suppress(OSError):
            tell_end(self._layout.open_waves, self._epoch())
        self.hosts.look()
        # One that has ended may be back in the queue.
        unsure = [each for each in self.hosts.submissions if not self.hosts.all_run(each)]
        state = SubmissionState.OVER
        try:
            self._cancel_queued(unsure)
        except SchedulerUnavailableError as error:
            log.warning("could not cancel pilots that have nothing to do: %s", error)
            state = SubmissionState.CANCELLING
        for record in self.hosts.submissions:
            ends = state if record in unsure else SubmissionState.OVER
            self._tracked.set_submission(replace(record, state=ends))

    def _cancel_queued(self, records: Sequence[SubmissionRecord]) -> None:
        handles = {handle.native_id: handle for handle in handles_of(self._layout, records)}
        queued: dict[str, set[int]] = {}
        for status in self._executor.poll(list(handles.values())) if handles else ():
            if status.state is JobState.QUEUED and status.native_id in handles:
                every = range(handles[status.native_id].size or 1)
                jobs = every if status.positions is None else status.positions
                queued.setdefault(status.native_id, set()).update(jobs)
        for native_id, waiting in queued.items():
            self._executor.cancel_positions(handles[native_id], sorted(waiting))
