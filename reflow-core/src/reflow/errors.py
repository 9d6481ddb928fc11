"""Every exception that reflow raises on purpose; `ReflowError` is the root of all.

Where Python has a class for the mistake, the exception derives from that built-in too, so that
`except ValueError` keeps working for users who do not know reflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reflow.run import Run


class ReflowError(Exception):
    """Root of reflow's exceptions. The text says what happened, where, and what to do next."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows below a cell that raised this."""
        from reflow.excepthook import in_a_notebook

        return in_a_notebook(self)


class DefinitionError(ReflowError, ValueError):
    """A workflow, task or signature is wrong: unknown step, cycle, types that do not fit."""


class OptionError(ReflowError, TypeError):
    """A keyword is missing or unknown: a task option, a run parameter."""


class ParameterError(ReflowError, ValueError):
    """A parameter or argument has a value that cannot be used."""


class ConfigError(ReflowError, ValueError):
    """A configuration file or environment variable cannot be used."""


class UsageError(ReflowError, ValueError):
    """A command was given words that do not go together."""


class NotFoundError(ReflowError, KeyError):
    """No run, task, element or result of that name."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; users need the sentence itself.
        return str(self.args[0]) if self.args else ""


class NotReadyError(ReflowError):
    """A result was asked for before there is one."""


class ForeignRunError(ReflowError):
    """A run belongs to another user, so that nothing of it may be run or loaded here."""


class DamagedRunError(ReflowError):
    """The settings of a run cannot be used: damaged, or written by another version of reflow."""


class OtherSeriesError(ReflowError):
    """A run was submitted with a series of reflow that this one cannot go on for."""


class RunFailedError(ReflowError, RuntimeError):
    """A run ended in FAILED or CANCELLED where success was asked for.

    Its `__cause__` is the exception of the task that failed first, rebuilt from what was recorded
    of it, or a `TaskFailedError` where that is not possible.
    """

    def __init__(self, message: str, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id
        self.run: Run | None = None
        """The run, where `run_local` raised this."""


class TaskFailedError(ReflowError, RuntimeError):
    """A task's failure as text: the exception itself was raised in another process."""


class WaitTimeoutError(ReflowError, TimeoutError):
    """A run did not end within the time given."""


class StoreError(ReflowError):
    """The manifest database cannot be opened, read or written."""

    lasting = False
    """Whether trying again later is of no use, as this is no outage."""

    def __init__(self, message: str = "", *, lasting: bool = False) -> None:
        super().__init__(message)
        if lasting:
            self.lasting = True


class StoreVersionError(StoreError):
    """The manifest database was written by a newer reflow."""

    lasting = True


class LeaseLostError(StoreError):
    """Another dispatcher has taken the run over; nothing was written."""

    lasting = True


class PluginError(ReflowError):
    """A plugin is broken, in conflict, or built for another version of the interface."""


class MissingExecutorError(PluginError, ImportError):
    """No installed distribution provides the executor asked for."""


class UnstorableValueError(ReflowError, TypeError):
    """A value has a type that no codec can store."""


class StoredValueError(ReflowError, ValueError):
    """Stored data cannot be turned back into the value it came from."""


class MissingFileError(StoredValueError):
    """A file that holds bytes of a stored value is gone, or not as it was written."""

    def __init__(self, path: str, what: str = "is gone or was cut short") -> None:
        super().__init__(f"{path}, which holds a stored value, {what}")
        self.path = path


class FlowImportError(ReflowError, ImportError):
    """A flow file cannot be loaded, or holds no workflow of the name wanted."""


class ExecutorError(ReflowError):
    """Something went wrong between reflow and a scheduler."""


class SchedulerUnavailableError(ExecutorError):
    """The scheduler did not answer. It says nothing about any job; try again later."""

    lasting = False
    """Whether trying again is of no use here, as the command that would ask is missing."""


class SubmissionUncertainError(SchedulerUnavailableError):
    """A submission may or may not have been accepted; look its token up before trying again."""


class SubmissionRefusedError(ExecutorError):
    """The scheduler refused a job for good; the text holds its own words."""


class SubmissionDeferredError(ExecutorError):
    """The scheduler refused a job for now (a limit, a busy moment); try again later."""


class TaskInterrupted(BaseException):
    """Raised inside a task's function when the scheduler or the user is about to end it.

    Raised in the main thread on SIGTERM, SIGINT and the scheduler's warning signal. A task may
    catch it to save its state and must then return or re-raise soon. Derives from
    `BaseException`, as `KeyboardInterrupt` does, so that `except Exception` does not swallow it.
    """

    def __init__(self, message: str = "", signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal
        """The signal's number, where one was sent: `signal.SIGTERM`."""


class ReflowWarning(UserWarning):
    """Something is probably not as intended, and reflow goes on; shown by the command line."""
