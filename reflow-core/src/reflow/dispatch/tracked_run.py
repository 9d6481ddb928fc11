"""A run as its dispatcher sees it: in memory, changed there, and written in few transactions.

A tracked run is read from the store once, when the dispatcher takes the lease. The dispatcher
changes it in memory, which marks the changed records; `commit` writes them all in one transaction
that is fenced by the lease's epoch, so that a dispatcher that has been overtaken writes nothing.
Only native ids are written at once: they must survive a crash that comes before the next commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Protocol

from reflow.model.attempts import Attempt
from reflow.model.graph import Edge, Graph, WireMode, each_of
from reflow.model.notes import Note
from reflow.model.outcomes import Outcome
from reflow.model.records import Instance, Lease, SubmissionKind, SubmissionRecord, SubmissionState
from reflow.model.states import ACTIVE_TASK_STATES, RunState, TaskState
from reflow.model.tasks import TaskSpec
from reflow.stores.contract import KeepsAttempts, Store

LOST_STATES = (TaskState.FAILED, TaskState.CANCELLED, TaskState.SKIPPED)
"""States of elements that have ended without a result."""


@dataclass(slots=True)
class TrackedTask:
    """One task and its instances, those in order of their index."""

    spec: TaskSpec
    edges: tuple[Edge, ...]
    size: int | None = None
    """None while the number of elements is not known."""
    state: TaskState | None = None
    """Set where the task ended before that."""
    instances: list[Instance] = field(default_factory=list)
    tally: Counter[TaskState] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The task's name."""
        return self.spec.name

    @property
    def succeeded(self) -> bool:
        """Whether every element has succeeded; true for an empty array."""
        return self.size is not None and self.tally[TaskState.SUCCESS] == self.size

    @property
    def broken(self) -> bool:
        """Whether some element has ended without success, so that the result is incomplete."""
        return self.state is not None or any(self.tally[state] for state in LOST_STATES)

    def can_give(self, needed: Callable[[int], int]) -> bool:
        """Tell whether so many elements have succeeded or still may, by the number that there are.

        True as long as that is not known; false where the task ended before.
        """
        if self.state is not None:
            return False
        if self.size is None:
            return True
        lost = sum(self.tally[state] for state in LOST_STATES)
        return self.size - lost >= needed(self.size)

    @property
    def active(self) -> int:
        """How many elements are with the executor."""
        return self.tally[TaskState.SUBMITTED] + self.tally[TaskState.RUNNING]

    @property
    def ended(self) -> bool:
        """Whether nothing of the task can change any more."""
        if self.state is not None:
            return True
        return self.size is not None and not self.active and not self.tally[TaskState.PENDING]

    chained: tuple[tuple[Edge, ...], ...] = field(init=False)
    """Arguments whose every step is chained: their elements wait for one element each.

    None where lists are combined as a product, which waits for the whole of each.
    """
    whole_upstream: frozenset[str] = field(init=False)
    """Tasks that must have succeeded as a whole."""
    lenient: tuple[Edge, ...] = field(init=False)
    """Gathers for which it is enough that part of a step has succeeded."""
    upstream: frozenset[str] = field(init=False)
    """All tasks that it waits for."""

    def __post_init__(self) -> None:
        """Derive from the edges what the task waits for."""
        self.define(self.spec, self.edges)

    def define(self, spec: TaskSpec, edges: tuple[Edge, ...]) -> None:
        """Set what the flow says of the task; compute once what every plan asks of it."""
        self.spec, self.edges = spec, edges
        by_argument: dict[str, list[Edge]] = {}
        for edge in self.edges:
            by_argument.setdefault(edge.argument, []).append(edge)
        chains = [
            edges
            for edges in by_argument.values()
            if all(edge.mode is WireMode.CHAIN for edge in edges)
        ]
        if self.spec.combination == "product" and len(each_of(self.spec, self.edges)) > 1:
            # One element of a step before it is part of many elements.
            chains = []
        others = [edge for edges in by_argument.values() if edges not in chains for edge in edges]
        chained = {edge.step for edges in chains for edge in edges}
        self.chained = tuple(map(tuple, chains))
        self.lenient = tuple(edge for edge in others if edge.allow_failed)
        lenient = {edge.step for edge in self.lenient} - set(self.spec.after)
        strict = {edge.step for edge in others if not edge.allow_failed}
        self.whole_upstream = frozenset(strict | (set(self.spec.upstream) - chained - lenient))
        self.upstream = self.whole_upstream | chained | lenient

    def wait_for_whole(self, names: Set[str]) -> None:
        """Wait for further tasks to have succeeded as a whole."""
        self.whole_upstream |= names
        self.upstream |= names


class RunOfTasks(Protocol):
    """What the arguments of a run's elements are found by: its tasks, and its stored results."""

    @property
    def run_id(self) -> str:
        """The run."""
        ...

    @property
    def store(self) -> Store:
        """Where its results are."""
        ...

    @property
    def tasks(self) -> Mapping[str, TrackedTask]:
        """Its tasks, by name; of those that are read, at least the sizes are known."""
        ...


@dataclass(slots=True)
class TrackedWave:
    """A wave whose end has not been recorded."""

    record: SubmissionRecord
    members: dict[int, Instance] = field(default_factory=dict)
    """By position, those without an outcome."""


class TrackedRun:
    """All that a dispatcher knows of its run, and what has changed since the last commit."""

    def __init__(self, store: Store, run_id: str, graph: Graph) -> None:
        """Read the run from the store."""
        self.store = store
        self.run_id = run_id
        self.graph = graph
        self.tasks: dict[str, TrackedTask] = {}
        self.waves: dict[int, TrackedWave] = {}
        self.dispatches: dict[int, SubmissionRecord] = {}
        self.cancelling: dict[int, SubmissionRecord] = {}
        """Submissions whose end the scheduler has not confirmed."""
        self.tally: Counter[TaskState] = Counter()
        """Elements of all tasks by their state."""
        self.ended_early: Counter[TaskState | None] = Counter()
        """Tasks by the state that they ended in before their elements were known."""
        self.changed_tasks: set[str] = set()
        """Tasks that have changed since a planner last looked."""
        self.successors: dict[str, list[str]] = {}
        """By task, those that wait for it."""
        self._forget_changes()
        self._load()
        self._note_successors()
        self.changed_tasks.update(self.tasks)

    def _forget_changes(self) -> None:
        self._added: list[Instance] = []
        self._renewed: list[Instance] = []
        self._changed: dict[int, Instance] = {}
        self._outcomes: list[Outcome] = []
        self._attempts: list[Attempt] = []
        self._submissions: dict[int, SubmissionRecord] = {}
        self._new_submissions: set[int] = set()
        self._sizes: dict[str, int] = {}
        self._task_states: dict[str, TaskState | None] = {}
        self._run_state: tuple[RunState, str] | None = None
        self._requests_done: list[int] = []
        self._notes: dict[tuple[str, str], Note] = {}
        self._reusable_waves: list[int] = []
        self._refreshed: dict[int, str] = {}

    def _load(self) -> None:
        records = {record.name: record for record in self.store.tasks(self.run_id)}
        for name, spec in self.graph.tasks.items():
            record = records.get(name)
            if record is None:
                # Added to the flow since the run was submitted, so not part of the run.
                continue
            self.tasks[name] = TrackedTask(spec, self.graph.edges[name], record.size, record.state)
            self.ended_early[record.state] += 1
        for instance in self.store.instances(self.run_id):
            task = self.tasks[instance.task]
            task.instances.append(instance)
            task.tally[instance.state] += 1
        for task in self.tasks.values():
            self.tally.update(task.tally)
            if not task.spec.array and not task.instances:
                self.expand(task, 1)
        self.number = self.store.next_submission_number(self.run_id)
        for submission in self.store.submissions(self.run_id):
            if submission.state is SubmissionState.CANCELLING:
                self.cancelling[submission.number] = submission
            elif submission.kind is SubmissionKind.WAVE:
                self.waves[submission.number] = TrackedWave(submission)
            else:
                self.dispatches[submission.number] = submission
        for task in self.tasks.values():
            for instance in task.instances:
                if instance.state in ACTIVE_TASK_STATES and instance.wave in self.waves:
                    assert instance.position is not None
                    self.waves[instance.wave].members[instance.position] = instance

    def take_graph(self, graph: Graph) -> None:
        """Use the graph of a retry, which may have other resources and other edges."""
        self.graph = graph
        for name, task in self.tasks.items():
            task.define(graph.tasks[name], graph.edges[name])
        self._note_successors()
        self.changed_tasks.update(self.tasks)

    def _note_successors(self) -> None:
        self.successors = {name: [] for name in self.tasks}
        for task in self.tasks.values():
            task.wait_for_whole(self._behind_groups(task))
        for task in self.tasks.values():
            for name in task.upstream:
                self.successors[name].append(task.name)

    def _behind_groups(self, task: TrackedTask) -> set[str]:
        """Return the tasks whose results say which group of a task's an element belongs to.

        They had succeeded before there was anything to group, but may have to run once more.
        """
        found: set[str] = set()
        waiting = [(edge.step, edge.origin) for edge in task.edges if edge.mode.groups]
        while waiting:
            step, per = waiting.pop()
            edges = self.tasks[step].edges if step != per and step in self.tasks else ()
            for edge in (each for each in edges if each.mode.each):
                if edge.mode in (WireMode.FAN_OUT, WireMode.FAN_OUT_FLAT):
                    found.add(edge.step)
                waiting.append((edge.origin, per))
        return found

    # -- changes ---------------------------------------------------------------------------
    def _count(self, name: str, old: TaskState, new: TaskState, how_many: int = 1) -> None:
        """Count elements of a task under another state."""
        for tally in (self.tasks[name].tally, self.tally):
            tally[old] -= how_many
            tally[new] += how_many
        self.changed_tasks.add(name)

    def move(self, instance: Instance, state: TaskState) -> None:
        """Change an instance's state, and write the instance at the next commit."""
        self._count(instance.task, instance.state, state)
        instance.state = state
        self._changed[id(instance)] = instance

    def touch(self, instance: Instance) -> None:
        """Write the instance at the next commit."""
        self._changed[id(instance)] = instance

    def expand(self, task: TrackedTask, size: int) -> None:
        """Give a task its elements."""
        task.size = size
        self._sizes[task.name] = size
        self.changed_tasks.add(task.name)
        if task.instances:
            return
        task.instances = [Instance(task=task.name, index=index) for index in range(size)]
        task.tally[TaskState.PENDING] += size
        self.tally[TaskState.PENDING] += size
        self._added.extend(task.instances)

    def renew(self, task: TrackedTask, instances: Iterable[Instance]) -> int:
        """Have elements that have succeeded computed anew; return how many.

        What they gave to other runs stays.
        """
        old = [instance for instance in instances if instance.state is TaskState.SUCCESS]
        for instance in old:
            new = Instance(task=task.name, index=instance.index, attempt=instance.attempt)
            task.instances[instance.index] = new
            self._renewed.append(new)
        self._count(task.name, TaskState.SUCCESS, TaskState.PENDING, len(old))
        return len(old)

    def end_task(self, task: TrackedTask, state: TaskState | None) -> None:
        """Record that a task ended before its elements were known, or that it did not."""
        self.ended_early[task.state] -= 1
        self.ended_early[state] += 1
        task.state = state
        self._task_states[task.name] = state
        self.changed_tasks.add(task.name)

    def finish(self, instance: Instance, outcome: Outcome) -> None:
        """Record what an instance ended with."""
        self._count(instance.task, instance.state, outcome.state)
        instance.state = outcome.state
        instance.cause = outcome.cause
        instance.error = outcome.error
        self._outcomes.append(outcome)
        if outcome.state is TaskState.FAILED or outcome.started_at is not None:
            self.end_attempt(instance, outcome)
        self.detach(instance)

    def end_attempt(self, instance: Instance, outcome: Outcome) -> None:
        """Keep a try that did not succeed; one that did is kept with its instance."""
        if outcome.state is TaskState.SUCCESS or not outcome.attempt:
            return
        self._attempts.append(
            Attempt(
                outcome=outcome,
                wave=instance.wave,
                mem_scale=instance.mem_scale,
                time_scale=instance.time_scale,
            )
        )

    def detach(self, instance: Instance) -> None:
        """Take an instance out of its wave."""
        if instance.wave in self.waves and instance.position is not None:
            members = self.waves[instance.wave].members
            if members.get(instance.position) is instance:
                del members[instance.position]

    def add_submission(self, record: SubmissionRecord) -> None:
        """Write an intent at the next commit."""
        self._new_submissions.add(record.number)
        self._submissions[record.number] = record
        self.number = max(self.number, record.number + 1)
        self._keep(record)

    def set_submission(self, record: SubmissionRecord) -> None:
        """Write a submission's state at the next commit."""
        self._submissions[record.number] = record
        self._keep(record)

    def close(self, wave: TrackedWave) -> None:
        """Forget a wave without members; its jobs are over, or still to be cancelled."""
        if wave.record.number in self.cancelling:
            del self.waves[wave.record.number]
        else:
            self.set_submission(replace(wave.record, state=SubmissionState.OVER))

    def _keep(self, record: SubmissionRecord) -> None:
        if record.state is SubmissionState.CANCELLING:
            # A wave to be cancelled stays until its members are settled.
            self.cancelling[record.number] = record
            self.dispatches.pop(record.number, None)
            return
        self.cancelling.pop(record.number, None)
        if record.kind is not SubmissionKind.WAVE:
            self.dispatches[record.number] = record
            if record.state is SubmissionState.OVER:
                del self.dispatches[record.number]
        elif record.state is SubmissionState.OVER:
            self.waves.pop(record.number, None)
        elif record.number in self.waves:
            self.waves[record.number].record = record
        else:
            self.waves[record.number] = TrackedWave(record)

    def add_native_id(self, record: SubmissionRecord, native_id: str) -> SubmissionRecord:
        """Write a job's id at once, outside of any transaction, as the protocol demands."""
        self.store.add_native_id(self.run_id, record.token, native_id)
        if native_id in record.native_ids:
            return record
        return replace(record, native_ids=(*record.native_ids, native_id))

    def set_run_state(self, state: RunState, message: str = "") -> None:
        """Set the run's state at the next commit."""
        self._run_state = (state, message)

    def allow_reuse(self, wave: int) -> None:
        """Let results that waited for a wave's end be used by others, at the next commit."""
        self._reusable_waves.append(wave)

    def refresh_paths(self, key: int, paths: str) -> None:
        """Record anew the states of a stored result's files, at the next commit."""
        self._refreshed[key] = paths

    def note(self, task: str, key: str, text: str) -> None:
        """Tell the user something about a task, once per key, at the next commit."""
        self._notes.setdefault((task, key), Note(task=task, key=key, text=text))

    def request_done(self, key: int) -> None:
        """Drop a user's request at the next commit."""
        self._requests_done.append(key)

    # -- writing ---------------------------------------------------------------------------
    @property
    def dirty(self) -> bool:
        """Whether a commit would write anything."""
        return bool(
            self._added
            or self._renewed
            or self._changed
            or self._outcomes
            or self._attempts
            or self._submissions
            or self._sizes
            or self._task_states
            or self._run_state
            or self._requests_done
            or self._notes
            or self._reusable_waves
            or self._refreshed
        )

    def commit(self, lease: Lease) -> Changes:
        """Write everything in one fenced transaction. Raises `LeaseLostError`."""
        added = {id(instance) for instance in (*self._added, *self._renewed)}
        settled = {(outcome.task, outcome.index) for outcome in self._outcomes}
        changed = [item for key, item in self._changed.items() if key not in added]
        with self.store.fenced(lease) as write:
            for name, size in self._sizes.items():
                write.set_task_size(name, size)
            for name, state in self._task_states.items():
                write.set_task_state(name, state)
            if self._renewed:
                write.replace_instances(self._renewed)
            if self._added:
                write.add_instances(self._added)
            if changed:
                write.update_instances(changed)
            if self._outcomes:
                write.record_outcomes(self._outcomes)
            if self._attempts and isinstance(write, KeepsAttempts):
                write.add_attempts(self._attempts)
            for wave in self._reusable_waves:
                write.allow_reuse(wave)
            for key, paths in self._refreshed.items():
                write.refresh_paths(key, paths)
            for number, record in self._submissions.items():
                if number in self._new_submissions:
                    write.add_submission(record)
                else:
                    write.update_submission(record)
            if self._run_state is not None:
                write.set_run_state(*self._run_state)
            if self._notes:
                write.add_notes(list(self._notes.values()))
            for key in self._requests_done:
                write.drop_request(key)
        moved = [(item.task, item.index, item.state) for item in changed]
        moved += [
            (item.task, item.index, item.state)
            for item in self._added
            if item.state is not TaskState.PENDING and (item.task, item.index) not in settled
        ]
        moved += [(item.task, item.index, item.state) for item in self._outcomes]
        changes = Changes(moved, self._run_state[0] if self._run_state else None)
        self._forget_changes()
        return changes

    # -- questions -------------------------------------------------------------------------
    def outstanding(self) -> int:
        """Return how many elements are with the executor."""
        return self.tally[TaskState.SUBMITTED] + self.tally[TaskState.RUNNING]

    def jobs(self) -> int:
        """Return how many jobs, at most, the elements that are with the executor take."""
        return sum(min(wave.record.size or 1, len(wave.members)) for wave in self.waves.values())

    def members(self) -> Iterable[tuple[TrackedWave, int, Instance]]:
        """Yield every element that is with the executor."""
        for wave in list(self.waves.values()):
            for position, instance in list(wave.members.items()):
                yield wave, position, instance


@dataclass(frozen=True, slots=True)
class Changes:
    """What a commit wrote, for observers."""

    moved: list[tuple[str, int, TaskState]]
    run_state: RunState | None
