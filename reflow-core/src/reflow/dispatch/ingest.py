"""Reading the results that workers have published, and recording them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.jobs.lost_hosts import note_loss
from reflow.dispatch.lost_inputs import LostInputs
from reflow.dispatch.retry_policy import MOST_NODE_LOSSES, decide_retry, pause_after
from reflow.dispatch.tracked_run import TrackedRun, TrackedWave
from reflow.execution.completion import is_counted
from reflow.execution.outcomes import outcome_of_result
from reflow.execution.witness import Change, States, note_of
from reflow.model.jobs import JobStatus
from reflow.model.outcomes import Outcome, Reuse
from reflow.model.records import Instance
from reflow.model.states import FailureCause, TaskState
from reflow.model.tasks import TaskSpec
from reflow.rundir.file_states import Recorded
from reflow.rundir.files import server_time
from reflow.rundir.looks import RunLooks
from reflow.rundir.results import ResultReader, ResultRecord
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.wave_files import WaveSpec

FIRST_LOOK, LONGEST_LOOK = 1.0, 30.0
"""Seconds between two looks for results that are known to be there: first, and at most."""
COMMIT_EVERY = 5_000
"""Results of one transaction at most, so that memory does not grow with the run."""


class Ingest:
    """Reads the result files of open waves and settles their instances."""

    def __init__(
        self,
        tracked: TrackedRun,
        settings: RunSettings,
        commit: Callable[[], None],
        scheduler_knows_why: bool,
        looks: RunLooks,
        hosts: Hosts,
    ) -> None:
        self._tracked = tracked
        self._settings = settings
        self._commit = commit
        self._scheduler_knows_why = scheduler_knows_why
        self._looks = looks
        self._hosts = hosts
        self.lost_inputs = LostInputs(tracked, settings.layout.made_again, looks, commit)
        self._readers: dict[int, ResultReader] = {}
        self._closed: list[TrackedWave] = []
        self.look_again_in: float | None = None
        """Seconds until results may be seen that are there; None where none is known of."""
        self.interrupted: dict[tuple[int, int], ResultRecord] = {}
        """Results of interrupted positions whose cause only the scheduler knows."""

    def collect(self) -> int:
        """Settle every instance that has a new result; return how many."""
        settled = 0
        for wave in list(self._tracked.waves.values()):
            for record in self._reader(wave).new():
                settled += self._take(wave, record)
                if settled and settled % COMMIT_EVERY == 0:
                    self._commit()
            self.close_if_over(wave)
        return settled

    def look_for_unseen(self) -> None:
        """Note when results deserve another look that are there, and cannot be seen from here.

        The one who has written the last one says so, and may be ahead of a file server's client.
        """
        waves = self._tracked.waves.values()
        if not any(
            wave.members and is_counted(self._settings.layout.wave(wave.record.number))
            for wave in waves
        ):
            self.look_again_in = None
        elif self.look_again_in is None:
            self.look_again_in = FIRST_LOOK
        else:
            self.look_again_in = min(LONGEST_LOOK, 2 * self.look_again_in)

    def close_if_over(self, wave: TrackedWave) -> None:
        """Mark a wave as over once every position of it is settled."""
        if not wave.members:
            self._closed.append(wave)
            self._look_at_shared(wave)
            self._hosts.end_waiting(wave)
            self._tracked.close(wave)
            self._readers.pop(wave.record.number, None)

    def closed(self) -> list[TrackedWave]:
        """Return the waves that were closed since the last call."""
        closed, self._closed = self._closed, []
        return closed

    def fail(self, instance: Instance, outcome: Outcome) -> None:
        """Settle a failure, or put the instance back to be tried again."""
        spec = self._tracked.tasks[instance.task].spec
        retry = decide_retry(spec, instance, outcome.cause)
        if outcome.state is not TaskState.FAILED or retry is None:
            self._tracked.finish(instance, outcome)
            return
        self._tracked.end_attempt(instance, outcome)
        if outcome.cause is FailureCause.NODE and outcome.host:
            note_loss(self._settings.layout.lost_hosts, outcome.host)
        instance.retries_used += retry.uses_retry
        instance.node_losses += not retry.uses_retry
        instance.mem_scale, instance.time_scale = retry.mem_scale, retry.time_scale
        instance.cause, instance.error = outcome.cause, outcome.error
        if retry.pause:
            instance.not_before = server_time(self._settings.layout.clock) + retry.pause
        self.requeue(instance)

    def put_back(
        self,
        instance: Instance,
        outcome: Outcome,
        *,
        suspected: bool = False,
        counted: bool = True,
    ) -> None:
        """Have an element run again that is not to blame for the end of the job it shared.

        Where that happens time and again it fails, with the last job's cause, unless the others of
        its wave went on (`counted` is False). One that is `suspected` is to run alone.
        """
        if counted and instance.node_losses >= MOST_NODE_LOSSES:
            self._tracked.finish(instance, replace(outcome, state=TaskState.FAILED))
            return
        self._tracked.end_attempt(instance, outcome)
        if counted and (pause := pause_after(instance, outcome.cause)):
            if outcome.cause is FailureCause.NODE and outcome.host:
                note_loss(self._settings.layout.lost_hosts, outcome.host)
            instance.not_before = server_time(self._settings.layout.clock) + pause
        instance.node_losses += counted
        instance.cause = outcome.cause if suspected else None
        instance.error = outcome.error
        self.requeue(instance)

    def requeue(self, instance: Instance) -> None:
        """Make an instance wait to be submitted again."""
        self._tracked.detach(instance)
        instance.missing_since = None
        self._tracked.move(instance, TaskState.PENDING)

    def finish_interrupted(
        self,
        wave: TrackedWave,
        position: int,
        instance: Instance,
        status: JobStatus,
        shares: bool,
    ) -> bool:
        """Settle an interrupted position now that the scheduler has said why.

        One that `shares` its job with others runs again, unless somebody has cancelled the job.
        """
        record = self.interrupted.pop((wave.record.number, position), None)
        if record is None:
            return False
        outcome = outcome_of_result(instance, record, Reuse.NEVER, status)
        if shares and outcome.state is not TaskState.CANCELLED:
            self.put_back(instance, outcome)
        else:
            self.fail(instance, outcome)
        return True

    def _confirm(self, instance: Instance, source: int, paths: str) -> None:
        """Let a stored result serve whose files were touched and have the same contents."""
        self._tracked.refresh_paths(source, paths)
        instance.cause, instance.error = None, ""
        self._tracked.move(instance, TaskState.SUCCESS)
        self._tracked.detach(instance)

    # -- files -----------------------------------------------------------------------------
    def _note_files(self, record: ResultRecord) -> None:
        """Make the cache look anew at files that a task may have written to."""
        if record.inputs_changed:
            self._looks.forget()
        elif (paths := record.outcome.paths) is not None:
            self._looks.note_changes(state.place for state in Recorded.parse(paths).states)

    def _reuse(self, wave: TrackedWave, spec: TaskSpec, record: ResultRecord) -> Reuse:
        if not spec.cache or record.inputs_changed or record.other_values:
            return Reuse.NEVER
        return Reuse.LATER if self._shared_by(wave) else Reuse.NOW

    def _shared_by(self, wave: TrackedWave) -> States:
        """Return the recorded states of files that a wave's elements share; workers do not look."""
        if not self._tracked.tasks[wave.record.task or ""].spec.array:
            return {}
        # Where it cannot be read, nothing may be taken for unchanged: reading it once more raises.
        spec = self._hosts.spec(wave) or WaveSpec.read(
            self._settings.layout.wave(wave.record.number)
        )
        return spec.states

    def _look_at_shared(self, wave: TrackedWave) -> None:
        """Make results reusable where the files that the elements share have not changed."""
        changes = [
            Change(argument, state, now, during=True)
            for argument, states in self._shared_by(wave).items()
            for state in states
            if not (now := self._looks.now(state)).agrees_with(state)
        ]
        spec = self._tracked.tasks[wave.record.task or ""].spec
        for note in (note_of(spec, change) for change in changes):
            self._tracked.note(note.task, note.key, note.text)
        if not changes and self._shared_by(wave):
            self._tracked.allow_reuse(wave.record.number)

    def _reader(self, wave: TrackedWave) -> ResultReader:
        number = wave.record.number
        if number not in self._readers:
            self._readers[number] = ResultReader(self._settings.layout.wave(number), wave.members)
        return self._readers[number]

    def _take(self, wave: TrackedWave, record: ResultRecord) -> bool:
        instance = wave.members.get(record.position)
        if instance is None or instance.attempt != record.outcome.attempt:
            return False
        pack = self._hosts.pack_of(wave) if record.interrupted else None
        if pack is not None and pack.open:
            # The pilot may go on with others; its scheduler says nothing of single elements.
            self.put_back(instance, outcome_of_result(instance, record, Reuse.NEVER))
            return True
        if record.interrupted and (self._scheduler_knows_why or pack is not None):
            self.interrupted[wave.record.number, record.position] = record
            return False
        for key, text in record.notes:
            self._tracked.note(instance.task, key, text)
        paths = record.outcome.paths
        if record.confirmed and instance.source is not None and paths is not None:
            self._confirm(instance, instance.source, paths)
            return True
        if record.missing and self.lost_inputs.recover(instance, record.missing):
            self.put_back(instance, outcome_of_result(instance, record, Reuse.NEVER))
            return True
        instance.source = None
        spec = self._tracked.tasks[instance.task].spec
        self._note_files(record)
        reusable = self._reuse(wave, spec, record)
        outcome = outcome_of_result(instance, record, reusable)
        if outcome.state is TaskState.SUCCESS or record.lasting:
            self._tracked.finish(instance, outcome)
        else:
            self.fail(instance, outcome)
        return True
