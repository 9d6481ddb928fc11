"""Dispatching in the foreground, where the jobs of a cluster may not submit others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from reflow.config.schema import Config
from reflow.dispatch.dispatcher import Dispatcher
from reflow.dispatch.lease import take_patiently, working_under
from reflow.errors import NotReadyError
from reflow.model.records import RunRecord
from reflow.rundir.ownership import own_settings
from reflow.runs.open_dispatcher import FOREGROUND_EXECUTORS, dispatcher_of, executor_of
from reflow.runs.status import status_of
from reflow.stores.contract import Store

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two looks at the run directory: right after something happened, and at most."""


def follow_run(
    store: Store, record: RunRecord, on_progress: Callable[[Mapping[str, Any]], None]
) -> None:
    """Dispatch a run until it has ended. Raises `NotReadyError` for one that cannot be followed.

    And `ForeignRunError` for another user's.
    """
    settings = own_settings(record)
    if settings.executor in FOREGROUND_EXECUTORS:
        raise NotReadyError(f"{record.run_id} runs in the process that started it")
    time_to_live = Config.from_dict(settings.config).dispatch.lease_seconds
    with closing(executor_of(settings)) as executor:
        if executor.capabilities.volatile:
            raise NotReadyError(f"{record.run_id} has a supervisor of its own: use status --watch")
        lease = take_patiently(store, record.run_id, time_to_live)
        assert lease is not None, "patience without an end ends with the lease"
        with working_under(store, lease):
            _follow(
                dispatcher_of(store, settings, lease, executor),
                lambda: on_progress(status_of(store, record.run_id)["tasks"]),
            )


def _follow(dispatcher: Dispatcher, after_step: Callable[[], None]) -> None:
    """Take steps until the run has ended. Ctrl-C stops following; the run's jobs go on."""
    while True:
        _take_steps(dispatcher, after_step)
        if dispatcher.let_go():
            return


def _take_steps(dispatcher: Dispatcher, after_step: Callable[[], None]) -> None:
    pause = FIRST_PAUSE
    while not dispatcher.step():
        pause = FIRST_PAUSE if dispatcher.moved else min(LONGEST_PAUSE, 1.5 * pause)
        after_step()
        dispatcher.executor.wait(min(pause, dispatcher.look_again_in or pause))
    after_step()
