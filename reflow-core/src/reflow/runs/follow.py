"""Dispatching in the foreground, for clusters whose jobs may not submit others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from reflow.dispatch.lease import acquire, working_under
from reflow.dispatch.modes import mode_named
from reflow.errors import NotReadyError
from reflow.model.records import RunRecord
from reflow.rundir.ownership import own_settings
from reflow.runs.driver import Following, drive
from reflow.runs.failure_policy import Role
from reflow.runs.open_dispatcher import executor_of, open_dispatcher
from reflow.runs.status import status_of
from reflow.runs.troubles import Troubles
from reflow.stores.contract import Store


def follow_run(
    store: Store, record: RunRecord, on_progress: Callable[[Mapping[str, Any]], None]
) -> None:
    """Dispatch a run until it has ended.

    Raises `NotReadyError` for a run that cannot be followed, `ForeignRunError` for another user's.
    """
    settings = own_settings(record)
    refusal = mode_named(settings.executor).why_not_followed(record.run_id)
    if refusal:
        raise NotReadyError(refusal)
    time_to_live = settings.config.dispatch.lease_seconds
    with closing(executor_of(settings)) as executor:
        lease = acquire(store, record.run_id, time_to_live)
        assert lease is not None, "patience without an end ends with the lease"
        with working_under(store, lease):
            # Ctrl-C stops following; the run's jobs go on.
            troubles = Troubles(settings, Role.FOLLOWER)
            after_step = troubles.then(
                lambda: on_progress(status_of(store, record.run_id)["tasks"])
            )
            troubles.outlive(
                lambda: drive(
                    open_dispatcher(store, settings, lease, executor), Following(), after_step
                )
            )
