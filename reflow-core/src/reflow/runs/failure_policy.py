"""The failure policy: what a dispatcher's trouble means, by who dispatches.

Every process that takes dispatch steps asks here what to do about an exception, and here alone. The
answer is plain data, and follows from the table below and from how long the trouble has lasted;
those who ask carry it out. Three thoughts are behind the table. What may pass is waited for, by
those who stay, or left to the next dispatcher, by those who do not. What cannot pass ends the run,
with the reason in its record, as `retry` takes it up again: a run must not wait unseen for what
never comes. And a user who is there is told, and decides.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

from reflow.config.schema import DispatchSettings
from reflow.dispatch.modes import RunMode
from reflow.errors import LeaseLostError, NotFoundError, OtherSeriesError, ReflowError, StoreError

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between two tries to use the database: after the first failure, and at most."""
LONGEST_OUTAGE_IN_A_JOB = 2.0
"""Seconds that a dispatch job waits for the database, which the next may reach from its node."""
MOST_TRIES = 10
LONGEST_TRYING = 24 * 3600.0
"""Tries, and seconds, that a run without readable data has after the last of its jobs has ended."""

DATA_ERRORS = (OSError, OtherSeriesError)
"""What is raised where a run's data cannot be used."""


class Role(Enum):
    """Who takes the dispatch steps of a run."""

    PROCESS = "its process"
    """The process of a foreground run."""
    SUPERVISOR = "its supervisor"
    DISPATCH_JOB = "a dispatch job"
    FOLLOWER = "who follows it"
    COMMAND = "a command"
    """One that takes what steps it can, and leaves the rest to dispatch jobs."""

    @property
    def named(self) -> str:
        """The dispatcher, as users know it."""
        at = f" on {os.uname().nodename}" if self is Role.DISPATCH_JOB else ""
        return f"{self.value}{at}"


class Trouble(Enum):
    """What has failed."""

    DATABASE_AWAY = auto()
    DATABASE_AWAY_TOO_LONG = auto()
    DATABASE_UNUSABLE = auto()
    """No waiting ends that."""
    LEASE_LOST = auto()
    """Another dispatcher has the run."""
    DATA_UNREADABLE = auto()
    """Files of the run, or the version of reflow that it was submitted with, are not there now."""
    FOLDER_GONE = auto()
    TOLD_TO_END = auto()
    """A signal, or Ctrl-C."""
    CANNOT_DISPATCH = auto()
    """An error with a sentence for users: a plugin is missing, a flow cannot be loaded."""
    FAULT = auto()
    """Anything else: of reflow, or of a plugin."""


class Action(Enum):
    """What a dispatcher does about a trouble."""

    WAIT = auto()
    """Wait, and open the run again from the database."""
    STEP_BACK = auto()
    """End, as another dispatcher goes on."""
    LEAVE = auto()
    """Leave the run as it is to the next dispatcher."""
    LOOK_AFTER = auto()
    """Take in results without the run's data, and try again a bounded number of times."""
    ABORT = auto()
    """Record that the run has failed, and why; end its jobs."""
    CANCEL = auto()
    """Record that the run was cancelled."""
    TELL = auto()
    """Leave the run as it is, and tell the user why."""
    RAISE = auto()
    """Leave the run as it is, and show the traceback."""


_WAIT, _STEP_BACK, _LEAVE, _LOOK_AFTER = (
    Action.WAIT,
    Action.STEP_BACK,
    Action.LEAVE,
    Action.LOOK_AFTER,
)
_ABORT, _CANCEL, _TELL, _RAISE = Action.ABORT, Action.CANCEL, Action.TELL, Action.RAISE

# fmt: off
_POLICY: dict[Trouble, tuple[Action, ...]] = {
    #                                 process  supervisor   dispatch job follower command
    Trouble.DATABASE_AWAY:          (_WAIT,   _WAIT,       _WAIT,       _WAIT,  _TELL),
    Trouble.DATABASE_AWAY_TOO_LONG: (_TELL,   _LEAVE,      _LEAVE,      _TELL,  _TELL),
    Trouble.DATABASE_UNUSABLE:      (_TELL,   _LEAVE,      _LEAVE,      _TELL,  _TELL),
    Trouble.LEASE_LOST:             (_TELL,   _STEP_BACK,  _STEP_BACK,  _TELL,  _TELL),
    Trouble.DATA_UNREADABLE:        (_ABORT,  _LOOK_AFTER, _LOOK_AFTER, _TELL,  _TELL),
    Trouble.FOLDER_GONE:            (_ABORT,  _ABORT,      _LOOK_AFTER, _TELL,  _TELL),
    Trouble.TOLD_TO_END:            (_CANCEL, _LEAVE,      _LEAVE,      _RAISE, _RAISE),
    Trouble.CANNOT_DISPATCH:        (_ABORT,  _ABORT,      _ABORT,      _TELL,  _TELL),
    Trouble.FAULT:                  (_ABORT,  _ABORT,      _ABORT,      _RAISE, _RAISE),
}
# fmt: on
"""What to do: a row for each trouble, a column for each role. A cluster's folder may be gone on one
node alone, so a dispatch job does not end the run for that."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about a trouble."""

    action: Action
    pause: float = 0.0
    """Seconds to wait, with `WAIT`."""
    word: str = ""
    """What `status` says from now on; empty where that stays as it is."""


class ToldToEndError(BaseException):
    """Raised at SIGTERM in processes that only dispatch: what was decided is committed."""


def end_at_signal(number: int, frame: object) -> NoReturn:
    """Handle SIGTERM in processes that only dispatch. Raises `ToldToEndError`."""
    raise ToldToEndError("told to end")


def decide(
    error: BaseException,
    role: Role,
    *,
    outage: float = 0.0,
    patience: float = 0.0,
    folder_is_there: bool = True,
) -> Decision:
    """Decide what a dispatcher does about an exception.

    `outage` is how many seconds the database has been away, `patience` how long that may last. The
    pause grows with the outage: it is as long again.
    """
    trouble = _trouble(error, away_too_long=outage >= patience, folder_is_there=folder_is_there)
    action = _POLICY[trouble][list(Role).index(role)]
    if action is Action.WAIT:
        pause = min(outage + FIRST_PAUSE, LONGEST_PAUSE, patience - outage)
        word = f"{role.named} waits for the database: {error}. It is tried again"
        return Decision(action, pause, word)
    if action is Action.LOOK_AFTER:
        verb = "could not" if role is Role.DISPATCH_JOB else "cannot"
        return Decision(
            action,
            word=f"{role.named} {verb} use the run's data: {error}. "
            "Finished results are recorded, and nothing is submitted; it is tried again",
        )
    return Decision(action)


def _trouble(error: BaseException, *, away_too_long: bool, folder_is_there: bool) -> Trouble:
    match error:
        case LeaseLostError():
            return Trouble.LEASE_LOST
        case StoreError(lasting=True):
            return Trouble.DATABASE_UNUSABLE
        case StoreError():
            return Trouble.DATABASE_AWAY_TOO_LONG if away_too_long else Trouble.DATABASE_AWAY
        case OSError() | OtherSeriesError():
            return Trouble.DATA_UNREADABLE if folder_is_there else Trouble.FOLDER_GONE
        case KeyboardInterrupt() | ToldToEndError():
            return Trouble.TOLD_TO_END
        case ReflowError():
            return Trouble.CANNOT_DISPATCH
    return Trouble.FAULT


def patience_of(role: Role, config: DispatchSettings) -> float:
    """Return the seconds that a dispatcher waits for the database."""
    if role is Role.DISPATCH_JOB:
        return LONGEST_OUTAGE_IN_A_JOB
    return config.outage_hours * 3600


def pauses_between_tries(config: DispatchSettings) -> Iterator[float]:
    """Yield the seconds until a supervisor's next tries to read a run's data.

    Ten of them take as long as an outage may.
    """
    pause, longest = 6 * config.watchdog_minutes, config.outage_hours * 600
    while True:
        yield min(pause, longest)
        pause *= 4


def gives_up(error: BaseException, mode: RunMode, *, tries_used_up: bool) -> bool:
    """Tell whether a run is to fail, none of whose jobs lives and whose data cannot be read.

    A run of another version does not become readable by itself. A folder that is not there comes
    back only where other machines may have it.
    """
    if isinstance(error, OtherSeriesError):
        return True
    return tries_used_up or (isinstance(error, NotFoundError) and mode.on_this_machine)


def word_of_manifest(error: Exception, role: Role, *, watched: bool) -> str:
    """Return what `status` says where a dispatcher ends for want of the database."""
    return f"{role.named} could not use the manifest: {error}. {_goes_on(watched)}"


def word_of_scheduler(trouble: str, role: Role) -> str:
    """Return what `status` says where a dispatcher could not use the scheduler."""
    return f"{role.named} could not use the scheduler: {trouble}. {_goes_on(watched=False)}"


def _goes_on(watched: bool) -> str:
    if watched:
        return "The run's next watchdog tries again"
    return "The run continues only while `reflow follow` runs, or when `reflow status` is typed"
