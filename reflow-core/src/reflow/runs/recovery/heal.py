"""Dispatching a run that has no dispatcher, from a command that looks at the run.

A run needs no service that watches it: its watchdogs, or its supervisor, keep it going. Should they
all be lost, the next `status`, `wait` or other command takes a step itself, records the end of a
foreground run whose process was killed, and finishes cancellations.
"""

from __future__ import annotations

from reflow.dispatch.cancellations import finish_cancelling, to_be_cancelled
from reflow.dispatch.dispatcher import Dispatcher
from reflow.dispatch.lease import release, take, take_from, working_under
from reflow.dispatch.modes import Keeper, mode_named, mode_of
from reflow.errors import DamagedRunError, NotFoundError, StoreError
from reflow.model.jobs import JobHandle
from reflow.model.records import Lease, RunRecord, SubmissionKind
from reflow.model.states import JobState
from reflow.rundir.layout import RunLayout
from reflow.rundir.ownership import may_end, own_settings
from reflow.rundir.process import boot_id
from reflow.rundir.run_settings import RunSettings
from reflow.runs.abort import abort
from reflow.runs.driver import Command, drive
from reflow.runs.failure_policy import gives_up
from reflow.runs.open_dispatcher import (
    OpensExecutor,
    open_dispatcher,
)
from reflow.runs.recovery.silence import holder_of
from reflow.runs.supervisor import start_supervisor
from reflow.runs.troubles import Tries, Word
from reflow.stores.contract import Store

LEFT = "some jobs are not cancelled yet, and reflow tries again: {}"
ABANDONED = "the process that ran it ended before the run was finished"


def finish(store: Store, record: RunRecord, open_executor: OpensExecutor) -> list[str]:
    """Go on cancelling jobs that a run has left at its end; return why some are left."""
    left = to_be_cancelled(store, record.run_id)
    if not left or mode_named(record.executor).ends_with_process:
        return []
    settings = own_settings(record)
    lease = take(store, record.run_id)
    if lease is None:
        # Dispatch jobs do no harm, and are left for a moment at every run's end.
        of_elements = any(each.kind is SubmissionKind.WAVE for each in left)
        return [LEFT.format("a dispatcher is at it")] if of_elements else []
    with working_under(store, lease), open_executor(settings) as executor:
        trouble = finish_cancelling(store, settings, lease, executor)
        release(store, lease)
    return [LEFT.format(trouble)] if trouble else []


def heal(store: Store, record: RunRecord, open_executor: OpensExecutor) -> list[str]:
    """Take a step for a run that goes on, where nobody else dispatches it; return notes."""
    try:
        settings = own_settings(record)
    except (NotFoundError, DamagedRunError) as error:
        return _without_settings(store, record, error)
    lease = take(store, record.run_id)
    if lease is None:
        frozen = replace_frozen(store, settings, open_executor)
        others = frozen or _replace_dead_job(store, settings, open_executor)
        return [*word_left(settings.layout), *others]
    if mode_named(settings.executor).ends_with_process:
        abort(store, lease, ABANDONED)
        return []
    return _go_on(store, settings, lease, open_executor)


def replace_frozen(store: Store, settings: RunSettings, open_executor: OpensExecutor) -> list[str]:
    """Take the run over from a process of this machine that shows no life; return notes."""
    holder = holder_of(store, settings)
    if holder is None:
        return []
    try:
        lease = holder.take_over(store)
    except StoreError as error:
        # It may have been stopped inside a transaction, so that nobody can write.
        return [holder.note(), f"the run cannot be taken over from it: {error}"]
    if lease is None:
        return [holder.note()] if holder.note() else []
    message = f"process {holder.process.pid} had given no sign of life for {holder.silent:.0f} s"
    notes = _go_on(store, settings, lease, open_executor)
    return [f"{message}; the run was taken over from it", *notes]


def _go_on(
    store: Store, settings: RunSettings, lease: Lease, open_executor: OpensExecutor
) -> list[str]:
    with working_under(store, lease), open_executor(settings) as executor:
        if mode_of(executor).keeper is Keeper.SUPERVISOR:
            release(store, lease)
            start_supervisor(store, settings)
            return ["its supervisor had ended; a new one was started"]
        dispatcher = open_dispatcher(store, settings, lease, executor)
        drive(dispatcher, Command())
        return _notes_of(dispatcher)


def word_left(layout: RunLayout) -> list[str]:
    """Return what the last dispatcher could not use. Raises `OSError`."""
    word = Word(layout).read()
    return [word] if word else []


def _notes_of(dispatcher: Dispatcher) -> list[str]:
    """Return why a run that goes on may seem to stand still."""
    notes = []
    if dispatcher.silence:
        notes.append(f"the states of its jobs are not known: {dispatcher.silence}")
    notes += word_left(dispatcher.settings.layout)
    if dispatcher.uncancelled:
        notes.append(LEFT.format(dispatcher.uncancelled))
    if dispatcher.deferred:
        notes.append(f"nothing more is submitted for now: {dispatcher.deferred}")
    if dispatcher.tracked.outstanding() and not dispatcher.continues:
        run_id = dispatcher.settings.run_id
        notes.append(f"no dispatch job is queued. To go on, type: reflow follow {run_id}")
    return notes


def _replace_dead_job(
    store: Store, settings: RunSettings, open_executor: OpensExecutor
) -> list[str]:
    """Take over from a dispatch job on another machine that the scheduler says is over."""
    seen = store.lease(settings.run_id)
    owner = seen.owner or {}
    native_id = owner.get("native_id")
    if not isinstance(native_id, str) or not native_id:
        elsewhere = owner.get("boot") not in (None, boot_id())
        message = f"it is dispatched by process {owner.get('pid')} on {owner.get('host')}"
        return [f"{message}; if the run makes no progress, look there"] if elsewhere else []
    with open_executor(settings) as executor:
        statuses = executor.poll([JobHandle(native_id=native_id)])
        if any(status.state is JobState.UNKNOWN for status in statuses):
            message = f"it is dispatched by job {native_id}, which {executor.name} does not know"
            advice = f"if the run makes no progress, type: reflow follow {settings.run_id}"
            return [f"{message}; {advice}"]
        if not all(status.state.over for status in statuses):
            return []
        lease = take_from(store, settings.run_id, seen)
        if lease is not None:
            with working_under(store, lease):
                drive(open_dispatcher(store, settings, lease, executor), Command())
    return [f"its dispatcher, job {native_id}, had ended; the run was taken over from it"]


def _without_settings(
    store: Store, record: RunRecord, error: NotFoundError | DamagedRunError
) -> list[str]:
    """End a run of this machine without a folder, or one that dispatch jobs have given up.

    Other runs are left alone: a cluster's run may have its folder elsewhere, and damaged settings
    may be restored.
    """
    tries = Tries(RunLayout(record.run_dir, record.run_id))
    over = gives_up(error, mode_named(record.executor), tries_used_up=tries.used_up)
    lease = take(store, record.run_id) if over and may_end(record) else None
    if lease is None:
        return [str(error)]
    abort(store, lease, str(error))
    return []
