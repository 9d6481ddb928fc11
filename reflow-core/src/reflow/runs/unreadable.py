"""What a dispatcher does for a run whose data it cannot read.

The data may be back for the next dispatcher: a file system that was away, a file out of a backup,
the version of reflow that the run was submitted with. So the results that are there are taken in,
nothing is submitted or cancelled, and the run is left to the next dispatcher: for as long as jobs
of it live, and after that for a bounded number of tries. Then it fails, and `retry` takes it up.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from reflow.dispatch.cancellations import jobs_alive
from reflow.dispatch.changes import is_allowed
from reflow.dispatch.continuation import Watchdog
from reflow.dispatch.events import observer
from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.modes import mode_of
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.errors import OtherSeriesError, SchedulerUnavailableError
from reflow.execution.outcomes import outcome_of_result
from reflow.executors.contract import Executor
from reflow.executors.processes import claimed_process_lives
from reflow.model.outcomes import Reuse
from reflow.model.records import Lease, RequestKind, SubmissionKind
from reflow.model.states import RunState, TaskState
from reflow.rundir.graph_data import graph_of_records
from reflow.rundir.results import ResultReader
from reflow.rundir.run_settings import RunSettings
from reflow.runs.abort import abort, cannot_dispatch, end_jobs
from reflow.runs.failure_policy import gives_up
from reflow.runs.troubles import Tries
from reflow.stores.contract import Store

log = logging.getLogger("reflow.dispatch")


class Unreadable:
    """A run whose data a dispatcher cannot read, under the dispatcher's lease."""

    def __init__(
        self,
        store: Store,
        settings: RunSettings,
        lease: Lease,
        executor: Executor,
        tries: Tries,
        error: OSError | OtherSeriesError,
    ) -> None:
        """Look after a run whose data cannot be read, for the reason that `error` gives."""
        self._store = store
        self._settings = settings
        self._lease = lease
        self._executor = executor
        self._mode = mode_of(executor)
        self._tries = tries
        self._error = error
        graph = graph_of_records(store.run(settings.run_id), store.tasks(settings.run_id))
        self._tracked = TrackedRun(store, settings.run_id, graph)
        self._hosts = Hosts(self._tracked, settings.layout)
        self._watchdog = Watchdog(self._tracked, settings, executor, self._commit)

    def end_if_due(self) -> bool:
        """Take in results; end a run that was cancelled or tried often enough. Return whether."""
        alive = self._jobs_alive()
        if self.end_if_cancelled():
            return True
        if alive:
            return False
        self._tries.add()
        if not gives_up(self._error, self._mode, tries_used_up=self._tries.used_up):
            return False
        self._end(RunState.FAILED, cannot_dispatch(self._settings, self._error))
        return True

    def end_if_cancelled(self) -> bool:
        """Take in results; end a run whose cancellation was requested. Return whether it was."""
        with suppress(OSError):
            self._take_in()
        if not self._cancel_is_asked():
            return False
        self._end(RunState.CANCELLED, f"cancelled; {cannot_dispatch(self._settings, self._error)}")
        return True

    def watch(self) -> bool:
        """Arrange that a watchdog tries again; return False where none could be submitted.

        Raises `OSError` where the run directory cannot be written.
        """
        self._watchdog.arm()
        return not self._watchdog.trouble

    def _take_in(self) -> None:
        """Record what has succeeded; whether failures are tried again is not known here."""
        for wave in list(self._tracked.waves.values()):
            layout = self._settings.layout.wave(wave.record.number)
            for record in ResultReader(layout, wave.members).new():
                instance = wave.members.get(record.position)
                if (
                    instance is None
                    or instance.attempt != record.outcome.attempt
                    or record.confirmed
                ):
                    continue
                if record.outcome.state is TaskState.SUCCESS:
                    self._tracked.finish(instance, outcome_of_result(instance, record, Reuse.NEVER))
        self._commit()

    def _commit(self) -> None:
        if self._tracked.dirty:
            observer(self._settings)(self._tracked.commit(self._lease))

    def _jobs_alive(self) -> bool:
        """Tell whether a job of an element, or a pilot, may wait or run."""
        if self._mode.knows_own_jobs_only:
            return any(
                self._is_alive(wave, position) for wave, position, _ in self._tracked.members()
            )
        dispatches = self._tracked.dispatches.values()
        pilots = [record for record in dispatches if record.kind is SubmissionKind.PILOTS]
        own = os.environ.get("REFLOW_NATIVE_ID")
        if any(own in record.native_ids for record in pilots):
            # The pilot that has this step taken may have elements at work.
            return True
        waves = [wave.record for wave in self._tracked.waves.values()]
        waves += [*pilots, *self._tracked.cancelling.values()]
        try:
            return bool(jobs_alive(self._executor, self._settings.layout, waves))
        except SchedulerUnavailableError as error:
            log.warning("could not ask for the run's jobs: %s", error)
            return True

    def _is_alive(self, wave: TrackedWave, position: int) -> bool:
        """Tell whether a worker that an earlier supervisor has started is alive."""
        try:
            claim = self._hosts.claim_of(wave, position)
        except (OSError, ValueError, TypeError):
            return False
        return claim is not None and claimed_process_lives(claim.native_id)

    def _cancel_is_asked(self) -> bool:
        return any(
            request.kind is RequestKind.CANCEL
            and request.task is None
            and is_allowed(request, self._settings)
            for request in self._store.requests(self._settings.run_id)
        )

    def _end(self, state: RunState, message: str) -> None:
        with self._store.fenced(self._lease) as write:
            for request in self._store.requests(self._settings.run_id):
                write.drop_request(request.key)
        abort(self._store, self._lease, message, state)
        # Last of all: a worker that dispatches lives in one of these jobs, and ends with it.
        end_jobs(self._store, self._settings, self._executor)
