"""The elements of earlier runs that the elements of a run are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reflow.model.records import Instance, RunRecord, TaskRecord
from reflow.stores.contract import Store, find_instance

MOST_RUNS = 50
"""Earlier runs that are searched for an element whose inputs were known."""
MOST_ROWS = 50_000
"""Elements of them that are read to find those of equal identity, once each has some other."""
_AT_ONCE = 10


@dataclass(slots=True)
class Nearest:
    """What there is of an element in earlier runs."""

    element: tuple[RunRecord, Instance] | None = None
    """What it is compared with: the newest of equal identity, or else the newest with inputs.

    Of a new element, any other one of the newest run.
    """
    passed: tuple[RunRecord, str] | None = None
    """A later run that has the element and cannot be compared with, and why."""


def earlier_runs(
    store: Store, record: RunRecord, task: str
) -> Iterator[tuple[RunRecord, TaskRecord]]:
    """Yield the earlier runs of the same workflow and place that have a task, newest first."""
    until, seen = record.created_at, 0
    while seen < MOST_RUNS:
        page = store.list_runs(graph_name=record.workflow, limit=_AT_ONCE, until=until)
        for each in page:
            if each.place == record.place and each.run_id != record.run_id:
                yield from (
                    (each, found) for found in store.tasks(each.run_id) if found.name == task
                )
        if len(page) < _AT_ONCE:
            return
        seen += len(page)
        until = page[-1].created_at


def nearest_elements(
    store: Store, record: RunRecord, task: str, identities: Mapping[int, str | None]
) -> dict[int, Nearest]:
    """Return, by index, what there is in earlier runs of elements of some identities.

    One of equal identity is looked for behind the newest one too: a run with other parameters may
    lie between the two.
    """
    found = {index: Nearest() for index in identities}
    wanted = dict(identities)
    other: tuple[RunRecord, Instance] | None = None
    rows = 0
    for run, earlier in earlier_runs(store, record, task):
        there = _elements(store, run, task, wanted)
        rows += len(there)
        for index, identity in list(wanted.items()):
            instance, near = there.get(index), found[index]
            if instance is not None and instance.identity is not None:
                if near.element is None or instance.identity == identity:
                    near.element = run, instance
                if instance.identity == identity:
                    del wanted[index]
            elif near.element is None and near.passed is None:
                why = _why_not(run, earlier, index, instance)
                near.passed = (run, why) if why else None
        if other is None and not all(near.element for near in found.values()):
            first = there.get(0) or find_instance(store, run.run_id, task, 0)
            other = None if first is None or first.identity is None else (run, first)
        if not wanted or (rows >= MOST_ROWS and all(near.element for near in found.values())):
            break
    for near in found.values():
        if near.element is None and near.passed is None:
            near.element = other
    return found


def _elements(
    store: Store, run: RunRecord, task: str, wanted: Iterable[int]
) -> dict[int, Instance]:
    """Return elements of a run by index, the wanted ones among them."""
    match list(wanted):
        case [index]:
            instance = find_instance(store, run.run_id, task, index)
            return {} if instance is None else {index: instance}
    return {each.index: each for each in store.instances(run.run_id, task)}


def _why_not(run: RunRecord, task: TaskRecord, index: int, instance: Instance | None) -> str:
    """Say why an element of a run cannot be compared with; empty where it has none."""
    if instance is not None and instance.state.final:
        return f"it ended {instance.state} there" + (f": {instance.error}" * bool(instance.error))
    if task.size is not None and index >= task.size:
        return ""
    if instance is None and run.cleaned_at is not None:
        return f"that run was cleaned up on {run.cleaned_at.astimezone():%Y-%m-%d}"
    if instance is None and task.state is not None:
        return f"it ended {task.state} there"
    return "its inputs were not known there"
