"""Finding out what became of elements that have no result.

A worker that is killed publishes nothing, and a scheduler's answer alone does not settle what
happened: it may be older than a result, speak of one of two copies of a job, or not know a job that
still runs. So an element is settled without a result only after these steps. The scheduler is asked
about every job with outstanding elements. Results are read once more, since one may have been
written after the answer. A position that runs in a job known by its claim alone is left to that
job. A job that has not definitely failed or been cancelled is given a grace period, by the file
server's clock. Where the job or its host was lost, whatever may be left of the job is cancelled
before the element fails and is tried again. A query that fails settles nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from reflow.dispatch.ingest import Ingest
from reflow.dispatch.jobs.handles import handles_of
from reflow.dispatch.jobs.hosts import Blame, Fate, Hosts, HostsOfWave
from reflow.dispatch.jobs.surplus import Surplus
from reflow.dispatch.modes import mode_of
from reflow.dispatch.pilots.jobs import PilotJobs
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.errors import SchedulerUnavailableError
from reflow.execution.outcomes import outcome_of_impossible, outcome_of_status
from reflow.executors.contract import Executor, PollsPositions
from reflow.model.jobs import JobHandle, JobStatus
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance
from reflow.model.states import FailureCause, JobState, TaskState
from reflow.rundir.files import server_time
from reflow.rundir.run_settings import RunSettings

log = logging.getLogger("reflow.dispatch")

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds between two questions to a scheduler by a dispatcher that stays: first, and at most."""

_PREFERENCE = {
    JobState.RUNNING: 5,
    JobState.SUSPENDED: 4,
    JobState.QUEUED: 3,
    JobState.FAILED: 2,
    JobState.CANCELLED: 2,
    JobState.COMPLETED: 1,
    JobState.UNKNOWN: 0,
}
"""Of several jobs for one position, that of the highest rank determines its state."""


@dataclass(slots=True)
class _Gone:
    """A position whose job is over or unknown, and that has no result yet."""

    wave: TrackedWave
    instance: Instance
    fate: Fate

    @property
    def position(self) -> int:
        """The element's position in the wave."""
        return self.fate.position

    @property
    def status(self) -> JobStatus:
        """What the scheduler says of its job."""
        return self.fate.status


@dataclass(slots=True)
class _Doomed:
    """A position that fails once whatever may be left of its job is cancelled."""

    item: _Gone
    outcome: Outcome


class Reconcile:
    """Asks the executor about elements without a result, and settles those whose jobs are gone."""

    def __init__(
        self,
        tracked: TrackedRun,
        settings: RunSettings,
        executor: Executor,
        ingest: Ingest,
        hosts: Hosts,
        grace: float,
        impossible_after: float | None,
        pilots: PilotJobs | None = None,
    ) -> None:
        self._tracked = tracked
        self._settings = settings
        self._executor = executor
        self._ingest = ingest
        self._mode = mode_of(executor)
        self._grace = self._mode.grace(grace)
        self._impossible_after = impossible_after
        self._pause = FIRST_PAUSE
        self._next_look = 0.0
        self._asked_at: float | None = None
        self._doomed: list[_Doomed] = []
        self._hosts = hosts
        self._pilots = pilots
        self._surplus = Surplus(tracked, settings, executor, hosts)
        self.look_again_in: float | None = None
        """Seconds until a grace period deserves another look; None when there is none."""
        self.silence = ""
        """Why the scheduler gave no answer when it was last asked; empty when it did."""

    def look(self) -> None:
        """Ask about everything outstanding, unless that was done a moment ago.

        A dispatcher that stays asks ever more seldom, so that it is no burden on the scheduler.
        A query that fails says nothing. What files say of pilots costs the scheduler nothing.
        """
        if time.monotonic() < self._next_look:
            if self._pilots is not None:
                self._take_pilots_word(self._pilots)
            return
        self._ask()
        if self._mode.asks_a_scheduler:
            self._next_look = time.monotonic() + min(
                self._pause, self.look_again_in or LONGEST_PAUSE
            )
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)

    def _ask(self) -> None:
        self.look_again_in = None
        handles = self._handles()
        try:
            open_waves = [] if self._pilots is None else self._pilots.look()
            if not handles and not open_waves:
                return
            if handles:
                self._surplus.look()
            statuses = self._poll(handles) if handles else []
        except SchedulerUnavailableError as error:
            log.warning("the scheduler did not answer: %s", error)
            self.silence = str(error)
            return
        self.silence = ""
        self._asked_at = None
        self._settle([*self._apply(statuses), *self._apply_to_open(open_waves)])

    def _settle(self, found: Sequence[_Gone]) -> None:
        """Decide on positions whose jobs are over or unknown."""
        gone = [item for item in found if not self._goes_on(item)]
        if gone:
            # The answers may be older than a result that was written since.
            self._ingest.collect()
            left = [item for item in gone if item.wave.members.get(item.position) is item.instance]
            for item in self._without_claimed(left):
                self._decide(item)
        self._settle_doomed()
        for wave in {item.wave.record.number: item.wave for item in gone}.values():
            self._ingest.close_if_over(wave)

    def _take_pilots_word(self, pilots: PilotJobs) -> None:
        """Settle what pilots have left that have ended in order; ask about silent ones soon."""
        waves = pilots.look(ask=False)
        self._settle(self._apply_to_open(waves))
        if waves and pilots.hosts.unsure:
            soon = max(0.0, self._next_look - time.monotonic())
            self.look_again_in = min(self.look_again_in or soon, soon)

    @property
    def _now(self) -> float:
        """The file server's time of these answers in seconds, read at most once for all of them."""
        if self._asked_at is None:
            self._asked_at = server_time(self._settings.layout.clock)
        return self._asked_at

    def _poll(self, handles: Sequence[JobHandle]) -> Sequence[JobStatus]:
        """Ask about all jobs, or only outstanding positions where the executor can do that."""
        if not isinstance(self._executor, PollsPositions):
            return self._executor.poll(handles)
        waves = self._waves_by_id()
        return [
            status
            for handle in handles
            for status in self._executor.poll_positions(
                handle, self._wanted(waves[handle.native_id])
            )
        ]

    def _wanted(self, wave: TrackedWave) -> Container[int]:
        """Return the numbers of the jobs whose states matter still."""
        if self._hosts.pack_of(wave) is None:
            return wave.members
        return range(wave.record.size or 1)

    def _waves_by_id(self) -> dict[str, TrackedWave]:
        return {
            native_id: wave
            for wave in self._tracked.waves.values()
            for native_id in wave.record.native_ids
        }

    def _handles(self) -> list[JobHandle]:
        open_waves = (wave.record for wave in self._tracked.waves.values() if wave.members)
        return handles_of(self._settings.layout, open_waves)

    def _apply(self, statuses: Sequence[JobStatus]) -> list[_Gone]:
        waves = self._waves_by_id()
        by_wave: dict[int, dict[int, JobStatus]] = {}
        for status in statuses:
            wave = waves.get(status.native_id)
            if wave is None:
                continue
            by_job = by_wave.setdefault(wave.record.number, {})
            for job in self._jobs(wave, status):
                other = by_job.get(job)
                if other is None or _PREFERENCE[status.state] > _PREFERENCE[other.state]:
                    by_job[job] = status
        gone = []
        for number, by_job in by_wave.items():
            wave = self._tracked.waves[number]
            gone += self._sort(wave, self._fates(wave, by_job))
        return gone

    def _apply_to_open(self, waves: Iterable[TrackedWave]) -> list[_Gone]:
        """Apply what is known of pilots to the waves whose elements they have."""
        if self._pilots is None:
            return []
        gone = []
        for wave in waves:
            gone += self._sort(wave, self._hosts.fates(wave, self._pilots.hosts))
        return gone

    def _sort(self, wave: TrackedWave, fates: Iterable[Fate]) -> list[_Gone]:
        """Record what lives of a wave, and return what does not."""
        gone = []
        for fate in fates:
            if fate.status.state.gone:
                gone.append(_Gone(wave, wave.members[fate.position], fate))
            else:
                self._alive(wave, fate)
        return gone

    def _fates(self, wave: TrackedWave, by_job: Mapping[int, JobStatus]) -> Iterable[Fate]:
        if self._hosts.pack_of(wave) is not None:
            self._hosts.count(wave, by_job)
            return self._hosts.fates(wave, HostsOfWave(by_job))
        return [Fate(position, status, position) for position, status in by_job.items()]

    def _jobs(self, wave: TrackedWave, status: JobStatus) -> Iterable[int]:
        """Return the numbers of those jobs of a wave that a status is about."""
        if self._hosts.pack_of(wave) is None:
            return self._positions(wave, status)
        return status.positions or range(wave.record.size or 1)

    def _positions(self, wave: TrackedWave, status: JobStatus) -> list[int]:
        if status.positions is None:
            return list(wave.members)
        if len(status.positions) < len(wave.members):
            return [position for position in status.positions if position in wave.members]
        return [position for position in wave.members if position in status.positions]

    def _alive(self, wave: TrackedWave, fate: Fate) -> None:
        instance, status = wave.members[fate.position], fate.status
        if status.impossible and self._impossible_for_too_long(instance):
            outcome = outcome_of_impossible(instance, status)
            # In another job such as this it would wait for ever, too.
            own = replace(fate, blame=Blame.OWN)
            self._doomed.append(_Doomed(_Gone(wave, instance, own), outcome))
            return
        running = status.state in (JobState.RUNNING, JobState.SUSPENDED)
        state = TaskState.RUNNING if running else TaskState.SUBMITTED
        reason = "" if running else status.reason
        if not status.impossible:
            instance.missing_since = None
        if state is not instance.state or reason != instance.error:
            instance.error = reason
            self._tracked.move(instance, state)

    def _impossible_for_too_long(self, instance: Instance) -> bool:
        if self._impossible_after is None:
            return False
        if instance.missing_since is None:
            instance.missing_since = self._now
            self._tracked.touch(instance)
        return self._now - instance.missing_since >= self._impossible_after

    def _decide(self, item: _Gone) -> None:
        """Settle a position that left no result, once it is certain enough that it left none."""
        instance, status = item.instance, item.status
        shares = self._hosts.pack_of(item.wave) is not None
        if self._ingest.finish_interrupted(item.wave, item.position, instance, status, shares):
            return
        definite = status.state in (JobState.FAILED, JobState.CANCELLED)
        if not definite and not self._grace_is_over(instance):
            return
        outcome = outcome_of_status(instance, status, self._log_of(instance, item.wave))
        if outcome.cause in (FailureCause.LOST, FailureCause.NODE):
            # Whatever may still run under the ids we know must not outlive the new attempt.
            self._doomed.append(_Doomed(item, outcome))
        else:
            self._fail(item, outcome)

    def _fail(self, item: _Gone, outcome: Outcome) -> None:
        self._surplus.close_off(item.wave, item.position)
        fate = item.fate
        if fate.job is None and not self._surplus.close_off_free(item.wave, item.position):
            # A host has taken it since: what becomes of it is told by that host.
            return
        if fate.blame is Blame.OWN:
            self._ingest.fail(item.instance, outcome)
        else:
            suspected = fate.blame is Blame.SUSPECT
            self._ingest.put_back(item.instance, outcome, suspected=suspected, counted=fate.counted)

    def _log_of(self, instance: Instance, wave: TrackedWave) -> str:
        """Return the element's log, or what its job printed where the worker never began."""
        layout = self._settings.layout
        known = (
            layout.log(instance.task, instance.index, instance.attempt),
            layout.wave(wave.record.number).scheduler_log,
        )
        written = (path for path in known if path.exists() and path.stat().st_size)
        return next((str(path.relative_to(self._settings.run_dir)) for path in written), "")

    def _grace_is_over(self, instance: Instance) -> bool:
        now = self._now
        if instance.missing_since is None:
            instance.missing_since = now
            self._tracked.touch(instance)
        left = instance.missing_since + self._grace - now
        if left <= 0:
            return True
        passed = now - instance.missing_since
        pause = min(left, max(2.0, passed))
        self.look_again_in = min(self.look_again_in or pause, pause)
        return False

    def _without_claimed(self, gone: Sequence[_Gone]) -> list[_Gone]:
        """Leave out positions that run in a job which is known by its claim alone.

        The scheduler may have accepted a job without an answer, and not found it when asked. The
        jobs submitted in its place then find their positions claimed, step back, and end without
        a result.
        """
        claims = self._claims_of(gone) if self._mode.answers_get_lost else {}
        if not claims:
            return list(gone)
        try:
            handles = [JobHandle(native_id=native_id) for native_id in set(claims.values())]
            told = {status.native_id: status for status in self._executor.poll(handles)}
        except SchedulerUnavailableError as error:
            log.warning("the scheduler did not answer: %s", error)
            told = {}
        left = []
        for item in gone:
            status = told.get(claims.get((item.wave.record.number, item.position), ""))
            if status is None or status.state.gone:
                left.append(item)
            else:
                self._alive(item.wave, replace(item.fate, status=status))
        return left

    def _claims_of(self, gone: Sequence[_Gone]) -> dict[tuple[int, int], str]:
        """Return, by wave and position, who claimed positions that ended without having failed."""
        found = {}
        for item in gone:
            if item.status.state in (JobState.COMPLETED, JobState.UNKNOWN):
                number = item.wave.record.number
                claim = self._hosts.claim_of(item.wave, item.position)
                if claim is not None:
                    found[number, item.position] = claim.native_id
        return found

    def _goes_on(self, item: _Gone) -> bool:
        """Tell whether a position unknown to the executor still runs under a former supervisor."""
        unknown = item.status.state is JobState.UNKNOWN
        may_live = unknown and self._mode.knows_own_jobs_only
        return may_live and self.begun_and_alive(item.wave, item.position)

    def begun_and_alive(self, wave: TrackedWave, position: int) -> bool:
        """Tell whether a worker that an earlier supervisor started still runs a position."""
        claim = self._hosts.claim_of(wave, position)
        if claim is None or claim.native_id in wave.record.native_ids:
            return False
        (status,) = self._executor.poll([JobHandle(native_id=claim.native_id)])
        if status.state is JobState.RUNNING:
            self._alive(wave, Fate(position, status, position))
            return True
        return False

    def _settle_doomed(self) -> None:
        """Cancel what may be left, with one call for all positions of a job; fail the elements.

        While the scheduler cancels nothing they stay as they are, and are decided on later.
        """
        doomed, self._doomed = self._doomed, []
        jobs: dict[int, set[int]] = {}
        waves = {item.wave.record.number: item.wave for item in (each.item for each in doomed)}
        for item in (each.item for each in doomed):
            every = range(item.wave.record.size or 1)
            chosen = every if item.fate.job is None else (item.fate.job,)
            jobs.setdefault(item.wave.record.number, set()).update(chosen)
        try:
            for number, numbers in jobs.items():
                for handle in handles_of(self._settings.layout, [waves[number].record]):
                    self._executor.cancel_positions(handle, sorted(numbers))
        except SchedulerUnavailableError as error:
            log.warning("could not cancel what may be left of lost jobs: %s", error)
            self.silence = str(error)
            self.look_again_in = min(self.look_again_in or LONGEST_PAUSE, LONGEST_PAUSE)
            return
        for each in doomed:
            self._fail(each.item, each.outcome)
