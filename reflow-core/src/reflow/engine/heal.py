"""Looking after a run that nobody dispatches, from any process that looks at it."""

from __future__ import annotations

from reflow.engine.lease import take
from reflow.engine.opened import FOREGROUND_EXECUTORS, dispatcher_of, executor_of
from reflow.engine.settings import RunSettings, read_settings
from reflow.engine.supervise import start_supervisor
from reflow.errors import FlowImportError, NotFoundError
from reflow.model.records import Lease, Outcome, RunRecord
from reflow.model.states import RunState, TaskState
from reflow.stores.contract import Store

ABANDONED = "the process that ran it ended before the run did"


def heal(store: Store, record: RunRecord) -> list[str]:
    """Take a dispatch step for a run that has no living dispatcher; tells what there is to say."""
    if record.state.final:
        return []
    lease = take(store, record.run_id)
    if lease is None:
        return []
    try:
        settings = read_settings(record.run_dir, record.run_id)
    except NotFoundError as error:
        _end(store, lease, str(error))
        return []
    if settings.executor in FOREGROUND_EXECUTORS:
        _end(store, lease, ABANDONED)
        return []
    return _go_on(store, settings, lease)


def _go_on(store: Store, settings: RunSettings, lease: Lease) -> list[str]:
    executor = executor_of(settings)
    try:
        if executor.capabilities.volatile:
            store.release(lease)
            start_supervisor(store, settings)
            return ["its supervisor had ended; another one was started"]
        dispatcher = dispatcher_of(store, settings, lease, executor)
        dispatcher.arm_watchdog()
        dispatcher.step()
        store.release(lease)
    except FlowImportError as error:
        store.release(lease)
        return [f"nothing can be dispatched from here: {error}"]
    finally:
        executor.close()
    return []


def _end(store: Store, lease: Lease, said: str) -> None:
    """End a run that nothing moves any more: what ran has failed, what waited is cancelled."""
    waiting, running = TaskState.PENDING, (TaskState.SUBMITTED, TaskState.RUNNING)
    outcomes = [
        Outcome(
            task=instance.task,
            index=instance.index,
            attempt=instance.attempt,
            state=TaskState.CANCELLED,
            error=said,
        )
        for instance in store.instances(lease.run_id, states=[waiting, *running])
    ]
    unknown = [
        task.name for task in store.tasks(lease.run_id) if task.size is None and task.state is None
    ]
    with store.fenced(lease) as write:
        write.record_outcomes(outcomes)
        for name in unknown:
            write.set_task_state(name, TaskState.CANCELLED)
        write.set_run_state(RunState.FAILED, said)
    store.release(lease)
