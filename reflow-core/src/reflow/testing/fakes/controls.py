"""What a test can do to a fake scheduler, carried out inside the supervisor.

`FakeScheduler` in `control.py` is the other end; each method here is called by its name.
"""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

from reflow.testing.fakes import processes
from reflow.testing.fakes.emulator import Answer, Call, Later, Reply, change_settings
from reflow.testing.fakes.faults import Fault
from reflow.testing.fakes.model import Phase, Task, Why

if TYPE_CHECKING:
    from reflow.testing.fakes.supervisor import Supervisor


class Controls:
    """The control operations. Every public method takes JSON values and returns one."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._emulator = supervisor.emulator
        self._engine = supervisor.engine

    def answer(self, call: Call) -> Answer:
        """Carry out one operation: its name, then its keywords as JSON."""
        name, keywords = call.arguments[0], json.loads(call.arguments[1])
        try:
            operation = getattr(self, name, None) or getattr(self._emulator, name)
            value = operation(**keywords)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            return Reply(stderr=f"{type(error).__name__}: {error}", code=1)
        return value if isinstance(value, Later) else Reply(stdout=json.dumps(value))

    # Looking

    def jobs(self) -> list[dict[str, Any]]:
        """Return every task ever submitted, except those removed without a trace."""
        return [self._describe(task) for job in self._engine.jobs.values() for task in job.present]

    def calls(self) -> list[dict[str, Any]]:
        """Return every ended call of a command, oldest first."""
        return [dataclasses.asdict(one) for one in self._supervisor.finished]

    def forget_calls(self) -> None:
        """Forget the calls so far."""
        self._supervisor.finished.clear()

    def wait_for(self, job: str, phases: list[str], timeout: float) -> Later:
        """Wait until every task of a job is in one of these phases."""
        wanted = [Phase(one) for one in phases]
        end = time.monotonic() + timeout

        tasks = self._tasks(job)

        def poll() -> Reply | None:
            if all(task.phase in wanted for task in tasks):
                return Reply(stdout=json.dumps([self._describe(task) for task in tasks]))
            if time.monotonic() >= end:
                shown = ", ".join(
                    f"{self._emulator.native_id(t)} {t.phase.value}" for t in tasks[:9]
                )
                return Reply(stderr=f"TimeoutError: still {shown}", code=1)
            return None

        self._supervisor.faults.look_again_at(end)
        return Later(poll)

    def wait_until_idle(self, timeout: float) -> Later:
        """Wait until no job waits or runs."""
        end = time.monotonic() + timeout

        def poll() -> Reply | None:
            busy = [job for job in self._engine.jobs.values() if not job.is_over]
            if not busy:
                return Reply(stdout="null")
            if time.monotonic() >= end:
                shown = ", ".join(f"{job.number} ({job.name})" for job in busy[:9])
                return Reply(stderr=f"TimeoutError: not over yet: {shown}", code=1)
            return None

        self._supervisor.faults.look_again_at(end)
        return Later(poll)

    # The scheduler as a whole

    def configure(self, **changes: Any) -> None:
        """Change settings of the site."""
        change_settings(self._emulator.settings, changes)
        for node in self._engine.nodes:
            node.cpus = self._emulator.settings.cpus_per_node
            node.memory = self._emulator.settings.memory_per_node
        self._engine.want_schedule()

    def advance(self, seconds: float) -> None:
        """Let time pass for the scheduler."""
        self._engine.advance(seconds)

    def skip_numbers(self, count: int) -> None:
        """Use up job numbers, as refused submissions and other users do."""
        for _ in range(count):
            self._emulator.next_number()

    def pause(self) -> None:
        """Start no further tasks."""
        self._engine.paused = True

    def unpause(self) -> None:
        """Start the tasks that can start."""
        self._engine.paused = False
        self._engine.want_schedule()

    def go_down(self) -> None:
        """Stop the daemon."""
        self._emulator.go_down()

    def come_up(self) -> None:
        """Start the daemon."""
        self._emulator.come_up()

    def plant(self, **fault: Any) -> None:
        """Plant a fault."""
        reply = Reply(**fault.pop("reply", {}))
        self._supervisor.faults.planted.append(Fault(reply=reply, **fault))

    def clear_faults(self) -> None:
        """Remove every fault that is left."""
        self._supervisor.faults.planted.clear()

    # Single jobs

    def kill(self, job: str, signal_number: int) -> None:
        """Kill the processes of a job from outside, as an administrator or the kernel may."""
        for task in self._tasks(job):
            if task.run is not None and task.run.ended is None:
                processes.signal_group(task.run.pid, signal_number)

    def exceed_memory(self, job: str) -> None:
        """Have running tasks killed for their memory."""
        for task in self._tasks(job):
            self._engine.end_at_once(task, Why.MEMORY)

    def lose_node(self, job: str, processes_survive: bool) -> None:
        """Make the node of running tasks fail."""
        for task in self._tasks(job):
            if task.phase in (Phase.RUNNING, Phase.ENDING):
                self._engine.lose_node(task, processes_survive=processes_survive)

    def requeue(self, job: str) -> None:
        """Kill running tasks and put them back into the queue."""
        for task in self._tasks(job):
            if task.phase is Phase.RUNNING:
                self._engine.end_at_once(task, Why.REQUEUED)

    def preempt(self, job: str) -> None:
        """Preempt running tasks."""
        for task in self._tasks(job):
            if task.phase is Phase.RUNNING:
                self._engine.end_at_once(task, Why.PREEMPTED)

    def age_out(self, jobs: list[str] | None, accounting: bool) -> None:
        """Make the scheduler forget finished tasks; all of them where none is named."""
        for task in self._chosen(jobs):
            if task.phase is Phase.OVER:
                self._engine.forget(task)
                task.accounted = task.accounted and not accounting

    def vanish(self, job: str) -> None:
        """Remove a job from queue and accounting; kill its running tasks."""
        for task in self._tasks(job):
            if task.run is not None:
                self._engine.kill_run(task.run)
            if task.phase is Phase.PENDING:
                self._engine.drop(task)
            task.dropped = True
            task.known = False

    def _chosen(self, references: list[str] | None) -> list[Task]:
        if references is None:
            return [task for job in self._engine.jobs.values() for task in job.tasks.values()]
        return [task for reference in references for task in self._tasks(reference)]

    def _tasks(self, reference: str) -> list[Task]:
        tasks = self._emulator.tasks_of(reference)
        if not tasks:
            raise LookupError(f"the fake has no job {reference!r}")
        return tasks

    def _describe(self, task: Task) -> dict[str, Any]:
        run = task.run
        return {
            "id": self._emulator.native_id(task),
            "number": task.job.number,
            "name": task.job.name,
            "index": task.index,
            "phase": task.phase.value,
            "why": task.why.value if task.why else None,
            "runs": len(task.runs),
            "code": run.code if run and run.ended is not None else None,
            "signal": run.signal if run and run.ended is not None else None,
            "pid": run.pid if run else None,
            "known": task.known,
            "submitted": task.job.submitted,
            "started": run.started if run else None,
            "ended": task.ended,
        }
