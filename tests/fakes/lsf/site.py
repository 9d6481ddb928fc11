"""The fake `lsid`, `bhosts`, `lshosts`, `bqueues`, `bparams` and `bjdep`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reflow.testing.fakes.emulator import Answer, Call, Refusal, Reply
from reflow.testing.fakes.model import Phase

from tests.fakes.lsf.jobs import VERSION, state_of

if TYPE_CHECKING:
    from tests.fakes.lsf.emulator import LsfEmulator


class Lsid:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Name the cluster."""
        return Reply(
            f"{VERSION}\n\nMy cluster name is openlava\nMy master name is {self._emulator.host}\n"
        )


class Bhosts:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List the hosts."""
        text = "HOST_NAME          STATUS       JL/U    MAX  NJOBS    RUN  SSUSP  USUSP    RSV \n"
        for node in self._emulator.engine.nodes:
            used = node.used_cpus
            text += (
                f"{node.name:<18} {'ok' if node.up else 'unavail':<14} - {node.cpus:6d} "
                f"{used:6d} {used:6d} {0:6d} {0:6d} {0:6d}\n"
            )
        return Reply(text)


class Lshosts:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List what the hosts have."""
        wide = "-w" in call.arguments
        width, kind, model = (25, 10, 11) if wide else (11, 7, 8)
        text = (
            f"{'HOST_NAME':<{width}} {'type':>{kind}} {'model':>{model}}  cpuf ncpus maxmem "
            "maxswp server RESOURCES\n"
        )
        for node in self._emulator.engine.nodes:
            text += (
                f"{node.name:<{width}} {'linux':>{kind}} {'IntelI5':>{model}} 100.0 {node.cpus:5d} "
                f"{node.memory // 2**20:5d}M  2047M    Yes (cs)\n"
            )
        return Reply(text)


class Bqueues:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """List the queues."""
        text = "QUEUE_NAME     PRIO      STATUS      MAX  JL/U JL/P JL/H NJOBS  PEND  RUN  SUSP\n"
        for name, queue in self._emulator.settings.queues.items():
            jobs = [job for job in self._emulator.known_jobs() if job.queue == name]
            waiting = sum(len(job.waiting) for job in jobs)
            running = sum(job.active for job in jobs)
            slots = queue.get("user_slots", "-")
            state = "Open:Active" if queue.get("started", True) else "Open:Inact"
            text += (
                f"{name:<14} {30:3d}    {state} {'-':>4} {slots!s:>4}    -    - "
                f"{waiting + running:5d} {waiting:5d} {running:5d} {0:5d} \n"
            )
        return Reply(text)


class Bparams:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show the batch system's parameters."""
        settings = self._emulator.settings
        default = next(iter(settings.queues))
        if "-l" not in call.arguments:
            return Reply(
                f"Default Queues:  {default}\nJob Dispatch Interval:  5 seconds\n"
                "Job Checking Interval:  3 seconds\nJob Accepting Interval:  0 seconds\n"
            )
        return Reply(
            "System default queues for automatic queue selection:\n"
            f"    DEFAULT_QUEUE = {default}\n\n"
            "The amount of time during which finished jobs are kept in core:\n"
            f"    CLEAN_PERIOD = {settings.clean_period:g} (seconds)\n\n"
            "The interval to terminate a job:\n"
            f"    JOB_TERMINATE_INTERVAL = {settings.terminate_interval:g} \n\n"
            "The maximum number of jobs in a job array:\n"
            f"    MAX_JOB_ARRAY_SIZE = {settings.max_array_size}\n\n"
        )


class Bjdep:
    """The command."""

    def __init__(self, emulator: LsfEmulator) -> None:
        self._emulator = emulator

    def __call__(self, call: Call) -> Answer:
        """Show what a job waits for."""
        tasks = self._emulator.known_tasks(call.arguments[-1] if call.arguments else "")
        if not tasks:
            raise Refusal(f"Job <{call.arguments[-1:]}> is not found", 255)
        job = self._emulator.jobs[tasks[0].job.number]
        text = f"Dependencies of job {job.number}\n"
        text += "DEPENDENCY  JOBID  JOB_STATUS   DEPENDENCY_STATUS\n"
        for atom in self._emulator.atoms(job.condition):
            state = state_of(atom.job.present[0])
            over = all(task.phase is Phase.OVER for task in atom.job.present)
            text += f"{atom.word:<11} {atom.job.number:<6} {state:<12} {str(over).lower()}\n"
        return Reply(text)
