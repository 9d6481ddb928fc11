"""One dispatch step: ingest, reconcile, plan, submit, finalise. Idempotent, under the lease."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from reflow.codecs.codecs import Codecs
from reflow.dispatch.arguments import TaskArguments
from reflow.dispatch.cache import Cache
from reflow.dispatch.cancellations import Cancellations
from reflow.dispatch.changes import (
    DropsWaiting,
    call_off,
    cancel,
    cancel_jobs,
    carry_out,
    is_allowed,
    stop,
)
from reflow.dispatch.continuation import Watchdog
from reflow.dispatch.ingest import Ingest
from reflow.dispatch.jobs.advice import note_advice_at_end
from reflow.dispatch.jobs.hosts import Hosts
from reflow.dispatch.jobs.long_elements import LongElements
from reflow.dispatch.lease import try_release
from reflow.dispatch.modes import mode_of
from reflow.dispatch.pilots.jobs import PilotJobs
from reflow.dispatch.pilots.open_waves import is_open
from reflow.dispatch.plan import Plan, Planner, excused_tasks
from reflow.dispatch.reconcile import Reconcile
from reflow.dispatch.submit import Submitter
from reflow.dispatch.tracked_run import Changes, TrackedRun, TrackedTask
from reflow.errors import DefinitionError, SchedulerUnavailableError
from reflow.execution.outcomes import outcome_without_job
from reflow.executors.contract import Executor
from reflow.model.graph import Graph
from reflow.model.outcomes import Outcome
from reflow.model.records import (
    Instance,
    Lease,
    RequestKind,
    RequestRecord,
    SubmissionKind,
    SubmissionRecord,
    SubmissionState,
)
from reflow.model.states import RunState, TaskState
from reflow.permissions import touch
from reflow.rundir.files import server_time
from reflow.rundir.looks import RunLooks
from reflow.rundir.run_settings import RunSettings
from reflow.rundir.source_record import PlannedCode, RunSource, current_source
from reflow.rundir.wave_files import WaveSpec
from reflow.stores.contract import Store

BEAT_EVERY = 1.0
"""Seconds between two signs of life to the store."""
SOON = 60.0
"""Seconds until the next dispatch, where something waits only for time."""
ASK_AFTER = 15.0
"""Seconds after which a submission without an answer is looked up, as some schedulers list jobs
that they have accepted only after a while."""

log = logging.getLogger("reflow.dispatch")


class Dispatcher:
    """Holds a run's lease and takes dispatch steps for it.

    A step reads new results, asks the scheduler about elements without one, plans what can be done
    now, takes results from the cache or submits waves, and commits. It may be interrupted at any
    point and taken again, by this dispatcher or by the next one that gets the lease.
    """

    def __init__(
        self,
        store: Store,
        settings: RunSettings,
        graph: Graph,
        executor: Executor,
        lease: Lease,
        codecs: Codecs,
        on_changes: Callable[[Changes], None] = lambda changes: None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.executor = executor
        self._mode = mode_of(executor)
        self.lease = lease
        self._graph = graph
        self._codecs = codecs
        self._on_changes = on_changes
        self._beaten = 0.0
        self.moved = False
        """Whether the last step changed anything."""
        self.held_back = False
        """Whether elements waited in the last step for the end of their earlier attempts."""
        self.on_retry: Callable[[], None] = lambda: None
        """Called once a retry has been recorded, before anything of it is planned."""
        self.forgiven = 0
        """Failures that do not stop a run that is to stop at the first."""
        self._ask_after_them: float | None = None
        self._due_in: float | None = None
        """Seconds until the next element is due that has to wait before it is tried again."""
        self._messages: list[str] = []
        self._arguments: dict[str, TaskArguments] = {}
        self._source: tuple[str, RunSource] | None = None
        self.tracked = TrackedRun(store, settings.run_id, graph)
        self._planner = Planner(self.tracked, lambda: server_time(settings.layout.clock))
        config = settings.config.dispatch
        self.looks = RunLooks(settings)
        self._hosts = Hosts(self.tracked, settings.layout)
        self._pilots = (
            PilotJobs(
                settings.pilots,
                self.tracked,
                settings,
                executor,
                self._hosts,
                lambda: self.lease.epoch,
                self.commit,
            )
            if settings.pilots is not None and self._mode.answers_get_lost
            else None
        )
        self._ingest = Ingest(
            self.tracked,
            settings,
            self.commit,
            executor.capabilities.dispatch_jobs,
            self.looks,
            self._hosts,
        )
        self._reconcile = Reconcile(
            self.tracked,
            settings,
            executor,
            self._ingest,
            self._hosts,
            grace=config.grace_seconds,
            impossible_after=config.impossible_minutes * 60,
            pilots=self._pilots,
        )
        self._long_elements = LongElements(
            self.tracked, settings, self._hosts, self._ingest.requeue
        )
        self._cancellations = Cancellations(
            self.tracked, settings, executor, self.commit, lambda: self.lease.epoch
        )
        self._watchdog = Watchdog(self.tracked, settings, executor, self.commit)
        cache = Cache(store, settings, codecs, self.looks)
        self._submitter = Submitter(
            self.tracked, settings, executor, cache, self.commit, self._pilots
        )

    def open(self) -> None:
        """Go on where an earlier dispatcher left off, and carry out what users have asked."""
        self._adopt()
        self.handle_requests()

    def resume(self, lease: Lease) -> None:
        """Go on under the next lease, where nobody has dispatched the run in between."""
        self.lease = lease
        if self._pilots is not None:
            self._pilots.adopt()
        self.handle_requests()

    @property
    def has_more(self) -> bool:
        """Whether elements were left to the next step, so that those handed over can begin."""
        return self._submitter.has_more

    @property
    def look_again_in(self) -> float | None:
        """Seconds until something that only waits for time deserves another look."""
        waits = [
            self._ingest.look_again_in,
            self._reconcile.look_again_in,
            self._due_in,
            self._cancellations.look_again_in,
        ]
        if self.has_more:
            waits.append(0.0)
        if self._ask_after_them is not None:
            waits.append(max(0.0, self._ask_after_them - time.monotonic()))
        return min((seconds for seconds in waits if seconds is not None), default=None)

    @property
    def deferred(self) -> str:
        """Why the scheduler takes nothing more for now; empty when it does."""
        return self._submitter.deferred

    @property
    def silence(self) -> str:
        """Why the scheduler did not say how the run's jobs stand; empty when it did."""
        return self._reconcile.silence

    @property
    def uncancelled(self) -> str:
        """Why jobs are left that are to be cancelled; empty where there are none."""
        return self._cancellations.trouble

    @property
    def unwatched(self) -> str:
        """Why no watchdog could be submitted; empty where one could, or none was due."""
        return self._watchdog.trouble

    @property
    def missing(self) -> str:
        """Why nothing can ever be submitted from this machine; empty where it can."""
        return self._submitter.missing

    @property
    def unavailable(self) -> str:
        """Why the scheduler could not be asked to take anything; empty where it could."""
        return self._submitter.unavailable

    @property
    def trouble(self) -> str:
        """Why the scheduler could not be used; empty where it could."""
        silence = self.silence or self._cancellations.silence
        return silence or self.unavailable or self.unwatched

    @property
    def continues(self) -> bool:
        """Whether a dispatch job is in the queue."""
        kinds = (record.kind for record in self.tracked.dispatches.values())
        return self._watchdog.lies_ahead or SubmissionKind.FOLLOW_UP in kinds

    def arm_watchdog(self) -> None:
        """See that a dispatch job lies ahead, soon where something waits for it."""
        pause = self.look_again_in
        if self.deferred:
            pause = SOON
        self._watchdog.arm(None if pause is None else timedelta(seconds=max(SOON, pause)))

    def arm_before_jobs(self) -> None:
        """See that a dispatch job lies ahead as soon as there are jobs.

        Where the run has none, that is before its first wave is submitted: a run that comes from
        the cache altogether submits nothing. The command that takes this step tells its user where
        it is ended before that.
        """
        if self.tracked.waves or self.tracked.dispatches:
            self.arm_watchdog()
        else:
            self._submitter.before_first_wave(self.arm_watchdog)

    def arrange_continuation(self) -> None:
        """Arrange, after a step that was not the last, that the run goes on whatever is lost."""
        self.arm_watchdog()
        if self.deferred and not self.tracked.outstanding():
            self._watchdog.make_room()
            self._cancellations.try_now()
        elif not self.deferred:
            self._watchdog.arm_farther(lambda: self._submitter.most_watchdogs)

    def commit(self) -> None:
        """Write all changes in one transaction. Raises `LeaseLostError`."""
        if self.tracked.dirty:
            self.moved = True
            self._on_changes(self.tracked.commit(self.lease))

    def step(self) -> bool:
        """Do everything that can be done now; return True when the run has ended."""
        self.moved = self.held_back = False
        if self._beat():
            self.handle_requests()
        self._ingest.collect()
        self.commit()
        if self._ask_after_them is not None and time.monotonic() >= self._ask_after_them:
            self._look_up_unanswered()
        self._cancellations.try_again()
        self._reconcile.look()
        if self._long_elements.give_back() or self._give_back_from_pilots():
            self._ingest.collect()
        self._look_after_closed()
        self._ingest.look_for_unseen()
        self._stop_if_failed()
        self.commit()
        if self._pilots is not None and not self.silence:
            self._pilots.mark_dead()
        self._submitter.new_step()
        while plan := self._plan():
            if not self._perform(plan) or self._submitter.has_more:
                break
        self.commit()
        self._submitter.replace_pilots()
        if self._ask_after_them is None and self._unanswered:
            self._ask_after_them = time.monotonic() + ASK_AFTER
        end = plan.end or self._dead_end(plan)
        if end is not None:
            self._finalise(end)
        return end is not None

    # -- requests of users -----------------------------------------------------------------
    def _beat(self) -> bool:
        if time.monotonic() - self._beaten < BEAT_EVERY:
            return False
        self._beaten = time.monotonic()
        marked = self.store.heartbeat(self.lease)
        if marked:
            self.store.clear_wakeup(self.lease)
        return marked

    def handle_requests(self) -> None:
        """Carry out what users have asked."""
        requests = self._allowed_requests()
        if requests:
            # What has ended by now stays so, whatever the request.
            self._ingest.collect()
        ending = [
            handle
            for request in requests
            for handle in carry_out(request, self.tracked, self.settings, self.executor)
        ]
        retried = any(request.kind is RequestKind.RETRY for request in requests)
        if retried:
            # Earlier failures that are not tried again do not stop the run once more.
            self.forgiven = self._failed()
        self.commit()
        cancel_jobs(self.executor, ending)
        self._cancellations.try_again()
        if retried:
            # The command that asked has recorded the source anew.
            self._source = None
            self._arguments.clear()
            self._ingest.lost_inputs.forget()
            self.on_retry()

    def _allowed_requests(self) -> list[RequestRecord]:
        """Return requests of the owner and of users whom the owner allows; drop the rest."""
        asked = self.store.requests(self.settings.run_id)
        allowed = [each for each in asked if is_allowed(each, self.settings)]
        for request in asked:
            if request not in allowed:
                log.warning("user %s asked to %s the run: not allowed", request.uid, request.kind)
                self.tracked.request_done(request.key)
        return allowed

    def cancel(self) -> None:
        """End the run early: cancel whatever has not ended."""
        self._ingest.collect()
        ending = cancel(self.tracked, self.settings, self.executor)
        self.commit()
        cancel_jobs(self.executor, ending)
        self._cancellations.try_again()

    def release(self) -> bool:
        """Release the lease, unless a request came in the last moment; carry that out instead."""
        if try_release(self.store, self.lease):
            return True
        self.store.clear_wakeup(self.lease)
        self.handle_requests()
        return False

    # -- taking over -----------------------------------------------------------------------
    def _adopt(self) -> None:
        """Find out what became of submissions that an earlier dispatcher left open."""
        self._ingest.collect()
        if self._mode.knows_own_jobs_only:
            self._recover()
        self.commit()
        # Submissions that are over by now need not be looked up.
        self._look_up_unanswered()
        if self._pilots is not None:
            self._pilots.adopt()

    @property
    def _unanswered(self) -> list[SubmissionRecord]:
        """Submissions of which it is unknown whether the scheduler has them."""
        if not self._mode.answers_get_lost:
            return []
        waves = [wave.record for wave in self.tracked.waves.values()]
        return [
            record
            for record in (*waves, *self.tracked.dispatches.values())
            if not (record.native_ids or is_open(record))
        ]

    def _look_up_unanswered(self) -> None:
        """Take what the scheduler has, and submit waves again that it does not know."""
        for record in self._unanswered:
            if self._is_answered(record):
                continue
            if self._is_for_pilots(record):
                self._submitter.submit_wave(WaveSpec.read(self.settings.layout.wave(record.number)))
                self.commit()
                continue
            try:
                handles = self.executor.find(record.token)
            except SchedulerUnavailableError as error:
                log.warning("could not look for %s: %s", record.token, error)
                continue
            for handle in handles:
                record = self.tracked.add_native_id(record, handle.native_id)
            if handles:
                self.tracked.set_submission(replace(record, state=SubmissionState.ACCEPTED))
            elif record.kind is SubmissionKind.WAVE:
                touch(self.settings.layout.wave(record.number).submitted_again)
                self._submitter.submit_wave(WaveSpec.read(self.settings.layout.wave(record.number)))
            elif self._follows_a_known_wave(record):
                self._submitter.follow(self.tracked.waves[record.follows or 0].record, record)
            elif not self._goes_with_a_wave(record):
                self.tracked.set_submission(replace(record, state=SubmissionState.OVER))
            self.commit()
        self._ask_after_them = None

    def _is_for_pilots(self, record: SubmissionRecord) -> bool:
        """Whether a wave was to be opened to pilots."""
        wave = self.tracked.waves.get(record.number)
        pack = None if wave is None else self._hosts.pack_of(wave)
        return self._pilots is not None and pack is not None and pack.open

    def _is_answered(self, record: SubmissionRecord) -> bool:
        """Whether a dispatch job was settled by handing its wave over once more."""
        known = self.tracked.dispatches.get(record.number)
        return record.kind is not SubmissionKind.WAVE and (known is None or bool(known.native_ids))

    def _follows_a_known_wave(self, record: SubmissionRecord) -> bool:
        """Whether the wave of a follow-up that is nowhere was accepted."""
        wave = self.tracked.waves.get(record.follows or 0)
        return wave is not None and bool(wave.record.native_ids)

    def _goes_with_a_wave(self, follow_up: SubmissionRecord) -> bool:
        """Whether a follow-up will be submitted beside a wave that has still to be accepted.

        A watchdog is submitted anew.
        """
        wave = self.tracked.waves.get(follow_up.follows or 0)
        return wave is not None and not wave.record.native_ids

    def _recover(self) -> None:
        """Put back what an earlier dispatcher had not begun; what its workers began goes on.

        An earlier supervisor that was only stopped may wake up and start what it had queued: of its
        waves nothing may begin any more.
        """
        kept = self._kept_waves()
        for number in self.tracked.waves.keys() - kept:
            call_off(self.settings.layout.wave(number))
        ended = [
            (wave, position, instance)
            for wave, position, instance in self.tracked.members()
            if wave.record.number not in kept
            and not self._reconcile.begun_and_alive(wave, position)
        ]
        # A worker may have ended well since its results were last looked for.
        self._ingest.collect()
        for wave, position, instance in ended:
            if wave.members.get(position) is instance:
                self._ingest.requeue(instance)
        for wave in list(self.tracked.waves.values()):
            self._ingest.close_if_over(wave)

    def _kept_waves(self) -> set[int]:
        """Return the waves that this executor has from an earlier dispatcher of this process."""
        kept = set()
        for record in [wave.record for wave in self.tracked.waves.values()]:
            for handle in self.executor.find(record.token):
                known = self.tracked.add_native_id(record, handle.native_id)
                self.tracked.set_submission(replace(known, state=SubmissionState.ACCEPTED))
                kept.add(record.number)
        return kept

    # -- planning --------------------------------------------------------------------------
    def _plan(self) -> Plan:
        plan = self._planner.next()
        if plan.end is not None and self._renew_outdated(plan.end):
            plan = self._planner.next()
        self._due_in = min(plan.due.values(), default=None)
        return plan

    def _renew_outdated(self, end: RunState) -> bool:
        """Have computed anew what took a value before it was made again; return whether any."""
        stops = end is RunState.FAILED and self.settings.on_error == "stop"
        if end is RunState.CANCELLED or stops or self.settings.layout.cancelled.exists():
            return False
        renewed = self._ingest.lost_inputs.renew_outdated(self._current_arguments)
        if renewed:
            self._arguments.clear()
            self.commit()
        return renewed

    def _current_arguments(self, task: TrackedTask) -> TaskArguments | None:
        """Read the arguments of a task's elements; None where that is impossible by now."""
        try:
            return self._read_arguments(task)
        except DefinitionError:
            return None

    def _perform(self, plan: Plan) -> bool:
        """Carry a plan out as far as the executor accepts it; return whether anything moved."""
        for task in plan.skip:
            self._skip(task)
        for instance in plan.skip_elements:
            self.tracked.finish(instance, _skipped(instance))
        moved = bool(plan.skip or plan.skip_elements)
        for task in plan.expand:
            moved |= self._expand(task)
        for name, ready in plan.ready.items():
            moved |= self._schedule(self.tracked.tasks[name], ready)
        return moved

    def _expand(self, task: TrackedTask) -> bool:
        arguments = self._arguments_of(task)
        if arguments is not None:
            self.tracked.expand(task, arguments.size)
        return True

    def _schedule(self, task: TrackedTask, ready: list[Instance]) -> bool:
        # Where an earlier attempt may still live, another would run beside it.
        free = [each for each in ready if not self._cancellations.concern(each)]
        self.held_back |= len(free) < len(ready)
        return bool(free) and self._submit_or_reuse(task, free)

    def _submit_or_reuse(self, task: TrackedTask, ready: list[Instance]) -> bool:
        arguments = self._arguments_of(task)
        if arguments is None:
            return True
        try:
            return self._submitter.schedule(arguments, ready)
        except OSError as error:
            # Leave out what the scheduler has by now, and what came from the cache.
            left = [each for each in ready if not each.state.final and not self._accepted(each)]
            self._fail(task, left, f"the run directory cannot be written: {error}")
            return True
        finally:
            # The arguments of the next elements are read anew: more may be known by then.
            if task.spec.array and not task.tally[TaskState.PENDING]:
                self._arguments.pop(task.name, None)

    def _accepted(self, instance: Instance) -> bool:
        """Tell whether the scheduler has accepted a job for an instance."""
        wave = self.tracked.waves.get(-1 if instance.wave is None else instance.wave)
        return wave is not None and (bool(wave.record.native_ids) or is_open(wave.record))

    def _arguments_of(self, task: TrackedTask) -> TaskArguments | None:
        """Return the arguments of a task's elements; None, ending the task, where impossible."""
        if self._ingest.lost_inputs.take_made_again():
            self._arguments.clear()
        known = self._arguments.get(task.name)
        if known is not None and not task.chained:
            return known
        try:
            arguments = self._read_arguments(task)
        except DefinitionError as error:
            self._fail(task, [i for i in task.instances if not i.state.final], str(error))
            return None
        if task.size not in (None, arguments.size):
            now = f"has {arguments.size} elements now, and had {task.size}"
            message = (
                f"the list that {task.name!r} goes through {now}, and the elements of a run are "
                "numbered once: start a new run, which takes unchanged results from the cache"
            )
            self._fail(task, [i for i in task.instances if not i.state.final], message)
            return None
        self._arguments[task.name] = arguments
        return arguments

    def _read_arguments(self, task: TrackedTask) -> TaskArguments:
        """Read arguments from the store. Raises `DefinitionError` for unequal lengths."""
        code = self._code_of(task)
        return TaskArguments(self.tracked, self.settings, task, code, self._codecs)

    def _code_of(self, task: TrackedTask) -> PlannedCode:
        if self._source is None:
            name = current_source(self.settings.layout)
            self._source = (name, RunSource.read(self.settings.layout, name))
        name, source = self._source
        return PlannedCode(source.code[task.name], name)

    # -- ends ------------------------------------------------------------------------------
    def _skip(self, task: TrackedTask) -> None:
        if task.size is None:
            self.tracked.end_task(task, TaskState.SKIPPED)
            return
        for instance in task.instances:
            if instance.state is TaskState.PENDING:
                self.tracked.finish(instance, _skipped(instance))

    def _short_of(self, task: TrackedTask) -> Iterator[str]:
        """Say which gathers of a task cannot have as much as they need at least."""
        for edge in task.lenient:
            step = self.tracked.tasks[edge.step]
            if step.size is not None and not step.can_give(edge.needed):
                yield (
                    f"{task.name!r} needs {edge.needed(step.size)} of {step.size} in "
                    f"{edge.step!r}, and {step.tally[TaskState.SUCCESS]} succeeded"
                )

    def _fail(self, task: TrackedTask, instances: list[Instance], message: str) -> None:
        self._messages.append(message)
        if task.size is None:
            self.tracked.end_task(task, TaskState.FAILED)
        for instance in instances:
            self.tracked.finish(instance, outcome_without_job(instance, TaskState.FAILED, message))

    def _give_back_from_pilots(self) -> bool:
        """Let elements be submitted anew that pilots do not take; return whether there are any."""
        if self._pilots is None:
            return False
        waves = [*self._pilots.too_large(), *self._pilots.short_of_permits()]
        given_back = [self._long_elements.give_back_unclaimed(wave) for wave in waves]
        return any(given_back)

    def _look_after_closed(self) -> None:
        """Leave nothing in the queue of waves that are over, and let pilots forget them."""
        waves = self._ingest.closed()
        self._cancellations.try_again()
        if self._pilots is not None:
            self._pilots.close(waves)

    def _stop_if_failed(self) -> None:
        if self.settings.on_error == "stop" and self._failed() > self.forgiven:
            assert isinstance(self.executor, DropsWaiting), "only runs of the foreground stop"
            stop(self.tracked, self.executor)

    def _failed(self) -> int:
        """Return how many failures there are besides those that gathers allow."""
        failed = self.tracked.tally[TaskState.FAILED] + self.tracked.ended_early[TaskState.FAILED]
        tasks = self.tracked.tasks
        allowed = excused_tasks(tasks) if failed else ()
        return failed - sum(tasks[name].tally[TaskState.FAILED] for name in allowed)

    def _dead_end(self, plan: Plan) -> RunState | None:
        """Fail a run in which nothing can be done and nothing is awaited, instead of waiting."""
        if plan or self.tracked.tally[TaskState.PENDING] or self.tracked.outstanding():
            return None
        self._messages.append("the run can neither go on nor end; please report this")
        return RunState.FAILED

    def _finalise(self, state: RunState) -> None:
        """Record the end, and leave nothing in the queue."""
        if state is RunState.FAILED and self.settings.layout.cancelled.exists():
            # What had failed before a user cancelled the rest.
            state = RunState.CANCELLED
        self._watchdog.end()
        if self._pilots is not None:
            self._pilots.end()
        for record in list(self.tracked.dispatches.values()):
            self.tracked.set_submission(replace(record, state=SubmissionState.CANCELLING))
        note_advice_at_end(self.tracked, self.settings, self._mode)
        message = "; ".join(self._messages) or self._summary()
        if message and state is RunState.SUCCESS:
            message += ", which is allowed"
        self.tracked.set_run_state(state, message)
        self.commit()
        self._cancellations.try_now()

    def _summary(self) -> str:
        failed: Mapping[str, int] = {
            task.name: task.tally[TaskState.FAILED]
            for task in self.tracked.tasks.values()
            if task.tally[TaskState.FAILED]
        }
        short = [text for task in self.tracked.tasks.values() for text in self._short_of(task)]
        counted = ", ".join(
            f"{count} of {self.tracked.tasks[name].size} in {name!r} failed"
            if self.tracked.tasks[name].spec.array
            else f"{name!r} failed"
            for name, count in failed.items()
        )
        return "; ".join(text for text in (counted, *short) if text)


def _skipped(instance: Instance) -> Outcome:
    message = "a task before it did not succeed"
    return outcome_without_job(instance, TaskState.SKIPPED, message)
