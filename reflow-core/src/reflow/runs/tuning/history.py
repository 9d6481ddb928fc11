"""What elements of a workflow have used in its newest runs, and what they had asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import islice
from operator import is_not

from reflow.config.schema import ResourceDefaults
from reflow.dispatch.submit import scaled
from reflow.errors import ReflowError, ReflowWarning, UsageError
from reflow.model.attempts import Attempt, with_possible_times
from reflow.model.graph import Graph
from reflow.model.records import RunRecord
from reflow.model.resources import Resources
from reflow.model.states import FailureCause, TaskState
from reflow.rundir.run_settings import read_settings
from reflow.runs.open_dispatcher import recorded_graph
from reflow.stores.contract import ReadsAttempts, Store

NEWEST_RUNS = 20
"""Runs of the workflow that are looked at."""
MOST_TRIES = 100_000
"""Tries that are looked at; each task of each run has the same share of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """What one try of an element used. None is for what was not measured."""

    run: str
    index: int
    succeeded: bool
    cause: FailureCause | None
    seconds: float | None
    memory: int | None
    """Most bytes at once."""
    cpu_seconds: float | None
    asked: Resources
    """What it asked for, as far as the run's folder tells; else what the task asks for now."""


@dataclass(slots=True, kw_only=True)
class TaskHistory:
    """The tries of one task, those of the newest run first."""

    tries: list[Try] = field(default_factory=list)
    most_elements: int = 0
    """Elements that one run computed, at most."""

    @property
    def succeeded(self) -> list[Try]:
        """The tries that gave a result."""
        return [each for each in self.tries if each.succeeded]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of a workflow."""

    runs: tuple[str, ...]
    """The runs that were looked at, the newest first."""
    tasks: Mapping[str, TaskHistory]
    impossible: int = 0
    """Tries whose times cannot be right, and were left out."""


def read_history(store: Store, graph: Graph, defaults: ResourceDefaults) -> History:
    """Read what elements used in the newest runs of a workflow that have computed something.

    Raises `UsageError` for a store that does not keep tries.
    """
    if not isinstance(store, ReadsAttempts):
        raise UsageError(f"the store {store.url} keeps no tries of elements: nothing can be told")
    tasks = {name: TaskHistory() for name in graph.tasks}
    records = store.list_runs(graph_name=graph.name, limit=NEWEST_RUNS)
    impossible = 0
    share = max(1, MOST_TRIES // max(1, len(tasks) * len(records)))
    now = {name: defaults.fill(spec.resources) for name, spec in graph.tasks.items()}
    for record in records:
        there = {task.name for task in store.tasks(record.run_id)}
        asked = {**now, **_asked(record)}
        for name in there & tasks.keys():
            known = tasks[name]
            attempts = list(islice(store.attempts(record.run_id, name), share))
            possible = [with_possible_times(each, record) for each in attempts]
            impossible += sum(map(is_not, possible, attempts))
            request = cache(partial(scaled, asked[name]))
            new = [_try(record.run_id, each, request) for each in possible]
            known.tries += new
            computed = sum(each.succeeded for each in new)
            known.most_elements = max(known.most_elements, computed)
    runs = tuple(record.run_id for record in records)
    return History(runs=runs, tasks=tasks, impossible=impossible)


def _asked(record: RunRecord) -> dict[str, Resources]:
    """Return what tasks of a run asked for; nothing where its folder cannot be read.

    Only text is read, for the run may be another user's.
    """
    try:
        settings = read_settings(record.run_dir, record.run_id)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReflowWarning)
            defaults = settings.config.defaults
        tasks = recorded_graph(settings).tasks
    except (ReflowError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}
    return {name: defaults.fill(spec.resources) for name, spec in tasks.items()}


def _try(run: str, attempt: Attempt, asked: Callable[[float, float], Resources]) -> Try:
    ended = attempt.outcome
    seconds = None
    if ended.started_at is not None and ended.ended_at is not None:
        seconds = max(0.0, ended.ended_at - ended.started_at)
    return Try(
        run=run,
        index=ended.index,
        succeeded=ended.state is TaskState.SUCCESS,
        cause=ended.cause,
        seconds=seconds,
        memory=ended.peak_memory,
        cpu_seconds=ended.cpu_time,
        asked=asked(attempt.mem_scale, attempt.time_scale),
    )
