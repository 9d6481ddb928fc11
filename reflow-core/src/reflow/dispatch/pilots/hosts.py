"""Which pilots of a run live, and what became of the others.

A pilot that lives touches its file, and one that ends in order leaves another beside it. So a
dispatcher in a pilot does not ask the scheduler about pilots while none is silent. Others do: the
follow-up of pilots may begin a moment after the last of them was killed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reflow.dispatch.jobs.hosts import Blame
from reflow.dispatch.tracked_run import TrackedRun
from reflow.execution.pool.pilot_files import (
    SILENT_AFTER,
    PilotFile,
    last_sign,
    pilot_files,
    workers_of,
)
from reflow.model.jobs import JobStatus
from reflow.model.records import SubmissionKind, SubmissionRecord
from reflow.model.states import FailureCause, JobState
from reflow.rundir.claims import Claim, plain
from reflow.rundir.files import server_time
from reflow.rundir.layout import RunLayout
from reflow.rundir.packs import is_later

SHOWN_WITHIN = timedelta(minutes=1)
"""How long a scheduler may take to show a job that it has accepted."""


class PilotHosts:
    """The pilots of a run, by their files and by what the scheduler has said of them."""

    def __init__(self, tracked: TrackedRun, layout: RunLayout) -> None:
        self._tracked = tracked
        self._layout = layout
        self._files: dict[tuple[str, str], PilotFile] = {}
        """By job and incarnation."""
        self._newest: dict[tuple[int, int], PilotFile] = {}
        """By submission and number in it, the pilot's last life."""
        self._last_of_job: dict[str, PilotFile] = {}
        self._silent: set[tuple[int, int]] = set()
        self._just_submitted: set[int] = set()
        self._told: dict[tuple[int, int], JobStatus] = {}
        self.failure: JobStatus | None = None
        """Why no pilot gets as far as to run an element; None where that is not so."""

    @property
    def submissions(self) -> list[SubmissionRecord]:
        """The submissions of pilots that are not over."""
        kept = self._tracked.dispatches.values()
        return [record for record in kept if record.kind is SubmissionKind.PILOTS]

    def look(self) -> None:
        """Read the pilots' files, and forget what the scheduler said before."""
        self._told.clear()
        self.look_again()

    def look_again(self) -> None:
        """Read the pilots' files. What the scheduler said last still holds."""
        files = pilot_files(self._layout.hosts)
        self._files = {(file.job, file.incarnation): file for file in files}
        self._last_of_job = {}
        for file in self._files.values():
            other = self._last_of_job.setdefault(file.job, file)
            # The node of an earlier life may have had another clock.
            if is_later(file.path, other.path):
                self._last_of_job[file.job] = file
        last = sorted(self._last_of_job.values(), key=lambda file: file.begun_at)
        self._newest = {(file.submission, file.element): file for file in last}
        self._just_submitted = {
            record.number
            for record in self.submissions
            if record.submitted_at and datetime.now(UTC) - record.submitted_at < SHOWN_WITHIN
        }
        self._silent = set()
        alive = {key: file for key, file in self._newest.items() if not file.is_gone}
        if alive and self.submissions:
            latest = server_time(self._layout.clock) - SILENT_AFTER
            for key, file in alive.items():
                with suppress(OSError):
                    if last_sign(file.path) < latest:
                        self._silent.add(key)

    def dead(self) -> Iterator[tuple[PilotFile, JobStatus]]:
        """Yield pilots that have begun and ended without a word, as the scheduler says."""
        for key, status in self._told.items():
            file = self._newest.get(key)
            if file is not None and not file.is_gone and status.state.gone:
                yield file, status

    @property
    def running(self) -> int:
        """How many pilots live."""
        return len(self.living)

    def all_run(self, record: SubmissionRecord) -> bool:
        """Tell whether each pilot of a submission lives."""
        return all(self._lives(record, job) for job in _jobs(record))

    @property
    def at_once(self) -> int:
        """How many elements those that live may run at the same time, by what each has found."""
        return sum(map(workers_of, self.living))

    @property
    def living(self) -> list[Path]:
        """The files of those that live."""
        return [
            self._newest[record.number, job].path
            for record in self.submissions
            for job in _jobs(record)
            if self._lives(record, job)
        ]

    @property
    def waiting(self) -> int:
        """How many pilots have not begun, or are back in the queue, and may still begin."""
        return sum(
            self._waits(record.number, job) for record in self.submissions for job in _jobs(record)
        )

    @property
    def may_return(self) -> list[SubmissionRecord]:
        """The submissions of which a pilot has ended or is silent: it may be in the queue again."""
        return [
            record
            for record in self.submissions
            if any(
                self._has_ended(record.number, job) or (record.number, job) in self._silent
                for job in _jobs(record)
            )
        ]

    @property
    def unsure(self) -> Sequence[SubmissionRecord]:
        """The submissions that the scheduler is to be asked about: of silent pilots, or of all."""
        if not self.running or not self._is_in_pilot:
            return self.submissions
        silent = {submission for submission, _ in self._silent}
        return [record for record in self.submissions if record.number in silent]

    @property
    def _is_in_pilot(self) -> bool:
        """Whether this process lives in a pilot's job."""
        own = plain(os.environ.get("REFLOW_NATIVE_ID", ""))
        return any(file.job == own and not file.is_gone for file in self._newest.values())

    def take(self, statuses: Iterable[JobStatus]) -> list[SubmissionRecord]:
        """Take what the scheduler says; return the submissions of which nothing is left."""
        by_id = {native: record for record in self.submissions for native in record.native_ids}
        for status in statuses:
            record = by_id.get(status.native_id)
            if record is None:
                continue
            for job in _jobs(record) if status.positions is None else status.positions:
                # Of two jobs for the same pilot, one may live.
                if not status.state.gone or (record.number, job) not in self._told:
                    self._told[record.number, job] = status
        return [record for record in self.submissions if self._is_over(record)]

    def _is_over(self, record: SubmissionRecord) -> bool:
        # One that has ended in order while its job lives may be put back into the queue.
        return all(self._is_gone(record.number, job) for job in _jobs(record))

    def has_worked(self, record: SubmissionRecord) -> bool:
        """Tell whether one of the pilots of a submission ran an element, or had none to run."""
        files = (self._newest.get((record.number, job)) for job in _jobs(record))
        left = any(file is not None and file.has_left for file in files)
        return left or self._layout.pilots_worked(record.number).exists()

    def status_of(self, record: SubmissionRecord) -> JobStatus | None:
        """Return what the scheduler said of one of the pilots of a submission."""
        said = (self._told.get((record.number, job)) for job in _jobs(record))
        return next((status for status in said if status is not None), None)

    # -- as hosts of waves -----------------------------------------------------------------
    def of(self, claim: Claim) -> JobStatus | None:
        """Return the status of the pilot that made a claim; None where it is none of a pilot's."""
        if claim.element is None:
            return None
        file = self._files.get((plain(claim.native_id), plain(claim.incarnation)))
        runs = JobStatus(native_id=claim.native_id, state=JobState.RUNNING)
        if file is None:
            # Its file cannot be seen from here yet.
            return runs
        key = (file.submission, file.element)
        told = self._told.get(key)
        # A job that is back in the queue has lost what it ran.
        waits_again = told is not None and told.state is JobState.QUEUED and key in self._silent
        if file.is_gone or waits_again or self._last_of_job[file.job] is not file:
            return JobStatus(
                native_id=claim.native_id,
                state=JobState.FAILED,
                cause=FailureCause.PREEMPTED,
                reason="the pilot has ended",
            )
        if told is not None:
            return told if told.state.gone else runs
        if file.submission not in {record.number for record in self.submissions}:
            return JobStatus(native_id=claim.native_id, state=JobState.UNKNOWN)
        return runs

    def unclaimed(self, *, idle: bool) -> tuple[JobStatus, Blame]:
        """Return what becomes of blocks that no pilot has taken: they wait, or none ever will."""
        if self.failure is not None:
            return self.failure, Blame.OWN
        queued = [item for item in self._told.values() if item.state is JobState.QUEUED]
        waits = JobStatus(
            native_id="",
            state=JobState.QUEUED,
            reason=queued[0].reason if queued else "",
            impossible=bool(queued) and all(item.impossible for item in queued),
        )
        return waits, Blame.NONE

    def _lives(self, record: SubmissionRecord, job: int) -> bool:
        key = (record.number, job)
        if key not in self._newest or self._has_ended(*key):
            return False
        # Where a file server hangs, all are silent.
        return key not in self._silent or self._was_told(key, JobState.RUNNING, JobState.SUSPENDED)

    def _waits(self, submission: int, job: int) -> bool:
        key = (submission, job)
        if key not in self._newest:
            return not self._is_gone(*key)
        over = self._has_ended(*key) or key in self._silent
        return over and self._was_told(key, JobState.QUEUED)

    def _was_told(self, key: tuple[int, int], *states: JobState) -> bool:
        told = self._told.get(key)
        return told is not None and told.state in states

    def _has_ended(self, submission: int, job: int) -> bool:
        file = self._newest.get((submission, job))
        return file is not None and file.is_gone

    def _is_gone(self, submission: int, job: int) -> bool:
        told = self._told.get((submission, job))
        if told is None or not told.state.gone:
            return False
        may_show_up = submission in self._just_submitted and (submission, job) not in self._newest
        return told.state is not JobState.UNKNOWN or not may_show_up


def _jobs(record: SubmissionRecord) -> range:
    return range(record.size or 1)
