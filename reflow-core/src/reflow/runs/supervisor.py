"""The supervisor of a local run: `python -m reflow.runs.supervisor RUN_DIR RUN_ID`.

A supervisor dispatches for as long as the run lasts. If it dies, its workers go on; any command
that looks at the run starts another supervisor.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

from reflow.dispatch.lease import acquire_for, forget, release, take
from reflow.errors import StoreError
from reflow.model.records import Lease
from reflow.permissions import open_file
from reflow.plugins.registry import registry
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.runs.abort import abort, cannot_dispatch, end_jobs
from reflow.runs.driver import LONGEST_WAIT, UntilEnd, drive
from reflow.runs.failure_policy import (
    DATA_ERRORS,
    Action,
    Role,
    ToldToEndError,
    end_at_signal,
    pauses_between_tries,
)
from reflow.runs.open_dispatcher import executor_of, open_dispatcher
from reflow.runs.troubles import Troubles
from reflow.runs.unreadable import Unreadable
from reflow.stores.contract import Store

log = logging.getLogger("reflow.dispatch")


def start_supervisor(store: Store, settings: RunSettings) -> None:
    """Start a supervisor that outlives this process.

    The lease is taken in its name at once, so that no other command starts a second one.
    """
    with open_file(settings.layout.dispatch_log, "ab") as out:
        process = subprocess.Popen(
            settings.command("reflow.runs.supervisor"),
            cwd=settings.working_directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    acquire_for(store, settings.run_id, process.pid)
    # Reap the supervisor if it ends before this process.
    threading.Thread(target=_await_end, args=(process.pid,), daemon=True).start()
    process.returncode = 0


def _await_end(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def main(arguments: list[str]) -> int:
    """Supervise one run until it has ended."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    settings = read_settings(Path(arguments[0]), arguments[1])
    signal.signal(signal.SIGTERM, end_at_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = registry().store_for(settings.store)
    troubles = Troubles(settings, Role.SUPERVISOR)
    try:
        return troubles.outlive(lambda: _take_and_supervise(store, settings, troubles))
    except ToldToEndError as error:
        log.info("pid %s: %s", os.getpid(), error)
    except StoreError as error:
        if troubles.decide(error).action is not Action.STEP_BACK:
            # The database may be back for the next supervisor, which any command starts.
            log.exception("the manifest database failed")
            return 1
        log.info("pid %s: another supervisor has taken over", os.getpid())
    finally:
        store.close()
    return 0


def _take_and_supervise(store: Store, settings: RunSettings, troubles: Troubles) -> int:
    lease = take(store, settings.run_id)
    if lease is None:
        log.info("pid %s: another supervisor is at work", os.getpid())
        return 0
    try:
        _supervise(store, settings, lease, troubles)
    except StoreError:
        raise
    except ToldToEndError:
        # Its workers go on, and are left to the next supervisor.
        with suppress(StoreError):
            release(store, lease)
        raise
    except Exception as error:
        log.exception("the run cannot be dispatched")
        abort(store, lease, cannot_dispatch(settings, error))
        return 1
    finally:
        # After an outage this process takes the lease once more.
        forget(lease)
    return 0


def _supervise(store: Store, settings: RunSettings, lease: Lease, troubles: Troubles) -> None:
    """Dispatch until the run has ended, and try again where its data cannot be read."""
    for pause in pauses_between_tries(settings.config.dispatch):
        if _has_ended(store, settings, lease, troubles):
            return
        _wait(store, lease, pause)


def _has_ended(store: Store, settings: RunSettings, lease: Lease, troubles: Troubles) -> bool:
    """Dispatch until the run has ended; False where its data cannot be read now.

    Raises what the run is to be aborted for, when its jobs have been ended.
    """
    with closing(executor_of(settings)) as executor:

        def dispatch() -> None:
            dispatcher = open_dispatcher(store, settings, lease, executor)
            drive(dispatcher, UntilEnd(), troubles.then())

        try:
            troubles.outlive(dispatch)
        except Exception as error:
            decision = troubles.decide(error)
            if decision.action is Action.ABORT:
                end_jobs(store, settings, executor)
            if not isinstance(error, DATA_ERRORS) or decision.action is not Action.LOOK_AFTER:
                raise
            log.exception("the run's data cannot be used")
            with suppress(OSError):
                troubles.word.leave(decision.word)
            return Unreadable(store, settings, lease, executor, troubles.tries, error).end_if_due()
    return True


def _wait(store: Store, lease: Lease, seconds: float) -> None:
    """Wait until the next try is due, or a user requests something of the run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if store.heartbeat(lease):
            store.clear_wakeup(lease)
            return
        time.sleep(min(LONGEST_WAIT, seconds))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
