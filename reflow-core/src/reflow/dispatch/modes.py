"""The three modes of a run: who keeps it going, and what that means for users and commands.

A run of `run_local` is dispatched by the process that started it, and ends with that process. A run
on one machine is dispatched by a supervisor in the background; a command that finds the run without
one starts the next. A run on a cluster is dispatched by its own dispatch jobs, and by every command
that looks at it. The executor gives the mode, once and for all: nothing else asks for
`Capabilities.volatile`.
"""

from __future__ import annotations

from contextlib import suppress
from enum import Enum, auto
from typing import ClassVar

from reflow.errors import PluginError
from reflow.executors.contract import Executor
from reflow.model.jobs import Capabilities
from reflow.model.tasks import PerJob

_FOREGROUND_EXECUTORS = frozenset({"pool", "inline"})
"""Executors of `run_local`."""


class Keeper(Enum):
    """Who keeps a run going."""

    PROCESS = auto()
    """The process that started it, or that retries it."""
    SUPERVISOR = auto()
    DISPATCH_JOBS = auto()
    """Dispatch jobs, and the commands that look at the run."""


class RunMode:
    """What commands ask about the mode of a run."""

    keeper: ClassVar[Keeper]
    ends_with_process: ClassVar[bool]
    """The run is over when its dispatcher's process is: no other takes it over."""
    on_this_machine: ClassVar[bool]
    """All of it is on the machine that it was started on."""
    knows_own_jobs_only: ClassVar[bool]
    """The executor knows no job of an earlier dispatcher. What workers have begun may live on,
    known by its claims."""
    answers_get_lost: ClassVar[bool]
    """A scheduler may have a job unknown to the run, or one job twice: its answer was lost."""
    asks_a_scheduler: ClassVar[bool]
    """Asking is a burden on others, and a cancellation is done when the scheduler says so."""

    begins_at_once: ClassVar[bool] = False
    """Elements begin as soon as they are handed over, so that a large array is worth beginning
    before all of it is prepared, for one more wave."""
    jobs_share_elements: ClassVar[bool]
    """Elements may share jobs: these are processes of their own."""
    per_job: ClassVar[PerJob | None] = None
    """How many elements share a job where the user does not say; None for one."""
    limits_elements: ClassVar[bool]
    """An element that has more time or memory than it asked for is ended."""
    why_no_pilots: ClassVar[str] = ""
    """Why no pilots run the run; empty where they can."""

    def grace(self, configured: float) -> float:
        """Return the seconds that the result of a job that is gone has to appear."""
        raise NotImplementedError

    def dispatcher_named(self, pid: int) -> str:
        """Name the process that dispatches the run, as users know it."""
        return f"it is dispatched by process {pid}"

    def why_not_followed(self, run_id: str) -> str:
        """Return why `reflow follow` has nothing to do for a run; empty where it has."""
        return ""


class _OneMachine(RunMode):
    """The run's jobs are processes, queued in the memory of its dispatcher."""

    on_this_machine = True
    knows_own_jobs_only = True
    answers_get_lost = False
    asks_a_scheduler = False
    # What fits a cluster's node says little about this machine.
    limits_elements = False
    why_no_pilots = (
        "pilots are jobs of a scheduler, and this run has none: on one machine, elements of all "
        "tasks share processes anyway"
    )

    def grace(self, configured: float) -> float:
        """Return no seconds: a file that was written here is seen here."""
        return 0.0


class Foreground(_OneMachine):
    """A run of `run_local`."""

    keeper = Keeper.PROCESS
    ends_with_process = True
    begins_at_once = True
    # Workers share elements here, of all waves alike.
    jobs_share_elements = False

    def dispatcher_named(self, pid: int) -> str:
        """Name the user's own process."""
        return f"it runs in process {pid}"

    def why_not_followed(self, run_id: str) -> str:
        """Return where the run is dispatched."""
        return f"{run_id} runs in the process that started it"


class Supervised(_OneMachine):
    """A run in the background of one machine."""

    keeper = Keeper.SUPERVISOR
    ends_with_process = False
    jobs_share_elements = True
    per_job = "auto"

    def why_not_followed(self, run_id: str) -> str:
        """Return what to type instead."""
        return f"{run_id} has a supervisor of its own: use status --watch"


class ByDispatchJobs(RunMode):
    """A run on a cluster."""

    keeper = Keeper.DISPATCH_JOBS
    ends_with_process = False
    on_this_machine = False
    knows_own_jobs_only = False
    answers_get_lost = True
    asks_a_scheduler = True
    limits_elements = True
    jobs_share_elements = True

    def grace(self, configured: float) -> float:
        """Return the configured seconds: files of other hosts appear late."""
        return configured


FOREGROUND, SUPERVISED, BY_DISPATCH_JOBS = Foreground(), Supervised(), ByDispatchJobs()


def mode_of(executor: Executor) -> RunMode:
    """Return the mode of the runs of an executor."""
    return _mode(executor.name, executor.capabilities)


def mode_named(executor: str) -> RunMode:
    """Return the mode of the runs of an executor that need not be made for that.

    What is not installed here is taken for a cluster's.
    """
    from reflow.plugins.registry import registry  # which loads pluggy

    capabilities = None
    with suppress(PluginError):
        capabilities = getattr(registry().executor_class(executor), "capabilities", None)
    return _mode(executor, capabilities)


def _mode(executor: str, capabilities: Capabilities | None) -> RunMode:
    if executor in _FOREGROUND_EXECUTORS:
        return FOREGROUND
    # A class may declare its capabilities by a property, which says nothing without an object.
    return SUPERVISED if getattr(capabilities, "volatile", False) else BY_DISPATCH_JOBS
