"""What the processes of hosts and pilots have in common: signals, and what they end with."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

from reflow.errors import ExecutorError, NotFoundError
from reflow.execution.capture import write_all
from reflow.rundir.results import RESULT_NOT_WRITTEN


class Job(Protocol):
    """A process that runs elements until there is a reason to end."""

    def run(self) -> None:
        """Run elements."""
        ...

    def leave(self) -> None:
        """Begin nothing more, and have what runs interrupted."""
        ...

    def note_going_on(self) -> None:
        """Note that the job was suspended, and goes on."""
        ...

    def close(self) -> None:
        """End the worker processes."""
        ...


def run_to_end(job: Job) -> None:
    """Run a job until it ends, by a signal or by itself, and close it."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, lambda number, frame: job.leave())
    signal.signal(signal.SIGCONT, lambda number, frame: job.note_going_on())
    try:
        job.run()
    finally:
        job.close()


def exit_status(work: Callable[[], None]) -> int:
    """Carry out the work of a process; return what it is to end with, and say why."""
    try:
        work()
    except (OSError, NotFoundError) as error:
        write_all(2, f"reflow: the run directory cannot be used: {error}\n")
        return RESULT_NOT_WRITTEN
    except ExecutorError as error:
        write_all(2, f"reflow: {error}\n")
        return 1
    return 0
