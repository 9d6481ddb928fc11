"""The dispatch job: `python -m reflow.runs.dispatch_job RUN_DIR RUN_ID [stay]`.

It does the same whether it is a follow-up, a watchdog, or started by the last worker of a wave:
take the run over when no other dispatcher has it, do all that can be done now, arrange that the run
goes on, and release the lease. One that is to stay does that for every line of its input, and
answers with a line that says in how many seconds something is due.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reflow.dispatch.cancellations import finish_cancelling, to_be_cancelled
from reflow.dispatch.continuation import is_watched
from reflow.dispatch.dispatcher import Dispatcher
from reflow.dispatch.lease import acquire, forget, release, working_under
from reflow.dispatch.modes import BY_DISPATCH_JOBS
from reflow.errors import DamagedRunError, NotFoundError, StoreError
from reflow.execution.pool.usage import memory_of
from reflow.model.pilots import KEPT_MEMORY
from reflow.model.records import Lease
from reflow.permissions import open_file, touch
from reflow.plugins.registry import registry
from reflow.rundir.layout import RunLayout
from reflow.rundir.run_settings import RunSettings, read_settings
from reflow.rundir.source_record import current_source
from reflow.runs.abort import abort, cannot_dispatch, end_jobs
from reflow.runs.driver import DispatchJob, InPilot, PausePolicy, drive
from reflow.runs.failure_policy import (
    DATA_ERRORS,
    Action,
    Role,
    ToldToEndError,
    end_at_signal,
    gives_up,
    word_of_manifest,
    word_of_scheduler,
)
from reflow.runs.open_dispatcher import (
    KeptDispatcher,
    OpensDispatcher,
    OpensExecutor,
    executor_for_all,
    executor_of,
    open_dispatcher,
    opened_executor,
)
from reflow.runs.troubles import Tries, Troubles, Word
from reflow.runs.unreadable import Unreadable
from reflow.stores.contract import Store

log = logging.getLogger("reflow.dispatch")


def main(arguments: list[str]) -> int:
    """Take dispatch steps until nothing more can be done now."""
    run_dir, run_id, stays = Path(arguments[0]), arguments[1], len(arguments) > 2
    try:
        settings = read_settings(run_dir, run_id)
    except (DamagedRunError, NotFoundError) as error:
        print(error, file=sys.stderr)
        return _without_settings(RunLayout(run_dir, run_id), error)
    logging.basicConfig(
        stream=open_file(settings.layout.dispatch_log, "a"),
        format="%(asctime)s %(levelname)s %(message)s",
        level=logging.INFO,
    )
    look_for_commands_in(settings.command_path)
    store = registry().store_for(settings.store)
    signal.signal(signal.SIGTERM, end_at_signal)
    troubles = Troubles(settings, Role.DISPATCH_JOB)
    try:
        if stays:
            return _step_when_asked(store, settings, troubles)
        return troubles.outlive(lambda: dispatch_once(store, settings, troubles, DispatchJob()))
    except ToldToEndError as error:
        log.info("pid %s: %s", os.getpid(), error)
        # A watchdog that fails submits itself again: in an outage it may have armed no other.
        return int(troubles.in_outage)
    except (StoreError, NotFoundError) as error:
        if troubles.decide(error).action is Action.STEP_BACK:
            log.info("pid %s: %s", os.getpid(), error)
            return 0
        # The manifest may be back for the next dispatch. Users cannot be told through it.
        log.exception("the manifest database failed")
        watched = _is_watched(settings)
        troubles.word.leave(word_of_manifest(error, troubles.role, watched=watched))
        return 1
    finally:
        store.close()
        used = os.times()
        log.info(
            "pid %s: used %.2f s of CPU, and %.2f s in the scheduler's commands",
            os.getpid(),
            used.user + used.system,
            used.children_user + used.children_system,
        )


def _step_when_asked(store: Store, settings: RunSettings, troubles: Troubles) -> int:
    """Take the run over for every line of the input, until that ends."""
    # What a flow prints that is loaded here is no answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    with executor_for_all() as open_executor:
        kept = KeptDispatcher()
        means = Means(open_executor, kept, kept.keep)
        source = current_source(settings.layout)
        while sys.stdin.buffer.readline():
            step = InPilot()
            # A retry may have written them anew.
            now = read_settings(settings.run_dir, settings.run_id)
            troubles.outlive(partial(dispatch_once, store, now, troubles, step, means))
            os.write(answers, f"{'-' if step.due is None else step.due}\n".encode())
            if is_too_large() or current_source(settings.layout) != source:
                # What it has loaded of the flow is of another source; or it has grown beyond what
                # the pilot keeps for it. The pilot starts another one.
                break
    return 0


def is_too_large() -> bool:
    """Tell whether this process has more memory than a pilot keeps for it."""
    return memory_of(os.getpid()) > KEPT_MEMORY


@dataclass(frozen=True, slots=True)
class Means:
    """How the executor and the dispatcher of a step are opened."""

    open_executor: OpensExecutor = opened_executor
    open_dispatcher: OpensDispatcher = open_dispatcher
    keep: Callable[[Dispatcher], None] = lambda dispatcher: None
    """Called with a dispatcher whose step went well."""


def dispatch_once(
    store: Store,
    settings: RunSettings,
    troubles: Troubles,
    pauses: PausePolicy,
    means: Means | None = None,
) -> int:
    """Take the run over, do what can be done, and release the lease."""
    lease = acquire(
        store,
        settings.run_id,
        settings.config.dispatch.lease_seconds,
        unless=lambda: store.run(settings.run_id).state.final,
    )
    if lease is None:
        return 0
    try:
        if store.run(settings.run_id).state.final and not store.requests(settings.run_id):
            # A job that comes late has nothing to change about what is over.
            return _finish(store, settings, lease)
        return _dispatch(store, settings, lease, troubles, pauses, means or Means())
    finally:
        # After an outage this process takes the lease once more.
        forget(lease)


def _without_settings(layout: RunLayout, error: DamagedRunError | NotFoundError) -> int:
    """Leave a run without settings to the next watchdog, for a bounded number of tries.

    Without settings the place of the manifest is unknown, so nothing can be recorded there.
    """
    tries = Tries(layout)
    tries.add()
    if not gives_up(error, BY_DISPATCH_JOBS, tries_used_up=tries.used_up):
        return 1
    touch(layout.ended)
    return 0


def _finish(store: Store, settings: RunSettings, lease: Lease) -> int:
    """Cancel jobs that an ended run has left with a scheduler that did not answer."""
    trouble = ""
    with working_under(store, lease):
        if to_be_cancelled(store, settings.run_id):
            with closing(executor_of(settings)) as executor:
                trouble = finish_cancelling(store, settings, lease, executor)
        release(store, lease)
    return int(bool(trouble))


def _dispatch(
    store: Store,
    settings: RunSettings,
    lease: Lease,
    troubles: Troubles,
    pauses: PausePolicy,
    means: Means,
) -> int:
    """Do what can be done; where something is in the way, do what the failure policy says."""
    with ExitStack() as stack:
        executor = None
        try:
            executor = stack.enter_context(means.open_executor(settings))
            dispatcher = means.open_dispatcher(store, settings, lease, executor)
            code = _drive(dispatcher, troubles, pauses)
            means.keep(dispatcher)
            return code
        except ToldToEndError:
            release(store, lease)
            raise
        except Exception as error:
            decision = troubles.decide(error)
            if decision.action is Action.ABORT:
                log.exception("the run cannot be dispatched")
                abort(store, lease, cannot_dispatch(settings, error))
                if executor is not None:
                    # Last of all: a worker that dispatches lives in one of these jobs, and ends
                    # with it.
                    end_jobs(store, settings, executor)
                return 1
            if not isinstance(error, DATA_ERRORS) or executor is None:
                raise
            log.exception("the run's data cannot be used")
            unreadable = Unreadable(store, settings, lease, executor, troubles.tries, error)
            return _look_after(unreadable, troubles.word, decision.word, store, lease)


def _drive(dispatcher: Dispatcher, troubles: Troubles, pauses: PausePolicy) -> int:
    drive(dispatcher, pauses, troubles.then())
    if dispatcher.trouble:
        troubles.word.leave(word_of_scheduler(dispatcher.trouble, troubles.role))
    # A watchdog that could not arm the next one submits itself again.
    return int(bool(dispatcher.unwatched))


def _look_after(
    unreadable: Unreadable, word: Word, message: str, store: Store, lease: Lease
) -> int:
    """Do what can be done without the run's data, and arrange another try."""
    try:
        word.leave(message)
        if unreadable.end_if_due():
            return 1
        watched = unreadable.watch()
    except OSError:
        # Where nothing can be written, the watchdog's script submits it again.
        log.exception("the run directory cannot be used")
        watched = False
    release(store, lease)
    return int(not watched)


def look_for_commands_in(command_path: str) -> None:
    """Add the submitter's PATH to this process's, which may lack the scheduler's commands."""
    known = os.get_exec_path()
    theirs = command_path.split(os.pathsep)
    more = [folder for folder in theirs if folder.startswith("/") and folder not in known]
    os.environ["PATH"] = os.pathsep.join([*known, *more])


def _is_watched(settings: RunSettings) -> bool:
    """Tell whether watchdogs go on with the run when this job has failed."""
    with closing(executor_of(settings)) as executor:
        return is_watched(executor, settings.config.dispatch)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
