"""Taking care of a run without a dispatcher, from any command that looks at the run.

Most runs that are looked at need nothing: they have ended, with nothing left to cancel. So what
dispatches is imported only for those that do.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from reflow.dispatch.modes import mode_named
from reflow.errors import ForeignRunError
from reflow.model.records import RunRecord, SubmissionState
from reflow.rundir.layout import RunLayout
from reflow.rundir.process import provably_dead
from reflow.stores.contract import Store

if TYPE_CHECKING:
    from reflow.runs.open_dispatcher import OpensExecutor


def recover(
    store: Store, record: RunRecord, open_executor: OpensExecutor | None = None
) -> list[str]:
    """Take a dispatch step for a run that has no living dispatcher; return notes for the user."""
    if record.state.final and not _has_jobs_to_cancel(store, record):
        return []
    from reflow.runs.failure_policy import Action, Role, decide
    from reflow.runs.open_dispatcher import opened_executor
    from reflow.runs.recovery.heal import finish, heal, word_left

    care = finish if record.state.final else heal
    try:
        return care(store, record, open_executor or opened_executor)
    except ForeignRunError as error:
        return [str(error)]
    except Exception as error:
        # A user who only wants to look at the run is to see it all the same.
        if decide(error, Role.COMMAND).action is not Action.TELL:
            raise
        message = f"the run cannot be dispatched from here: {error}"
        with suppress(OSError):
            return [*word_left(RunLayout(record.run_dir, record.run_id)), message]
        return [message]


def _has_jobs_to_cancel(store: Store, record: RunRecord) -> bool:
    submissions = store.submissions(record.run_id)
    return any(each.state is SubmissionState.CANCELLING for each in submissions)


def end_abandoned(store: Store, record: RunRecord) -> bool:
    """Record the end of a foreground run whose process was killed; return whether it has ended."""
    if record.state.final or not mode_named(record.executor).ends_with_process:
        return False
    owner = store.lease(record.run_id).owner
    # A run without an owner may have begun just now.
    if owner is None or not provably_dead(owner):
        return False
    recover(store, record)
    return store.run(record.run_id).state.final
