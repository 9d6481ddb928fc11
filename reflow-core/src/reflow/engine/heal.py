"""Looking after a run that nobody dispatches, from any process that looks at it."""

from __future__ import annotations

from reflow.engine.give_up import give_up
from reflow.engine.lease import take
from reflow.engine.opened import FOREGROUND_EXECUTORS, dispatcher_of, executor_of
from reflow.engine.settings import RunSettings, read_settings
from reflow.engine.supervise import start_supervisor
from reflow.errors import FlowImportError, NotFoundError
from reflow.model.records import Lease, RunRecord
from reflow.plugins import registry
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
        return _without_run_dir(store, record, lease, str(error))
    if settings.executor in FOREGROUND_EXECUTORS:
        give_up(store, lease, ABANDONED)
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


def _without_run_dir(store: Store, record: RunRecord, lease: Lease, said: str) -> list[str]:
    """A run of this machine has lost its folder; one of a cluster may have it elsewhere."""
    if record.executor in FOREGROUND_EXECUTORS or _dies_with_supervisor(record.executor):
        give_up(store, lease, said)
        return []
    store.release(lease)
    return [said]


def _dies_with_supervisor(executor: str) -> bool:
    capabilities = getattr(registry().executor_class(executor), "capabilities", None)
    return bool(getattr(capabilities, "volatile", False))
