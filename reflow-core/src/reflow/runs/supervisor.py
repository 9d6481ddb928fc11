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
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import cache
from pathlib import Path

from reflow.config.schema import DispatchSettings
from reflow.dispatch.lease import acquire_for, forget, release, take
from reflow.errors import LeaseLostError, OtherSeriesError, StoreError
from reflow.model.records import Lease
from reflow.permissions import open_file
from reflow.plugins.registry import registry
from reflow.rundir.files import write_whole
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.runs.abort import abort, cannot_dispatch, end_jobs
from reflow.runs.driver import LONGEST_WAIT, UntilEnd, drive
from reflow.runs.open_dispatcher import executor_of, open_dispatcher
from reflow.runs.outages import Outages
from reflow.runs.unreadable import TRIED_AGAIN, Tries, Unreadable
from reflow.stores.contract import Store

log = logging.getLogger("reflow.dispatch")


class _Terminated(BaseException):
    """Raised at SIGTERM: release the lease, and leave the workers to the next supervisor."""


def start_supervisor(store: Store, settings: RunSettings) -> None:
    """Start a supervisor that outlives this process.

    The lease is taken in its name at once, so that no other command starts a second one.
    """
    with open_file(settings.layout.dispatch_log, "ab") as out:
        process = subprocess.Popen(
            [
                settings.python,
                "-P",
                "-m",
                "reflow.runs.supervisor",
                str(settings.run_dir),
                settings.run_id,
            ],
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
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    store = registry().store_for(settings.store)
    outages = Outages(settings, "its supervisor")
    try:
        return outages.outlive(lambda: _take_and_supervise(store, settings, outages))
    except LeaseLostError:
        log.info("pid %s: another supervisor has taken over", os.getpid())
    except _Terminated:
        log.info("pid %s: told to end", os.getpid())
    except StoreError:
        # The database may be back for the next supervisor, which any command starts.
        log.exception("the manifest database failed")
        return 1
    finally:
        store.close()
    return 0


def _take_and_supervise(store: Store, settings: RunSettings, outages: Outages) -> int:
    lease = take(store, settings.run_id)
    if lease is None:
        log.info("pid %s: another supervisor is at work", os.getpid())
        return 0
    try:
        _supervise(store, settings, lease, outages)
    except StoreError:
        raise
    except _Terminated:
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


def _supervise(store: Store, settings: RunSettings, lease: Lease, outages: Outages) -> None:
    """Dispatch until the run has ended, and try again where its data cannot be read."""
    tries = Tries(settings.layout)
    for pause in _pauses(settings.config.dispatch):
        if _has_ended(store, settings, lease, tries, outages):
            return
        _wait(store, lease, pause)


def _has_ended(
    store: Store, settings: RunSettings, lease: Lease, tries: Tries, outages: Outages
) -> bool:
    """Dispatch until the run has ended; False where its data cannot be read now."""
    with closing(executor_of(settings)) as executor:

        def dispatch() -> None:
            dispatcher = open_dispatcher(store, settings, lease, executor)
            drive(dispatcher, UntilEnd(), outages.then(cache(tries.forget)))

        try:
            outages.outlive(dispatch)
        except StoreError:
            raise
        except Exception as error:
            if (
                not isinstance(error, OSError | OtherSeriesError)
                or not settings.layout.root.is_dir()
            ):
                end_jobs(store, settings, executor)
                raise
            log.exception("the run's data cannot be used")
            _leave_word(settings, error)
            return Unreadable(store, settings, lease, executor, tries, error).end_if_due()
    return True


def _leave_word(settings: RunSettings, error: Exception) -> None:
    """Record for `status` what the supervisor waits for, if that can be written."""
    message = f"its supervisor cannot use the run's data: {error}. {TRIED_AGAIN}"
    with suppress(OSError):
        write_whole(settings.layout.dispatch_trouble, message.encode())


def _pauses(config: DispatchSettings) -> Iterator[float]:
    """Yield the seconds until each next try: ten of them take as long as an outage may."""
    pause, longest = 6 * config.watchdog_minutes, config.outage_hours * 600
    while True:
        yield min(pause, longest)
        pause *= 4


def _wait(store: Store, lease: Lease, seconds: float) -> None:
    """Wait until the next try is due, or a user requests something of the run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if store.heartbeat(lease):
            store.clear_wakeup(lease)
            return
        time.sleep(min(LONGEST_WAIT, seconds))


def _end(number: int, frame: object) -> None:
    raise _Terminated


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
