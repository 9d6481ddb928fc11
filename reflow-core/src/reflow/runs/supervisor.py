"""The supervisor of a local run: `python -m reflow.runs.supervisor RUN_DIR RUN_ID`.

It dispatches for as long as the run lasts. If it dies, its workers go on; any command that looks
at the run starts another.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

from reflow.dispatch.lease import let_go, take, take_for
from reflow.errors import LeaseLostError, StoreError
from reflow.model.records import Lease
from reflow.permissions import open_file
from reflow.plugins.registry import registry
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.runs.abort import cannot_dispatch, end_jobs, give_up
from reflow.runs.driver import drive
from reflow.runs.open_dispatcher import dispatcher_of, executor_of
from reflow.stores.contract import Store

log = logging.getLogger("reflow.dispatch")


class _EndedByPerson(BaseException):
    """SIGTERM: let go, and leave the workers to the next supervisor."""


def start_supervisor(store: Store, settings: RunSettings) -> None:
    """Start a supervisor that outlives this process.

    The lease is taken in its name at once, so that nobody starts a second one meanwhile.
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
    take_for(store, settings.run_id, process.pid)
    # It outlives this process, or this process its end: then nothing must be left of it.
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
    lease = take(store, settings.run_id)
    if lease is None:
        log.info("pid %s: another supervisor is at work", os.getpid())
        return 0
    try:
        _supervise(store, settings, lease)
    except LeaseLostError:
        log.info("pid %s: another supervisor has taken over", os.getpid())
    except _EndedByPerson:
        let_go(store, lease)
    except StoreError:
        # The database may be back for the next supervisor, which any command starts.
        log.exception("the manifest database failed")
        return 1
    except Exception as error:
        log.exception("the run cannot be dispatched")
        give_up(store, lease, cannot_dispatch(settings, error))
        return 1
    finally:
        store.close()
    return 0


def _supervise(store: Store, settings: RunSettings, lease: Lease) -> None:
    with closing(executor_of(settings)) as executor:
        try:
            dispatcher = dispatcher_of(store, settings, lease, executor)
            drive(dispatcher)
        except (LeaseLostError, StoreError):
            raise
        except Exception:
            end_jobs(store, settings, executor)
            raise


def _end(number: int, frame: object) -> None:
    raise _EndedByPerson


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
