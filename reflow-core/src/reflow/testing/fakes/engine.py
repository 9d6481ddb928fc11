"""The engine under every fake scheduler: it starts, watches and ends the processes of jobs.

One thread, no locks: the supervisor calls it for a command, for a child that has ended and for a
timer. What differs between schedulers is decided by the emulator (`Policy`).
"""

from __future__ import annotations

import heapq
import itertools
import signal
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from reflow.testing.fakes import processes
from reflow.testing.fakes.model import (
    Job,
    Launch,
    Node,
    Phase,
    Request,
    Run,
    Task,
    Wait,
    Why,
)

MEMORY_CHECK_SECONDS = 0.25


class Policy(Protocol):
    """What the engine asks of an emulator."""

    @property
    def kill_wait(self) -> float:
        """Seconds between the first signal of a cancellation and SIGKILL."""

    def job_obstacle(self, job: Job) -> object | None:
        """Return why no task of this job may start, beyond what the engine knows, or None."""

    def task_obstacle(self, task: Task) -> object | None:
        """Return why this task may not start although its job may, or None."""

    def launch(self, task: Task, run: Run) -> Launch:
        """Return how the run's process is to be started."""

    def launch_failed(self, task: Task, run: Run, error: OSError) -> None:
        """Settle a task whose process could not be started."""

    def run_ended(self, task: Task, run: Run) -> None:
        """Settle, requeue or keep a task whose process has ended; most call `Engine.settle`."""

    def task_over(self, task: Task) -> None:
        """React to a task that is over, in whichever way."""

    def first_signal(self, task: Task, run: Run) -> None:
        """Tell a run's processes to end, gently; SIGKILL follows after `kill_wait`."""


class Engine:
    """Jobs, nodes, a clock that can be moved, and the processes."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.jobs: dict[int, Job] = {}
        """Every job ever submitted, by number; `Task.known` tells what the scheduler remembers."""
        self.paused = False
        """True while no task is to start."""
        self.down = False
        """True while the scheduler's daemon is down: nothing starts, and no end is noticed."""
        self.enforce_memory = True
        self._policy: Policy
        self._offset = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._runs_by_pid: dict[int, tuple[Task, Run]] = {}
        self._unnoticed: list[processes.Ended] = []
        self._schedule_wanted = False
        self._queued: dict[int, Job] = {}
        self.every(MEMORY_CHECK_SECONDS, self._check_memory)

    def bind(self, policy: Policy) -> None:
        """Name the emulator that decides what differs between schedulers."""
        self._policy = policy

    # The clock

    def now(self) -> float:
        """Return the scheduler's time, in seconds since the epoch."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the scheduler's clock by that many seconds; its jobs' processes do not notice."""
        self._offset += seconds
        self.run_timers()
        self.want_schedule()

    def at(self, moment: float, action: Callable[[], None]) -> None:
        """Call `action` once the clock has reached `moment`."""
        heapq.heappush(self._timers, (moment, next(self._sequence), action))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` in that many seconds."""
        self.at(self.now() + seconds, action)

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` every that many seconds."""

        def again() -> None:
            action()
            self.after(seconds, again)

        self.after(seconds, again)

    def run_timers(self) -> None:
        """Call the actions that are due."""
        while not self.down and self._timers and self._timers[0][0] <= self.now():
            heapq.heappop(self._timers)[2]()

    def seconds_to_next_timer(self) -> float:
        """Return how many seconds the supervisor may sleep."""
        if self.down or not self._timers:
            return 60.0
        return max(self._timers[0][0] - self.now(), 0.0)

    # Jobs

    def submit(self, job: Job) -> None:
        """Take a job into the queue."""
        self.jobs[job.number] = job
        self._queued[job.number] = job
        job.reason = self._job_obstacle(job) or Wait.NOT_ASKED
        if job.begin > self.now():
            self.at(job.begin, self.want_schedule)
        self.want_schedule()

    def hold(self, job: Job, kind: str) -> None:
        """Hold the tasks that have not started."""
        job.holds.add(kind)
        job.reason = Wait.HELD

    def release(self, job: Job, kind: str) -> None:
        """Take a hold away."""
        job.holds.discard(kind)
        self.want_schedule()

    def cancel(self, task: Task, by: str = "", why: Why = Why.CANCELLED) -> None:
        """End a task: at once where it waits, by signals where it runs."""
        if task.phase is Phase.PENDING:
            task.by = by
            self.settle(task, why)
        elif task.phase is Phase.RUNNING and task.run is not None:
            self._end_run(task, task.run, why, by)

    def drop(self, task: Task) -> None:
        """Remove a waiting task as if it had never been submitted."""
        task.dropped = True
        task.known = False
        self.settle(task, Why.CANCELLED)

    def settle(self, task: Task, why: Why) -> None:
        """Record that a task is over."""
        task.job.waiting.pop(task.index, None)
        task.phase = Phase.OVER
        task.why = why
        task.ended = self.now()
        self._policy.task_over(task)
        self.want_schedule()

    def requeue(self, task: Task, delay: float = 0.0) -> None:
        """Requeue a task whose run has ended."""
        task.phase = Phase.PENDING
        task.why = None
        task.ended = None
        task.known = True
        if task.runs:
            task.runs[-1].superseded = True
        task.begin = self.now() + delay
        task.reason = task.waited_for = Wait.BEGIN_TIME
        job = task.job
        self._queued[job.number] = job
        job.waiting[task.index] = task
        job.waiting = dict(sorted(job.waiting.items(), key=lambda item: item[0] or 0))
        self.at(task.begin, self.want_schedule)
        self.want_schedule()

    def forget(self, task: Task) -> None:
        """Make the scheduler forget a finished task."""
        task.known = False
        task.forgotten = True

    # Scheduling

    def want_schedule(self) -> None:
        """Request that the queue be scheduled before the supervisor sleeps again."""
        self._schedule_wanted = True

    def schedule_if_wanted(self) -> None:
        """Start the tasks that can start, where that was requested."""
        while self._schedule_wanted and not self.paused and not self.down:
            self._schedule_wanted = False
            self._queued = {number: job for number, job in self._queued.items() if job.waiting}
            for job in sorted(self._queued.values(), key=lambda job: -job.priority):
                self._schedule_job(job)

    def _schedule_job(self, job: Job) -> None:
        obstacle = self._job_obstacle(job)
        if obstacle is not None:
            job.reason = obstacle
            return
        for task in list(job.waiting.values()):
            if task.begin > self.now():
                task.reason = task.waited_for = Wait.BEGIN_TIME
                continue
            task.reason = self._policy.task_obstacle(task)
            if task.reason is not None:
                task.waited_for = task.reason
                continue
            if job.throttle is not None and job.active >= job.throttle:
                job.reason = Wait.THROTTLE
                return
            nodes = self._find_nodes(job.request)
            if nodes is None:
                job.reason = Wait.RESOURCES
                return
            self._start(task, nodes)

    def _job_obstacle(self, job: Job) -> object | None:
        if job.holds:
            return Wait.HELD
        if job.begin > self.now():
            return Wait.BEGIN_TIME
        return self._policy.job_obstacle(job)

    def _find_nodes(self, request: Request) -> tuple[Node, ...] | None:
        fitting = [
            node
            for node in self.nodes
            if node.takes(request.share)
            and (not request.on_nodes or node.name in request.on_nodes)
            and node.name not in request.not_on_nodes
        ]
        return tuple(fitting[: request.nodes]) if len(fitting) >= request.nodes else None

    # Runs

    def _start(self, task: Task, nodes: tuple[Node, ...]) -> None:
        job = task.job
        run = Run(len(task.runs), nodes, job.request.share, self.now())
        run.waited_for = task.waited_for or job.reason
        job.waiting.pop(task.index, None)
        job.active += 1
        task.phase = Phase.RUNNING
        task.reason = None
        task.runs.append(run)
        for node in nodes:
            node.used_cpus += run.share.cpus
            node.used_memory += run.share.memory
        try:
            run.launch = self._policy.launch(task, run)
            run.pid = processes.start(run.launch)
        except OSError as error:
            self._give_back(task, run)
            run.why = Why.LAUNCH
            self._policy.launch_failed(task, run, error)
            return
        self._runs_by_pid[run.pid] = (task, run)
        if job.request.walltime is not None:
            self.after(job.request.walltime, lambda: self._walltime_reached(task, run))

    def _give_back(self, task: Task, run: Run) -> None:
        run.ended = self.now()
        task.job.active -= 1
        for node in run.nodes:
            node.used_cpus -= run.share.cpus
            node.used_memory -= run.share.memory
        self.want_schedule()

    def _walltime_reached(self, task: Task, run: Run) -> None:
        if run.ended is None and task.phase is Phase.RUNNING:
            self._end_run(task, run, Why.WALLTIME, "")

    def _end_run(self, task: Task, run: Run, why: Why, by: str) -> None:
        task.phase = Phase.ENDING
        run.why = why
        run.by = by
        self._policy.first_signal(task, run)
        self.after(self._policy.kill_wait, lambda: self.kill_run(run))

    def kill_run(self, run: Run) -> None:
        """Kill what is left of a run's processes."""
        if run.ended is None and run.pid:
            processes.signal_group(run.pid, signal.SIGKILL)

    def end_at_once(self, task: Task, why: Why) -> None:
        """Kill a run without warning, for that reason."""
        run = task.run
        if run is not None and run.ended is None:
            run.why = why
            self.kill_run(run)

    def lose_node(self, task: Task, *, processes_survive: bool) -> None:
        """End a run because its node has failed; its processes may go on unobserved."""
        run = task.run
        if run is None or run.ended is not None:
            return
        self._runs_by_pid.pop(run.pid, None)
        if not processes_survive:
            self.kill_run(run)
        run.why = Why.NODE
        self._give_back(task, run)
        self._policy.run_ended(task, run)

    def children_ended(self) -> None:
        """Record the processes that have ended."""
        ended = processes.reap()
        if self.down:
            self._unnoticed += ended
            return
        for child in [*self._unnoticed, *ended]:
            self._child_ended(child)
        self._unnoticed.clear()

    def _child_ended(self, child: processes.Ended) -> None:
        task, run = self._runs_by_pid.pop(child.pid, (None, None))
        if task is None or run is None:
            return
        processes.signal_group(child.pid, signal.SIGKILL)
        run.status = child.status
        run.peak_memory = max(run.peak_memory, child.peak_memory)
        if run.why is Why.EXITED and self._is_over_memory(task, run):
            # The peak came between two samples; a kernel would have killed the task.
            run.why, run.status = Why.MEMORY, signal.SIGKILL
        self._give_back(task, run)
        self._policy.run_ended(task, run)

    def _check_memory(self) -> None:
        if not self.enforce_memory or self.down:
            return
        for task, run in list(self._runs_by_pid.values()):
            if task.job.request.memory_limit is None or task.phase is not Phase.RUNNING:
                continue
            run.peak_memory = max(run.peak_memory, processes.resident_memory(run.pid))
            if self._is_over_memory(task, run):
                self.end_at_once(task, Why.MEMORY)

    def _is_over_memory(self, task: Task, run: Run) -> bool:
        limit = task.job.request.memory_limit
        return self.enforce_memory and limit is not None and run.peak_memory > limit

    def running(self) -> Iterator[tuple[Task, Run]]:
        """Yield every task whose process runs."""
        return iter(list(self._runs_by_pid.values()))

    def go_down(self) -> None:
        """Stop the scheduler's daemon; jobs go on, and their ends are not noticed."""
        self.down = True

    def come_up(self) -> None:
        """Start the daemon again."""
        self.down = False
        self.children_ended()
        self.run_timers()
        self.want_schedule()
