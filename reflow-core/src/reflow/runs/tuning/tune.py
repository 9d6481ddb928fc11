"""Proposing what a workflow's tasks should ask for, from what they have used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from reflow.config.schema import Config
from reflow.dispatch.jobs.packing import may_share
from reflow.dispatch.modes import mode_of
from reflow.errors import ReflowError
from reflow.executors.contract import Executor, KnowsLongestTime
from reflow.model.attempts import impossible_times
from reflow.model.graph import Graph
from reflow.model.resources import Resources
from reflow.model.tasks import TaskSpec
from reflow.runs.tuning.history import read_history
from reflow.runs.tuning.proposals import Proposal, Value, propose
from reflow.runs.tuning.savings import Savings, savings
from reflow.stores.contract import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What a workflow's tasks should ask for."""

    workflow: str
    runs: tuple[str, ...]
    """The runs that were looked at, the newest first."""
    proposals: tuple[Proposal, ...]
    """One for each task, in the order of the workflow."""
    savings: Savings
    notes: tuple[str, ...] = ()
    """What could not be found out."""

    @property
    def tables(self) -> dict[str, dict[str, Value]]:
        """What to write into the configuration, by table `tasks."WORKFLOW.NAME"`."""
        return {
            f"{self.workflow}.{each.task}": {
                change.option: change.proposed for change in each.changes
            }
            for each in self.proposals
            if each.changes
        }


def tune(store: Store, graph: Graph, config: Config, executor: Executor | None) -> Tuning:
    """Propose what the tasks of a workflow should ask for.

    `executor` is asked for the longest time of its queues, and for nothing else; None where there
    is no telling which one it will be. Raises `UsageError` for a store that keeps no tries.
    """
    defaults = config.defaults
    history = read_history(store, graph, defaults)
    queues = _Queues(executor)
    proposals: list[Proposal] = []
    total = Savings()
    for name, spec in graph.tasks.items():
        now, known = defaults.fill(spec.resources), history.tasks[name]
        proposal = propose(
            spec,
            now,
            known,
            longest=queues.longest_time(now) if known.tries else None,
            shares=_shares(spec, config, executor),
        )
        proposals.append(proposal)
        total += savings(now, proposal, known)
    return Tuning(
        workflow=graph.name,
        runs=history.runs,
        proposals=tuple(proposals),
        savings=total,
        notes=(*queues.notes, *filter(None, [impossible_times(history.impossible)])),
    )


def _shares(spec: TaskSpec, config: Config, executor: Executor | None) -> bool | None:
    """Tell whether it is decided how elements share jobs; None where that does not matter."""
    if not spec.array or spec.resources.nodes != 1:
        return None
    if executor is not None:
        mode = mode_of(executor)
        if mode.on_this_machine or not may_share(spec, mode):
            return None
    return bool(spec.per_job or spec.at_once or config.defaults.per_job)


class _Queues:
    """Asks the scheduler once for the longest time of each queue."""

    def __init__(self, executor: Executor | None) -> None:
        self._executor = executor
        self._known: dict[str | None, timedelta | None] = {}
        self.notes: list[str] = []

    def longest_time(self, resources: Resources) -> timedelta | None:
        """Return the most time that a job may ask for there; None where that is not known."""
        if self._executor is None or not isinstance(self._executor, KnowsLongestTime):
            return None
        queue = resources.queue
        if queue not in self._known:
            try:
                self._known[queue] = self._executor.longest_time(resources)
            except ReflowError as error:
                self._known[queue] = None
                self.notes.append(f"how much time a job may ask for is not known: {error}")
        return self._known[queue]
